"""The page: whole, self-contained, safe, and usable in a browser."""

from __future__ import annotations

import html
import itertools
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrastseg.report.content.report_data import ReportData
from contrastseg.report.page import wording
from contrastseg.report.page.build import TEMPLATES, coded, make_report
from contrastseg.report.page.cards import method_cards, plain_value, skipped_combinations
from contrastseg.report.page.runs import device
from contrastseg.report.page.summary_text import overview_sentences
from contrastseg.report.settings import default_figures, default_tables

VOID = {"meta", "link", "input", "br", "hr", "img"}


class Page(HTMLParser):
    """Checks nesting and collects what is referred to."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.references: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        self._attributes(attrs)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._attributes(attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def _attributes(self, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "srcset", "action", "poster"):
                self.references.append(value or "")
            if name == "id":
                self.ids.append(value or "")


def parsed(path: Path) -> tuple[str, Page]:
    text = path.read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    page.close()
    return text, page


def test_the_page_is_well_formed_and_every_anchor_leads_somewhere(report):
    text, page = parsed(report)
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    anchors = {reference[1:] for reference in page.references if reference.startswith("#")}
    anchors |= set(re.findall(r"url\(#([^)]+)\)", text))
    assert anchors <= set(page.ids)


def test_the_page_asks_the_network_for_nothing(report):
    text, page = parsed(report)
    assert {reference.partition(":")[0] for reference in page.references if not reference.startswith("#")} <= {"data"}
    assert all(target.startswith("#") for target in re.findall(r"url\(\s*['\"]?([^)'\"]+)", text))
    assert "@import" not in text
    assert "<iframe" not in text


def test_the_page_holds_what_a_reader_needs(report):
    text = html.unescape(parsed(report)[0])
    for wanted in (
        "An invented comparison",
        "14 of 70 training",
        "5a17c0de",
        "missing: Invented organs: uafr (rf) r0.5: organs-p03 (draw 0, fold 0, seed 0)",
        "no unlabelled patients are left",
        "An invented CPU, 2 cores, AVX2",
        "torch",
        "2.13.0",
        "CC0",
        "A missed structure (in the reference, not predicted): overlaps 0, distances the image's diagonal",
        "0.99, as in the text",
        "51.0",
    ):
        assert wanted in text
    assert text.count("<svg") == len(default_figures())
    assert "currentColor" in text


@pytest.mark.parametrize(
    ("recorded", "shown"),
    [
        ({"cpu_capability": "AVX512"}, "Some CPU, 2 cores, AVX512"),
        ({"cpu_capability": "AVX2", "onednn_max_cpu_isa": "SSE41"}, "Some CPU, 2 cores, AVX2, oneDNN up to SSE41"),
        ({}, "Some CPU, 2 cores"),
        ({"device": "A GPU", "cpu_capability": "AVX512"}, "A GPU"),
    ],
)
def test_a_processor_is_shown_with_its_instruction_set_where_that_was_recorded(recorded, shown):
    assert device({"hardware": {"device": "cpu", "cpu": "Some CPU", "cpu_count": 2, **recorded}}) == shown


def test_every_method_name_in_the_tables_stands_beside_its_mark(report):
    text, _ = parsed(report)
    heads = re.findall(r'<th scope="row">(.*?)</th>', text, re.DOTALL)
    assert len(heads) > 20
    for head in heads:
        assert 'class="method"' in head or re.search(r"\[[OPR]\]$", head)
    names = text.split('<span class="method">')[1:]
    assert len(names) > 40
    for name in names:
        assert re.match(
            r'(<span class="glyph.*?</span>)?[^<]+<abbr class="mark" title="[^"]+">[OPR]</abbr></span>', name
        )


def test_markup_in_names_stays_text(world, drawn, tmp_path):
    attack = "<script>alert(1)</script>"
    hostile = world.rename("pdcr", attack)
    hostile.infos[0] = world.infos[0] | {"title": f'"><img src=x onerror=alert(1)>{attack}'}
    hostile.skipped[0] = world.skipped[0] | {"reason": attack, "method": attack}
    path = make_report(
        hostile.data, tables=default_tables(), figures=[], figures_folder=drawn, path=tmp_path / "report.html"
    )
    text, page = parsed(path)
    assert attack not in text
    assert page.tags.count("script") == 1
    assert "img" not in page.tags


def test_headings_go_down_one_level_at_a_time(report):
    levels = [int(tag[1]) for tag in parsed(report)[1].tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_the_page_has_landmarks_captions_and_alternatives(report):
    text, page = parsed(report)
    for landmark in ("header", "nav", "main", "footer"):
        assert page.tags.count(landmark) == 1
    assert page.tags.count("table") == page.tags.count("caption") + 2  # those of skipped pairs and runs have a label
    for image in re.findall(r"<img\b[^>]*>", text):
        assert re.search(r'alt="[^"]{10,}"', image)
    for drawing in re.findall(r"<svg\b[^>]*>", text):
        assert 'role="img"' in drawing
        assert re.search(r'aria-label="[^"]{10,}"', drawing)


CSS = (TEMPLATES / "report.css").read_text(encoding="utf-8")


def colours(block: str) -> dict[str, str]:
    return dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", block))


def contrast(one: str, other: str) -> float:
    """WCAG 2's ratio of two colours."""

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_the_measure_of_contrast_is_the_standards():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_every_text_colour_of_both_themes_is_readable():
    light, system, dark = (colours(block) for block in re.findall(r":root[^{]*\{([^}]*--page[^}]*)\}", CSS)[:3])
    assert system == dark
    for theme in (light, dark):
        for ground in ("page", "paper", "faint"):
            for text in ("ink", "muted", "accent", "warn"):
                assert contrast(theme[text], theme[ground]) >= 4.5, (text, ground)
        for ground in ("page", "paper"):
            assert contrast(theme["control"], theme[ground]) >= 3


def test_nothing_moves_for_those_who_asked_for_no_motion():
    inside = "".join(re.findall(r"@media \(prefers-reduced-motion: no-preference\) \{(.*?\})\n\}", CSS, re.DOTALL))
    for moving in ("scroll-behavior", "transition", "animation"):
        assert CSS.count(moving) == inside.count(moving)


def test_a_figure_of_which_only_the_picture_was_kept_is_shown(world, drawn, tmp_path):
    (tmp_path / "box.png").write_bytes((drawn / "box.png").read_bytes())
    path = make_report(
        world.data,
        tables=default_tables(),
        figures=[figure for figure in default_figures() if figure.name == "box"],
        figures_folder=tmp_path,
        path=tmp_path / "report.html",
    )
    assert '<img class="drawing" alt="Box. ' in path.read_text()


def test_what_was_left_behind_is_said(world, tmp_path):
    data = replace(
        world.data,
        infos=[],
        skipped=(),
        skipped_known=False,
        unavailable={"la": "it is behind a registration"},
    )
    path = make_report(data, tables=[], figures=[], figures_folder=tmp_path, path=tmp_path / "report.html")
    text = path.read_text()
    assert "skipped combinations are unknown" in text
    assert text.count(wording.CARD_LEFT_BEHIND) == len(world.infos)
    assert "1 data set not on the machine: la" in text
    assert "it is behind a registration" in text


def test_a_figure_that_was_not_drawn_is_named(world, tmp_path):
    path = make_report(
        world.data,
        tables=default_tables(),
        figures=default_figures(),
        figures_folder=tmp_path / "nowhere",
        path=tmp_path / "report.html",
    )
    assert path.read_text().count(wording.not_drawn("")) == len(default_figures())


def test_a_report_of_nothing_says_so(world, tmp_path):
    nothing = ReportData(summary=world.summary.iloc[:0], comparisons=world.comparisons.iloc[:0], suite=world.suite)
    path = make_report(
        nothing, tables=default_tables(), figures=[], figures_folder=tmp_path, path=tmp_path / "report.html"
    )
    assert wording.NO_SCORES in path.read_text()


def test_the_sentences_say_what_the_statistics_say(world):
    highest, tested, alone, rests = overview_sentences(world.data)
    assert alone.startswith("“Better” by all runs: one seed alone repeats it in ")
    assert highest.startswith("Highest mean Dice (descriptive")
    assert "Invented organs with 10 % labelled (2 patients): pdcr [R]" in highest
    assert "10 paired tests of Dice against supervised [P], corrected for their number: 10 significantly" in tested
    assert "30 runs (2 seeds, 1 draw of labelled patients): 4 missed structures, 0 false positives" in rests
    few = world.comparisons.assign(verdict="n too small", p_smallest=0.75)
    few.loc[few["method"] == "supervised", "verdict"] = "reference"
    sentence = overview_sentences(replace(world.data, comparisons=few))[1]
    assert "0 significantly better, 0 significantly worse, 0 not significant, 11 with too few patients" in sentence


def test_the_report_runs_without_torch():
    names = ("tables.build", "figures.build", "page.build", "figures.overlay_cases", "settings", "content.suite_info")
    modules = ", ".join(f"contrastseg.report.{name}" for name in names)
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0


def test_combinations_of_one_reason_stand_together(world, tmp_path):
    pairs = sorted(set(zip(world.summary["method"].astype(str), world.summary["variant"].astype(str), strict=True)))
    partly = [
        {"dataset": "organs", "method": method, "variant": variant, "labels": labels}
        | {"state": "partly run", "reason": "2 of 3 runs without scores"}
        for method, variant in pairs
        for labels in ("r0.5", "r0.1")
    ]
    data = replace(world.data, skipped=[*world.skipped, *partly, partly[0] | {"reason": "another"}])
    rows = skipped_combinations(data)
    assert [(row["every"], row["labels"], row["state"]) for row in rows] == [
        (False, "50 % labelled", "not applicable"),
        (True, "10 % labelled, 50 % labelled", "partly run"),
        (False, "50 % labelled", "partly run"),
    ]
    assert [label.method for label in rows[0]["methods"]] == ["pdcr"]


def test_a_data_card_holds_no_python(world, drawn, tmp_path):
    preparation = {
        "intensity": "zscore",
        "window": None,
        "percentiles": (0.5, 99.5),
        "superpixels": {"body": None, "min_size": 15, "scale": 50.0, "deep": {"on": True, "names": ["a", "b"]}},
        "generated": False,
        "steps": [{"kind": "crop", "size": [96, 96]}, {"kind": "flip"}],
    }
    infos = [
        info | {"preparation": preparation, "source": {"options": {"phases": ["ED", "ES"]}}} for info in world.infos
    ]
    data = replace(world.data, infos=infos)
    path = make_report(data, tables=[], figures=[], figures_folder=drawn, path=tmp_path / "report.html")
    text = html.unescape(
        re.sub(r"<style>.*?</style>|<script>.*?</script>|<[^>]*>", " ", path.read_text(), flags=re.DOTALL)
    )
    assert "superpixels: min size 15, scale 50, deep on yes, names a, b" in text
    assert "percentiles: 0.5, 99.5" in text
    assert "steps: kind crop, size 96, 96; kind flip" in text
    assert "options: phases ED, ES" in text
    assert not re.search(r"[{}]|\['|'\]|\b(None|True|False)\b|\[\d+, \d+\]", text[text.index("Preparation") :])


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text("abc äö", max_size=8)
VALUES = st.recursive(
    LEAVES, lambda one: st.lists(one) | st.dictionaries(st.text("ab_", min_size=1), one), max_leaves=8
)


@given(VALUES)
def test_a_value_is_written_without_pythons_signs(value):
    assert not re.search(r"[{}\[\]()'\"]|None|True|False", plain_value(value))


def test_code_in_a_card_is_code():
    assert coded("the `stages` of <b>") == "the <code>stages</code> of &lt;b&gt;"


def test_the_card_of_a_method_has_the_steps_of_its_stages(world):
    total = {"dataset": "organs", "method": "pdcr", "variant": "default", "total": 1000, "as_long_as": ""}
    suite = replace(world.suite, step_totals=({**total, "stages": {"pretrain": 400, "train": 600}},))
    shown = {card["label"].method: card["steps"] for card in method_cards(replace(world.data, suite=suite))}
    assert shown["pdcr"] == ["pdcr on Invented organs: 1,000 steps (pretrain 400 + train 600)."]
    assert shown["supervised"] == []
