"""The leaderboard of all stored rows: a table that needs no script, sorted and filtered by a small one.

`docs/_hooks.py` hands it to the site at every build. To write it alone:
`python -m contrastseg.report.site.leaderboard leaderboard.md`
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from pathlib import Path

from contrastseg.checkpoint_names import ORACLE, ORACLE_MARK
from contrastseg.files import atomic_path
from contrastseg.methods import registry
from contrastseg.report.content.labels import (
    VERDICTS,
    budget_order,
    budget_title,
    effect,
    effect_interval,
    interval,
    number,
    p_value,
)
from contrastseg.report.site.stored_rows import StoredRow
from contrastseg.report.site.submitted_rows import all_rows

_INTRODUCTION = """---
hide: [toc]
---

# Leaderboard

This page has every row that is stored under `results/reference/` and `results/submitted/`: one method at one label
budget. It is made at every build of the site, so it follows the stored scores. Rows of one suite share data, recipe,
test patients and scoring. Rows of different suites do not: compare within one suite, data set, budget and checkpoint.

- *Dice*: mean over classes, cases and runs, then patients, with its 95 % interval over patients.
- *Difference* and *test*: against the suite's baseline, paired by patient, corrected as the suite says. Look at *steps*
  before you call a method better: longer training alone helps. [The findings](findings.md) compare at equal steps.
- *Place*: by the mean, descriptive. Neighbours often do not differ significantly.
- *best_test*: {oracle}. It was selected on the test cases, has no place and was not tested.
- *External* rows were trained elsewhere and scored here. [Submit yours](submit.md).

"""
_TUNED = """
## Tuned rows

Settings of these rows were chosen among equally many trials for each method, never on test patients ([how](tuning.md)).
Compare them with one another, never with a row above.
"""
_HEADS = (
    ("method", "text"),
    ("provenance", "text"),
    ("suite", "text"),
    ("data", "text"),
    ("labels", "number"),
    ("checkpoint", "text"),
    ("place", "number"),
    ("Dice", "number"),
    ("difference", "number"),
    ("test", "text"),
    ("patients", "number"),
    ("seeds", "number"),
    ("draws", "number"),
    ("steps", "number"),
)
FILTERS = ("suite", "data", "labels", "checkpoint", "provenance")
"""What the script offers to filter by; each row carries them as `data-` attributes."""


def page(rows: Sequence[StoredRow]) -> str:
    """The whole page, in Markdown with the table in HTML.

    Args:
        rows: As `stored_rows` gives them.
    """
    lines = ['<div id="leaderboard-filters" data-filters="' + " ".join(FILTERS) + '" hidden></div>']
    lines += _table((row for row in rows if not row.trials), "leaderboard-table")
    lines.append('<script src="leaderboard.js" defer></script>')
    if tuned := [row for row in rows if row.trials]:
        lines += [_TUNED, *_table(tuned, "leaderboard-tuned")]
    return _INTRODUCTION.format(oracle=ORACLE_MARK) + "\n".join(lines) + "\n"


def _table(rows: Iterable[StoredRow], name: str) -> Iterator[str]:
    yield '<div class="leaderboard-scroll">'
    yield f'<table class="leaderboard" id="{name}">'
    heads = "".join(f'<th scope="col" data-kind="{kind}">{escape(title)}</th>' for title, kind in _HEADS)
    yield f"<thead><tr>{heads}</tr></thead>"
    yield "<tbody>"
    yield from map(_line, rows)
    yield "</tbody></table></div>"


def _line(row: StoredRow) -> str:
    budget = budget_title(row.labels)
    facets = {
        "suite": row.suite,
        "data": row.data,
        "labels": budget,
        "checkpoint": row.checkpoint,
        "provenance": row.provenance or "unknown",
    }
    attributes = "".join(f' data-{name}="{escape(value)}"' for name, value in facets.items())
    oracle = row.checkpoint == ORACLE
    cells = [
        _cell(_name(row), row.method, head=True),
        _cell(escape(facets["provenance"])),
        _cell(f"<code>{escape(row.suite)}</code>", row.suite, title=row.machine),
        _cell(escape(row.data)),
        _cell(escape(budget), f"{budget_order(row.labels)[1]:g}"),
        _cell(f"{escape(row.checkpoint)}{f' <em>{ORACLE_MARK}</em>' if oracle else ''}", row.checkpoint),
        _cell("–" if row.place is None else str(row.place), row.place),
        _cell(_with(number(row.mean, 3), interval(row.low, row.high, 2)), _sort(row.mean)),
        _cell(_difference(row), _sort(row.difference)),
        _cell(_test(row)),
        *(_cell(str(count), count) for count in (row.patients, row.seeds, row.draws)),
        _cell("–" if row.steps is None else f"{row.steps:,}", row.steps),
    ]
    kind = ' class="oracle"' if oracle else ""
    return f"<tr{attributes}{kind}>{''.join(cells)}</tr>"


def _cell(content: str, sort: object = None, *, head: bool = False, title: str = "") -> str:
    tag = 'th scope="row"' if head else "td"
    order = "" if sort is None else f' data-sort="{escape(str(sort))}"'
    hint = f' title="{escape(title)}"' if title else ""
    return f"<{tag}{order}{hint}>{content}</{tag.split()[0]}>"


def _name(row: StoredRow) -> str:
    name = row.method if row.variant == "default" else f"{row.method}/{row.variant}"
    code = f"<code>{escape(name)}</code>"
    return f'<a href="cards/{row.method}.html">{code}</a>' if row.method in registry.names() else code


def _difference(row: StoredRow) -> str:
    if math.isnan(row.difference):
        return "–"
    signed = effect(row.difference, 3)
    return _with(signed, effect_interval(row.difference_low, row.difference_high, 2))


def _with(value: str, ends: str) -> str:
    return f"{value} <small>{ends}</small>" if ends else value


def _test(row: StoredRow) -> str:
    """What the corrected test says, in words."""
    if row.checkpoint == ORACLE:
        return "not comparable"
    if not row.verdict:
        return "not compared"
    words = VERDICTS[row.verdict]
    if row.verdict in ("better", "worse"):
        words = f'<strong class="{row.verdict}">{words}</strong>'
    if row.verdict == "reference":
        return words
    p = f", p {p_value(row.p)}" if row.p == row.p else ""
    return f"{words}{escape(p)}" + (f" <small>than {escape(row.baseline)}</small>" if "<strong" in words else "")


def _sort(value: float) -> str | None:
    return None if math.isnan(value) else f"{value:.6f}"


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    given = parser.parse_args()
    with atomic_path(given.output) as temporary:
        temporary.write_text(page(all_rows()), encoding="utf-8")


if __name__ == "__main__":
    main()
