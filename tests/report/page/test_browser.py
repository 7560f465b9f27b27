"""The page in a headless Chromium: it sorts, filters, moves its slices, asks for nothing and complains of nothing."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from contrastseg.files import write_json
from contrastseg.report.page.build import make_report
from contrastseg.report.page.slices import LIMIT, SUFFIX, fit
from contrastseg.report.settings import FigureSettings, TableSettings, default_tables
from tests.report.conftest import stacks
from tests.report.page.browser import CHROMIUM, Browser

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: the page is checked as text only")
DESK, PHONE = 1280, 390


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    one = Browser(tmp_path_factory.mktemp("profile"))
    yield one
    one.close()


@pytest.fixture
def page(browser: Browser, report: Path) -> Iterator[Browser]:
    """The page, opened; whatever a test does to it, it must end without a request or a complaint."""
    browser.open(report)
    yield browser
    assert browser.requests == [report.as_uri()]
    assert browser.complaints == []


def texts(page: Browser, selector: str) -> list[str]:
    """The text of the elements that are to be seen."""
    seen = f"[...document.querySelectorAll({json.dumps(selector)})].filter((e) => e.checkVisibility())"
    return page.run(f"{seen}.map((e) => e.textContent.trim())")


def first_methods(page: Browser) -> list[str]:
    """The methods of the first table's first block, as they stand."""
    names = page.run(
        "[...document.querySelector('#tables table').tBodies[0].rows].filter((r) => !r.hidden)"
        ".map((r) => r.querySelector('.method').textContent)"
    )
    return [re.sub(r"[^a-z_]*([a-z_]+).*", r"\1", name) for name in names]


HEAD = "document.querySelector('#tables table').tHead.rows[1].cells[1]"


def test_a_click_sorts_and_another_turns_it_round(page):
    assert first_methods(page) == ["supervised", "mean_teacher", "pdcr", "uafr"]
    assert page.run(f"{HEAD}.getAttribute('aria-sort')") == "none"
    page.run(f"{HEAD}.querySelector('button').click()")
    down = first_methods(page)
    assert (down[0], down[-1]) == ("pdcr", "supervised")
    assert page.run(f"{HEAD}.getAttribute('aria-sort')") == "descending"
    page.run(f"{HEAD}.querySelector('button').click()")
    assert first_methods(page) == down[::-1]
    assert page.run(f"{HEAD}.getAttribute('aria-sort')") == "ascending"
    assert "ascending" in texts(page, "#said")[0]
    sorted_by = page.run("document.querySelectorAll('#tables table:first-of-type [aria-sort=ascending]').length")
    assert sorted_by == 1


SORTED = """
[...document.querySelectorAll("table.sortable")].flatMap((table) => {
  const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  return heads.map((head, column) => {
    if (!head.querySelector("button")) return null;
    head.querySelector("button").click();
    const cells = [...table.tBodies[0].rows].map((row) => row.cells[column]);
    return [head.textContent, head.getAttribute("aria-sort"), cells.map((cell) => [
      cell.dataset.sort ?? null,
      cell.textContent.replace(cell.querySelector(".glyph")?.textContent ?? "", "").trim(),
    ])];
  }).filter((one) => one !== null);
})
"""


def test_no_column_is_sorted_by_its_decoration(page):
    columns = page.run(SORTED)
    assert len(columns) > 50
    heads = {head for head, _, _ in columns}
    assert {"Method", "Best mean", "verdict", "Labels", "Data"} <= heads
    methods = 0
    for head, way, cells in columns:
        numbers = [float(key) for key, _ in cells if key is not None]
        if numbers:
            assert numbers == sorted(numbers, reverse=way == "descending"), head
            assert all(key is None for key, _ in cells[len(numbers) :]), f"{head}: what has no value is last"
        elif head in ("Method", "Best mean", "Second"):
            words = [re.sub(r"[^a-z_].*", "", text, flags=re.DOTALL) for _, text in cells if text != "–"]
            assert words == sorted(words, key=lambda word: word.replace("_", " "), reverse=way == "descending"), head
            methods += 1
    assert methods > 8


def test_a_filter_does_not_find_a_mark_or_a_marker(page):
    for nothing in ("●", "▲"):
        page.run(
            "(() => { const i = document.querySelector('#tables .filter input');"
            f" i.value = '{nothing}'; i.dispatchEvent(new Event('input')); }})()"
        )
        assert first_methods(page) == []


def test_the_keyboard_reaches_and_sorts(page):
    for _ in range(60):
        page.press("Tab", 9)
        if page.run(f"document.activeElement === {HEAD}.querySelector('button')"):
            break
    else:
        pytest.fail("the sorting button of the first table is not reached by Tab")
    assert page.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.press("Enter", 13)
    assert first_methods(page)[0] == "pdcr"
    page.press(" ", 32)
    assert first_methods(page)[-1] == "pdcr"


def test_what_has_no_value_stays_last(page):
    cells = "[...document.querySelectorAll('#tables table')[1].tBodies[0].rows].map((r) => r.cells[4].dataset.sort)"
    for _ in range(2):
        page.run("document.querySelectorAll('#tables table')[1].tHead.rows[1].cells[4].querySelector('button').click()")
        assert page.run(cells)[-1] is None


def test_a_filter_hides_the_rows_that_do_not_match(page):
    page.run("document.querySelector('#tables .filter input').focus()")
    page.call("Input.insertText", text="TEACH")
    assert first_methods(page) == ["mean_teacher"]
    assert re.fullmatch(r"\d+ of \d+ rows", texts(page, "#tables .filter .count")[0])
    page.run(
        "(() => { const i = document.querySelector('#tables .filter input'); i.value = '';"
        " i.dispatchEvent(new Event('input')); })()"
    )
    assert len(first_methods(page)) == 4


def test_the_slider_moves_through_the_slices(page):
    shown = "[...document.querySelectorAll('.volume')[0].querySelectorAll('img')].filter((e) => e.checkVisibility())"
    before = page.run(f"{shown}.map((e) => [e.alt, e.naturalWidth > 0])")
    assert before == [["supervised [P], worst case organs-p0, Dice 0.500, slice 5 of 9", True]]
    page.run("document.querySelector('.volume input').focus()")
    page.press("ArrowRight", 39)
    after = page.run(f"{shown}.map((e) => e.alt)")
    assert after == ["supervised [P], worst case organs-p0, Dice 0.500, slice 6 of 9"]
    assert page.run("document.querySelector('.volume input').getAttribute('aria-valuetext')") == "slice 6 of 9"
    assert texts(page, ".volume output")[0] == "6 of 9"
    assert texts(page, ".volume output")[1] == "5 of 9"


def test_the_theme_follows_the_button_and_is_forgotten(page, report):
    ground = "getComputedStyle(document.body).backgroundColor"
    system = page.run(ground)
    page.run("document.getElementById('theme').click()")
    assert page.run(ground) == system
    page.run("document.getElementById('theme').click()")
    assert page.run("document.documentElement.dataset.theme") == "dark"
    dark = page.run(ground)
    assert dark != system
    page.open(report)
    assert page.run(ground) == system
    page.open(report, theme="dark")
    assert page.run(ground) == dark


CONTRAST = """
(() => {
  const numbers = (text) => { const c = text.match(/[\\d.]+/g).map(Number); return c.length < 4 ? [...c, 1] : c; };
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (e) => {
    for (let at = e; at; at = at.parentElement) {
      const c = numbers(getComputedStyle(at).backgroundColor);
      if (c[3] === 1) return c;
    }
    return [255, 255, 255, 1];
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = { texts: 0, faint: [] };
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !e.checkVisibility()) continue;
    if (e.closest("svg, script, [aria-hidden=true]")) continue;
    const [a, b] = [light(numbers(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x);
    found.texts += 1;
    if ((a + 0.05) / (b + 0.05) < 4.5) found.faint.push(`${walker.currentNode.data.trim()} (${e.className})`);
  }
  return found;
})()
"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_text_is_readable_as_it_is_drawn(page, report, theme):
    page.open(report, theme=theme)
    found = page.run(CONTRAST)
    assert found["texts"] > 400
    assert found["faint"] == []


WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
PUSHING = """
[...document.querySelectorAll("main *, header *")].filter((e) => !e.closest(".scroll"))
  .filter((e) => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .map((e) => `${e.tagName}.${e.className}`).slice(0, 9)
"""
OVERLAPS = """
[...document.querySelectorAll("td, th")].filter((e) => e.checkVisibility() && e.scrollWidth > e.clientWidth + 1)
  .map((e) => e.textContent.trim().slice(0, 60))
"""


@pytest.mark.parametrize("width", [DESK, PHONE])
def test_nothing_is_wider_than_its_place(page, report, width):
    page.open(report, width=width)
    assert page.run(WIDE) <= 0, "the page itself must not scroll sideways"
    if width == DESK:
        assert page.run(OVERLAPS) == []


INTERVALS = """
[...document.querySelectorAll("#tables table")].filter((table) => table.tHead.textContent.includes("HL shift"))
  .map((table) => {
    const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
    const column = heads.findIndex((head) => head.textContent.includes("HL shift"));
    const right = Math.max(...[...table.tBodies[0].rows].map((row) => row.cells[column].getBoundingClientRect().right));
    return table.parentElement.getBoundingClientRect().right - right;
  })
"""
OUTSIDE = """
[...document.querySelectorAll("#tables table")].filter((table) => table.parentElement.checkVisibility())
  .map((table) => table.parentElement.scrollWidth - table.parentElement.clientWidth)
"""


def test_the_interval_of_an_effect_is_seen_without_scrolling(page, report):
    page.open(report, width=DESK)
    found = page.run(INTERVALS)
    assert found
    assert min(found) >= 0
    assert max(page.run(OUTSIDE)[:2]) <= 0, "two budgets of two metrics and their counts fit"


def test_a_table_of_many_parts_is_folded_and_opens_as_a_whole(browser, world, tmp_path):
    summary = pd.concat([world.summary.assign(dataset=f"d{n}", evaluated_on=f"d{n}") for n in range(3)])
    data = replace(world.data, summary=summary, suite=replace(world.suite, datasets=()))
    tables = [TableSettings(name="main", kind="main")]
    path = make_report(data, tables=tables, figures=[], figures_folder=tmp_path, path=tmp_path / "report.html")
    browser.open(path)
    assert len(texts(browser, "#tables table")) == 3
    summary = pd.concat([world.summary.assign(dataset=f"d{n}", evaluated_on=f"d{n}") for n in range(5)])
    data = replace(world.data, summary=summary, suite=replace(world.suite, datasets=()))
    tables = [TableSettings(name="main", kind="main")]
    path = make_report(data, tables=tables, figures=[], figures_folder=tmp_path, path=tmp_path / "report.html")
    browser.open(path)
    assert len(texts(browser, "#tables summary")) == 5
    assert len(texts(browser, "#tables table")) == 1
    browser.run("document.querySelector('.fold button').click()")
    assert len(texts(browser, "#tables table")) == 5


NASTY = [
    "<script>window.hacked=1</script>",
    "\"'><img src=x onerror=window.hacked=1>",
    "</title></style></script><svg/onload=window.hacked=1>",
    "N" * 200,
    "Ünïcode-名前-🫀-\u202eesrever\u202c-e\u0301",
    "{{ 7*7 }}${7*7}&amp;",
]


@pytest.mark.parametrize("name", NASTY, ids=["script", "attribute", "closing", "long", "unicode", "template"])
def test_hostile_names_neither_break_nor_inject(browser, world, drawn, tmp_path, name):
    nasty = world.rename("pdcr", name)
    frames = [
        frame.replace({"dataset": {"organs": name}, "evaluated_on": {"organs": name}})
        for frame in (nasty.summary, nasty.comparisons)
    ]
    frames[0]["holes_named"] = frames[0]["holes_named"].str.replace("organs-p03", name.replace(";", ","), regex=False)
    runs = [run | {"dataset": name} if run["dataset"] == "organs" else run for run in nasty.runs]
    infos = [nasty.infos[0] | {"entry": name, "title": name, "citation": name}, *nasty.infos[1:]]
    skipped = [nasty.skipped[0] | {"method": name, "dataset": name, "reason": name}]
    suite = replace(
        nasty.suite, title=name, description=name, datasets=(name, "lesions"), entries={}, methods=("supervised", name)
    )
    box = FigureSettings(name="box", kind="box", caption=name)
    shutil.copy(drawn / "box.svg", tmp_path)
    volumes = [one | {"dataset": name, "evaluated_on": name, "method": name, "case": name} for one in stacks()[:3]]
    write_json(tmp_path / f"overlays{SUFFIX}", fit(volumes, LIMIT))
    data = replace(
        nasty.data,
        summary=frames[0],
        comparisons=frames[1],
        runs=runs,
        infos=infos,
        skipped=skipped,
        suite=suite,
        unavailable={name: name},
    )
    path = make_report(
        data,
        tables=[*default_tables(), TableSettings(name="again", caption=name)],
        figures=[box, FigureSettings(name="overlays", kind="overlays")],
        figures_folder=tmp_path,
        path=tmp_path / "report.html",
    )
    for width in (DESK, PHONE):
        browser.open(path, width=width)
        assert browser.run("typeof window.hacked") == "undefined"
        assert browser.run(WIDE) <= 0, browser.run(PUSHING)
        assert browser.run("document.scripts.length") == 1
        assert browser.run("document.title") == f"{name} · contrastseg"
        assert texts(browser, "h1") == [name]
        assert any(name in text for text in texts(browser, "#tables .method"))
        assert texts(browser, ".volume code") == [name] * 3
        assert browser.requests == [path.as_uri()]
        assert browser.complaints == []
