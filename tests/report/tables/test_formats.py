"""Four formats, the same table: nothing in a name breaks one, and nothing in a name becomes part of one."""

from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from contrastseg.report.settings import TableSettings, default_tables
from contrastseg.report.tables.build import build_tables, make_tables
from contrastseg.report.tables.formats import to_csv, to_html, to_markdown
from contrastseg.report.tables.latex import escape_latex, to_latex
from contrastseg.report.tables.model import Block, Cell, Column, Row, Table

HOSTILE = (
    "<script>alert(1)</script>",
    '" onmouseover="alert(1)',
    "'; DROP TABLE scores; --",
    r"\input{/etc/passwd} \write18{rm} \\ & % $ # _ { } ~ ^ \end{tabular}",
    "n" * 200,
    "Größe é ł 中文 🫀 \u202e rtl \u0000 a\u0301",
    "a | b `c` *d* [e](javascript:alert(1)) ![f](x) $g$ &lt;b&gt; http://x",
    "=cmd|' /C calc'!A0",
    "two\nlines\r\nand\ttabs\u2028more",
    "]] [[ ---- ?` !` ``quoted''",
)
PAPER = {
    "source": "la",
    "where": "table 9 (own re-runs)",
    "blocks": ["labelled"],
    "methods": {"VNet-L": "supervised"},
    "labels": {"1 cases": "r0.1"},
    "classes": {"left atrium": "mean"},
}


_MADE: dict[str, list[Table]] = {}


def hostile(world, name: str) -> list[Table]:
    """The tables with this name in them, made once."""
    if name not in _MADE:
        _MADE[name] = make_hostile(world, name)
    return _MADE[name]


def make_hostile(world, name: str) -> list[Table]:
    """Every kind of table of the invented comparison, with this name for a data set, a method, a class and a case."""

    def renamed(frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame.replace({"method": {"pdcr": name}, "class": {"spleen": name}})
        for column in ("dataset", "evaluated_on"):
            frame = frame.replace({column: {"organs": name}})
        if "holes_named" in frame:
            frame["holes_named"] = [f"{name} (draw 0)" if text else "" for text in frame["holes_named"].map(bool)]
        return frame

    suite = world.suite
    entries = {name if key == "organs" else key: replace(entry, subset=name) for key, entry in suite.entries.items()}
    runs = [
        run
        | {"method": name if run["method"] == "pdcr" else run["method"]}
        | {"dataset": name if run["dataset"] == "organs" else run["dataset"]}
        for run in world.runs
    ]
    infos = [info | {"entry": name, "title": name} if info["entry"] == "organs" else info for info in world.infos]
    data = replace(
        world.data,
        summary=renamed(world.summary),
        comparisons=renamed(world.comparisons),
        runs=runs,
        infos=infos,
        skipped=[{"dataset": "lesions", "method": name, "labels": "r0.5", "reason": name}],
        suite=replace(suite, entries=entries, methods=(name, "supervised"), datasets=(name, "lesions")),
    )
    paper = {**PAPER, "datasets": {"LA": {"entry": name, "split": name, "differs": [name]}}}
    wanted = [TableSettings(name="paper", kind="paper", published=paper, caption=name), *default_tables()]
    return build_tables(data, wanted)


class Page(HTMLParser):
    """Collects tags, attributes and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("name", HOSTILE)
def test_html_prints_names_and_gains_nothing_from_them(world, name):
    for table in hostile(world, name):
        page = Page(to_html(table))
        assert set(page.tags) <= {
            *("figure", "figcaption", "table", "caption", "thead", "tbody", "tr", "td", "th", "ul", "li", "sup"),
            *("small", "strong", "u", "p"),
        }
        assert page.attributes <= {"scope", "colspan", "title"}
        assert name.replace("\r\n", "\n") in page.text.replace("\r\n", "\n"), table.name


@pytest.mark.parametrize("name", HOSTILE)
def test_markdown_keeps_its_columns_and_lets_no_html_in(world, name):
    for table in hostile(world, name):
        text = to_markdown(table)
        assert not re.search(r"(?<!\\)<(?!/?u>)", text), "only underlines are HTML"
        assert "](" not in re.sub(r"\\.", "", text), "no link"
        assert "&lt;" not in text
        blocks = [part for part in text.split("\n\n") if part.startswith("|")]
        assert len(blocks) == len(table.blocks)
        for part, block in zip(blocks, table.blocks, strict=True):
            assert len(part.splitlines()) == len(block.rows) + 2
            for line in part.splitlines():
                assert len(re.findall(r"(?<!\\)\|", line.replace("\\\\", ""))) == len(block.columns) + 2


@pytest.mark.parametrize("name", HOSTILE)
def test_csv_keeps_its_columns_and_runs_no_formula(world, name):
    for table in hostile(world, name):
        rows = list(csv.reader(io.StringIO(to_csv(table))))
        assert {len(row) for row in rows} == {len(table.tidy.columns)}
        assert len(rows) == len(table.tidy) + 1
        assert not [cell for row in rows for cell in row if cell[:1] in "=@" and cell]
        assert not [cell for row in rows for cell in row if re.match(r"[+-](?!\d|inf|nan)", cell)]


def structure(latex: str) -> None:
    """What LaTeX would stumble over: groups, environments, active characters, cells per row."""
    bare = re.sub(r"\\[\\&%$#_{}^~]", lambda found: "@@" if found[0] != r"\\" else found[0], latex)
    assert bare.isascii()
    depth = 0
    for character in bare:
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0
    assert depth == 0
    stack: list[str] = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", bare):
        stack.append(name) if kind == "begin" else None
        assert kind == "begin" or stack.pop() == name
    assert not stack
    assert bare.count("$") % 2 == 0
    for line in bare.splitlines():
        assert "%" not in line.rstrip("%").lstrip("%"), "a comment in a line swallows its end"
        assert "#" not in line
        assert "~" not in line
        for math in re.sub(r"\$[^$]*\$", "", line):
            assert math not in "_^"
    commands = set(re.findall(r"\\([A-Za-z]+)", bare))
    assert not commands & {"input", "write", "include", "def", "catcode", "openout", "immediate"}
    for columns, body in re.findall(r"\\begin\{tabular\}\{(.*?r*)\}\n(.*?)\\end\{tabular\}", bare, re.DOTALL):
        width = len(re.sub(r"p\{[^}]*\}", "l", columns))
        rows = [line for line in body.splitlines() if line.endswith(r"\\")]
        for row in rows:
            spans = [int(span) - 1 for span in re.findall(r"\\multicolumn\{(\d+)\}", row)]
            assert row.count("&") + 1 + sum(spans) == width, row


@pytest.mark.parametrize("name", HOSTILE)
def test_latex_is_sound_whatever_the_names(world, name):
    for table in hostile(world, name):
        structure(to_latex(table))


def test_the_check_of_the_structure_can_fail(world):
    sound = to_latex(hostile(world, "fine")[0])
    structure(sound)
    for broken in (
        sound.replace("&", "", 1),
        sound.replace("}", "", 1),
        sound.replace(r"\bottomrule", "50% of", 1),
        sound.replace(r"\bottomrule", "a_b", 1),
        sound.replace(r"\end{tabular}", "", 1),
        sound.replace(r"\bottomrule", "中", 1),
    ):
        assert broken != sound
        with pytest.raises((AssertionError, IndexError)):
            structure(broken)


def test_latex_writes_letters_it_has_and_names_those_it_has_not():
    assert escape_latex("é ñ ü ç š τ") == r"\'{e} \~{n} \"{u} \c{c} \v{s} $\tau$"
    assert escape_latex("中🫀") == "U+4E2DU+1FAC0"
    assert escape_latex("a\u0000b\u202ec") == "a b c"
    assert escape_latex("–—−") == "-----$-$"


def test_latex_says_what_it_needs_and_puts_each_block_in_a_float_of_its_own(world):
    table = build_tables(world.data, [TableSettings(name="a_b", kind="main", metrics=["dice"])])[0]
    text = to_latex(table)
    assert text.startswith("% needs \\usepackage{booktabs,graphicx}\n")
    assert text.count(r"\begin{table}") == len(table.blocks) == 2
    assert re.findall(r"\\label\{(.*?)\}", text) == ["tab:a-b", "tab:a-b-2"]
    assert text.count(escape_latex(table.footnotes[0])) == 1
    assert r"\textbf{" in text
    assert r"\underline{" in text


def test_a_long_name_is_broken_and_gets_a_column_of_fixed_width(world):
    table = hostile(world, "n" * 200)[1]
    text = to_latex(table)
    assert "n" * 17 not in text
    assert r"\begin{tabular}{p{0.35\linewidth}r" in text


def test_html_is_written_beside_the_others_and_marks_the_best(world, tmp_path):
    written = make_tables(world.data, default_tables(), tmp_path)
    assert {path.suffix for path in written} == {".csv", ".md", ".tex", ".html"}
    text = (tmp_path / "main.html").read_text(encoding="utf-8")
    assert re.search(r"<td><strong>0\.\d{3}</strong>", text)
    assert '<sup title="reconstructed: gaps in the text of the paper were filled">R</sup>' in text


def test_a_row_without_a_mark_has_no_empty_one():
    label = build_label()
    table = Table("t", "c", (Block("b", (Column("x"),), (Row(label, (Cell("1"),)),)),), ())
    assert "[]" not in to_markdown(table)
    assert r"\textsuperscript{}" not in to_latex(table)
    assert "<sup" not in to_html(table)


def build_label():
    from contrastseg.report.content.labels import MethodLabel

    return MethodLabel("", "", "", "published", published_name="Theirs")


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed: LaTeX is checked as text only")
@pytest.mark.parametrize("names", ["ours", "hostile"])
def test_latex_compiles_and_stays_on_the_page(world, tmp_path: Path, names: str) -> None:
    paper = TableSettings(name="paper", kind="paper", published={**PAPER, "datasets": {"LA": "organs"}})
    tables = build_tables(world.data, [paper, *default_tables()])
    if names == "hostile":
        tables = [one for name in HOSTILE for one in hostile(world, name)]
    inputs = []
    for number, table in enumerate(tables):
        (tmp_path / f"{number}.tex").write_text(to_latex(table), encoding="utf-8")
        inputs.append(rf"\input{{{number}}}\clearpage")
    body = "\n".join(inputs)
    (tmp_path / "all.tex").write_text(
        rf"\documentclass{{article}}\usepackage{{booktabs,graphicx}}\begin{{document}}{body}\end{{document}}"
    )
    # A draft needs no font files: a small installation lacks those of the odder characters.
    draft = ["-draftmode"] if names == "hostile" else []
    command = ["pdflatex", *draft, "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="latin-1", timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]
    wide = [float(points) for points in re.findall(r"Overfull \\hbox \(([\d.]+)pt too wide", done.stdout)]
    assert max(wide, default=0.0) < 2, "a table or its notes run off the page"
    if names == "ours":
        assert (tmp_path / "all.pdf").is_file()
        assert "Float too large" not in done.stdout
