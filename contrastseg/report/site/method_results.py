"""The stored results of one method, for its page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from contrastseg.checkpoint_names import LAST
from contrastseg.report.content.labels import VERDICTS, budget_title, effect, effect_interval, interval, number, p_value
from contrastseg.report.site.markdown import table
from contrastseg.report.site.stored_rows import StoredRow
from contrastseg.text import plural

NOT_RUN = "Not run yet: `results/reference/` has no scores of this method."
_INTRODUCTION = """Mean Dice of last checkpoints with its 95 % interval over patients, and the difference from the
suite's baseline with the corrected test. Rows of different suites are not comparable. *Steps* are those of all stages
together. [The leaderboard](../leaderboard.md) has other checkpoints, [the findings](../findings.md) the comparison at
equal steps.
"""
_TUNED = "With settings chosen among {trials} trials ([how](../tuning.md)), to be compared with other tuned rows alone:"


def method_results(method: str, rows: Sequence[StoredRow]) -> Iterator[str]:
    """A line for each suite, data set, budget and variant; a sentence where none is stored.

    Args:
        method: Name of the method.
        rows: The stored rows of all methods.
    """
    own = [row for row in rows if row.method == method and row.checkpoint == LAST]
    if not own:
        yield NOT_RUN
        return
    yield from _INTRODUCTION.splitlines()
    heads = ["suite", "data", "labels", "variant", "Dice", "difference", "test", "runs", "steps", "place"]
    for trials, group in groupby(sorted(own, key=lambda row: row.trials), key=lambda row: row.trials):
        yield from ("", _TUNED.format(trials=trials)) if trials else ()
        yield ""
        yield from table(heads, (_cells(row, rows) for row in group), 4)


def _cells(row: StoredRow, rows: Sequence[StoredRow]) -> list[str]:
    ranked = sum(other.group == row.group and other.place is not None for other in rows)
    ends = effect_interval(row.difference_low, row.difference_high, 2)
    told = VERDICTS.get(row.verdict, "not compared")
    return [
        f"`{row.suite}`",
        row.data,
        budget_title(row.labels),
        row.variant,
        f"{number(row.mean, 3)} {interval(row.low, row.high, 2)}".strip(),
        "–" if row.difference != row.difference else f"{effect(row.difference, 3)} {ends}".strip(),
        f"{told}, p {p_value(row.p)}" if row.p == row.p else told,
        f"{plural(row.patients, 'patient')}, {plural(row.seeds, 'seed')}, {plural(row.draws, 'draw')}",
        "–" if row.steps is None else f"{row.steps:,}",
        "–" if row.place is None else f"{row.place} of {ranked}",
    ]
