"""The page: whole, self-contained, safe, and usable in a browser."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from contrastseg.report.page import make_report
from contrastseg.report.sentences import overview_sentences
from contrastseg.report.settings import default_figures, default_tables

VOID = {"meta", "link", "input", "br", "hr", "img"}
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


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
        "missing: Invented organs (organs): uafr (rf) r0.5: organs-p03 (draw 0, fold 0, seed 0)",
        "no unlabelled patients are left",
        "An invented CPU, 2 cores",
        "torch",
        "2.13.0",
        "CC0",
        "A missed structure (in the reference, not predicted): overlaps 0, distances the image's diagonal",
        "0.99, as in the text",
        "51.0",
    ):
        assert wanted in text
    assert text.count("<svg") == 4
    assert "currentColor" in text


def test_every_method_name_in_the_tables_stands_beside_its_mark(report):
    text, _ = parsed(report)
    heads = re.findall(r'<th scope="row">(.*?)</th>', text, re.DOTALL)
    assert len(heads) > 20
    for head in heads:
        if 'class="method"' in head:
            assert re.search(r'<abbr class="mark" title="[^"]+">[OPR]</abbr>', head)
        else:
            assert re.search(r"\[[OPR]\]$", head)


def test_markup_in_names_stays_text(world, drawn, tmp_path):
    attack = "<script>alert(1)</script>"
    hostile = world.rename("pdcr", attack)
    hostile.infos[0] = world.infos[0] | {"title": f'"><img src=x onerror=alert(1)>{attack}'}
    hostile.skipped[0] = world.skipped[0] | {"reason": attack, "method": attack}
    path = make_report(
        hostile.summary,
        hostile.comparisons,
        hostile.cards,
        hostile.infos,
        hostile.skipped,
        default_tables(),
        [],
        drawn,
        hostile.facts,
        tmp_path / "report.html",
    )
    text, page = parsed(path)
    assert attack not in text
    assert page.tags.count("script") == 1
    assert "img" not in page.tags


def test_a_figure_that_was_not_drawn_is_named(world, tmp_path):
    path = make_report(
        *(world.summary, world.comparisons, world.cards, world.infos, world.skipped),
        default_tables(),
        default_figures(),
        tmp_path / "nowhere",
        world.facts,
        tmp_path / "report.html",
    )
    assert path.read_text().count("missing: this figure was not drawn") == 4


def test_a_report_of_nothing_says_so(world, tmp_path):
    path = make_report(
        world.summary.iloc[:0],
        world.comparisons.iloc[:0],
        *([], [], []),
        default_tables(),
        [],
        tmp_path,
        world.facts,
        tmp_path / "report.html",
    )
    assert "There are no scores yet." in path.read_text()


def test_the_sentences_say_what_the_statistics_say(world):
    highest, tested, rests = overview_sentences(world.material)
    assert highest.startswith("The highest mean Dice, which by itself is no test: on Invented organs (organs)")
    assert "pdcr [R]" in highest
    assert "Of 11 paired tests of Dice against supervised [P], corrected for their number, 11 found" in tested
    assert "30 runs (2 seeds, 1 draw of labelled patients); 4 structures missed and 0 invented" in rests
    few = world.comparisons.assign(verdict="n too small", p_smallest=0.75)
    few.loc[few["method"] == "supervised", "verdict"] = "reference"
    material = world.material
    sentence = overview_sentences(type(material)(world.summary, few, *list(vars(material).values())[2:]))[1]
    assert "0 found a method better, 0 worse, and 0 found no difference; 11 had too few patients" in sentence


def test_the_report_runs_without_torch():
    rooms = "tables, figures, page, overlays, settings, facts"
    code = f"import sys, contrastseg.report; from contrastseg.report import {rooms}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0


PROBE = """
<script>
window.addEventListener("load", () => {
  const result = { errors: window.failures };
  const table = document.querySelector("#overview table.sortable");
  const shown = () => [...table.tBodies[0].rows].filter((row) => !row.hidden);
  const names = () => shown().map((row) => row.querySelector(".method").textContent);
  result.before = names();
  const head = table.tHead.rows[1].cells[1];
  head.querySelector("button").click();
  result.down = names(); result.sort = head.getAttribute("aria-sort");
  head.querySelector("button").click();
  result.up = names();
  const input = document.querySelector("#overview .filter input");
  input.value = "teacher"; input.dispatchEvent(new Event("input"));
  result.filtered = names();
  const theme = document.getElementById("theme");
  theme.click(); theme.click();
  result.theme = document.documentElement.dataset.theme;
  result.requests = performance.getEntriesByType("resource").map((e) => e.name).filter((n) => !n.startsWith("data:"));
  result.wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  const out = document.createElement("pre"); out.id = "probe"; out.textContent = JSON.stringify(result);
  document.body.append(out);
});
</script>
"""
CATCH = "<script>window.failures=[];window.onerror=(m)=>window.failures.push(String(m));</script>"


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: the page is checked as text only")
@pytest.mark.parametrize("width", [1280, 500])
def test_the_page_works_in_a_browser(report, tmp_path, width):
    text = report.read_text().replace("<head>", f"<head>{CATCH}", 1).replace("</body>", f"{PROBE}</body>")
    page = tmp_path / "probe.html"
    page.write_text(text)
    quiet = ["--no-first-run", "--disable-quic", "--disable-background-networking", "--disable-component-update"]
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-sync", *quiet]
    command += [f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},900", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90)
    found = re.search(r'<pre id="probe">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr[-2000:]
    result = json.loads(html.unescape(found[1]))
    assert result["errors"] == []
    assert result["requests"] == []
    names = [re.sub(r"[^a-z_]*([a-z_]+).*", r"\1", name) for name in result["before"]]
    assert names == ["supervised", "mean_teacher", "pdcr", "uafr"]
    assert "pdcr" in result["down"][0]
    assert "supervised" in result["down"][-1]
    assert result["sort"] == "descending"
    assert result["up"] == result["down"][::-1]
    assert len(result["filtered"]) == 1
    assert result["theme"] == "dark"
    assert result["wide"] <= 0, "the page itself must not scroll sideways"
