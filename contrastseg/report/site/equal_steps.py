"""Every method against a supervised row with at least as many steps: the comparison that the findings rest on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from contrastseg.report.content.labels import Pair
from contrastseg.report.site.longer import against_equal_steps
from contrastseg.report.site.reference_runs import EQUAL_STEPS, ComparedPlace, ReferenceRuns

LONGER: Pair = ("supervised", EQUAL_STEPS)


@dataclass(frozen=True)
class EqualSteps:
    """One data set at one label budget, every method beside `supervised` with at least as many steps.

    Attributes:
        run: The stored results.
        place: Data set and label budget.
        rows: (method, variant) -> its row of `compare`, against the shortest supervised row that is long enough.
        unmatched: The scored methods without such a row: all are shorter, or the length is the method's own.
    """

    run: ReferenceRuns
    place: ComparedPlace
    rows: dict[Pair, Any]
    unmatched: tuple[Pair, ...]

    def with_verdict(self, *verdicts: str) -> list[Any]:
        """The rows of these verdicts, the largest difference first."""
        found = [row for row in self.rows.values() if row.verdict in verdicts]
        return sorted(found, key=lambda row: -row.mean_difference)


def equal_steps_of(run: ReferenceRuns) -> list[EqualSteps]:
    """The comparisons at equal steps of every data set and budget of a suite, small budgets first.

    A method with as few steps as the baseline keeps its row of the suite's own comparison. A longer one is compared
    with `supervised/equal_steps`, corrected over the methods that are.
    """
    return [_at(run, place) for place in run.places()]


def _at(run: ReferenceRuns, place: ComparedPlace) -> EqualSteps:
    base = (str(place.baseline.method), str(place.baseline.variant))
    usual, longer_total = run.total_steps(place.entry, *base), run.equal_total(place.entry)
    longer = {(str(row.method), str(row.variant)): row for row in against_equal_steps(run, place)}
    rows: dict[Pair, Any] = {}
    unmatched = []
    for pair, row in place.others().items():
        total = run.total_steps(place.entry, *pair)
        if pair == LONGER:
            continue
        if total is not None and usual is not None and total <= usual:
            rows[pair] = row
        elif total is not None and longer_total is not None and total <= longer_total and pair in longer:
            rows[pair] = longer[pair]
        else:
            unmatched.append(pair)
    return EqualSteps(run, place, rows, tuple(unmatched))


def pairs_of(places: Sequence[EqualSteps]) -> list[Pair]:
    """The methods that are compared anywhere: more often better first, then the larger mean difference."""
    pairs = dict.fromkeys(pair for at in places for pair in at.rows)
    return sorted(pairs, key=lambda pair: _order(at.rows[pair] for at in places if pair in at.rows))


def _order(rows: Iterable[Any]) -> tuple[int, float]:
    found = list(rows)
    won = sum((row.verdict == "better") - (row.verdict == "worse") for row in found)
    return -won, -sum(row.mean_difference for row in found) / len(found)


def grouped(places: Sequence[EqualSteps]) -> dict[str, list[Pair]]:
    """The methods by what the tests say of them over all budgets, best first.

    The keys are such as "better 2 of 3 times", and "not significant anywhere".
    """
    found: dict[str, list[Pair]] = {}
    for pair in pairs_of(places):
        verdicts = [at.rows[pair].verdict for at in places if pair in at.rows]
        counts = {word: verdicts.count(word) for word in ("better", "worse")}
        said = [f"{word} {times(count, len(verdicts))}" for word, count in counts.items() if count]
        found.setdefault(" and ".join(said) or "not significant anywhere", []).append(pair)
    return found


def times(count: int, total: int) -> str:
    """Such as "2 of 3 times"; "everywhere" where it is all of several."""
    if count == total:
        return "everywhere" if total > 1 else "in the one comparison"
    return f"{count} of {total} times"
