"""The page of findings for a reader with five minutes, made from the stored scores of the reference runs alone.

`python -m contrastseg.report.site.made_pages` writes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median

from contrastseg.paths import CHECKOUT
from contrastseg.report.content.labels import Pair, budget_title, number
from contrastseg.report.figures.cost import costs_of
from contrastseg.report.site.certainty import by_draw, certainty, detectable, limits
from contrastseg.report.site.claims import by_conventions, by_selection
from contrastseg.report.site.equal_steps import EqualSteps, equal_steps_of, grouped, pairs_of
from contrastseg.report.site.reference_runs import MAIN_SUITES, ReferenceRuns, reference_runs
from contrastseg.report.site.wording import MARKS, beside, names_of, table_of
from contrastseg.text import plural

SUITES = MAIN_SUITES
_NAMED = 3  # worse methods of a place that the short table names
Evidence = dict[ReferenceRuns, list[EqualSteps]]

NOT_RUN = "Not run yet."
_INTRODUCTION = """# Findings of the benchmark

This page answers one question: which methods are better than a strong supervised baseline with the same number of
training steps? It is made by `python -m contrastseg.report.site.made_pages` from the scores stored under
`results/reference/`. Every number is computed from them. [All results](results.md) has the long tables, and
[the leaderboard](leaderboard.md) every row.

- *Better* and *worse*: significantly different in Dice by a paired test over patients, corrected for all methods that
  are tested together at that budget.
- *Not significant*: no difference found. The two may still differ by less than the test can see.
- *Equal steps*: the supervised row has at least as many training steps as the method, all stages counted.
- The mark behind a name is its provenance: [O] official, [P] published, [R] reconstructed. A finding about an [R]
  method is a finding about our reconstruction.
"""
_COSTS = """Time of a whole run divided by that of `supervised` at the same budget, median over budgets and runs, on a
machine with other work. The table has the methods that are significantly better somewhere.
[All results](results.md#costs-of-a-method) has the others.
"""


def evidence(root: Path = CHECKOUT, suites: Sequence[str] = SUITES) -> Evidence:
    """The comparisons at equal steps of the suites that the findings rest on.

    Args:
        root: Where `results/reference/` lies.
        suites: Their names, the main one first.
    """
    return {run: equal_steps_of(run) for run in reference_runs(root, suites)}


def page(found: Evidence) -> str:
    """The whole page, in Markdown. Sections without scores say that they were not run."""
    runs = list(found)
    parts: dict[str, Iterable[str]] = {
        "In one minute": _over(found, in_short),
        "Differences from the supervised baseline": _over(found, differing),
        "Certainty": (*certainty(runs), *_over(found, certain)),
        "Effect of selection on the test cases": (told for run in runs for told in by_selection(run)),
        "Effect of the scoring convention": (told for run in runs for told in by_conventions(run)),
        "Costs": costs(found),
        "Limits": limits(runs) if runs else (),
    }
    text = _INTRODUCTION
    for title, lines in parts.items():
        body = "\n".join(lines).strip("\n")
        text += f"\n## {title}\n\n{body or NOT_RUN}\n"
    return text


def _over(found: Evidence, part: Callable[[ReferenceRuns, list[EqualSteps]], Iterator[str]]) -> Iterator[str]:
    for run, places in found.items():
        yield from part(run, places)


def in_short(run: ReferenceRuns, places: Sequence[EqualSteps]) -> Iterator[str]:
    """The methods by what the tests say of them, and the figure."""
    data = ", ".join(dict.fromkeys(at.place.title for at in places))
    budgets = "; ".join(budget_title(at.place.labels) for at in places)
    yield f"- **{data}** (`{run.suite}`; {budgets}), against `supervised` with at least as many steps:"
    for words, pairs in grouped(places).items():
        yield f"    - {words}: {', '.join(run.named(*pair) for pair in pairs)}."
    if left := dict.fromkeys(pair for at in places for pair in at.unmatched):
        names = ", ".join(run.named(*pair) for pair in left)
        yield f"    - not compared, as no supervised row has as many steps: {names}."
    if any(at.rows for at in places):
        yield f"\n![{data}: each method's difference from the supervised baseline]({figure_name(run)})\n"


def figure_name(run: ReferenceRuns) -> str:
    """The figure of a suite in `docs/`."""
    return f"evidence-{run.suite}.svg"


def differing(run: ReferenceRuns, places: Sequence[EqualSteps]) -> Iterator[str]:
    """The methods that differ significantly anywhere, at every budget."""
    shown = [pair for pair in pairs_of(places) if _differs(places, pair)]
    if not places:
        return
    yield f"`{run.suite}`: difference in Dice with its 95 % interval, and the corrected p.\n"
    rows = [["`supervised` (steps)", *(baselines(run, at) for at in places)]]
    for pair in shown:
        rows.append([run.named(*pair), *(beside(at.rows[pair]) if pair in at.rows else "–" for at in places)])
    yield from table_of(["method", *(at.place.name for at in places)], rows, 1)
    same = [pair for pair in pairs_of(places) if pair not in shown]
    if same:
        yield f"No significant difference at any budget: {', '.join(run.named(*pair) for pair in same)}.\n"


def _differs(places: Sequence[EqualSteps], pair: Pair, verdicts: Sequence[str] = tuple(MARKS)) -> bool:
    return any(pair in at.rows and at.rows[pair].verdict in verdicts for at in places)


def baselines(run: ReferenceRuns, at: EqualSteps) -> str:
    """The means of the supervised rows of a place, with their steps: such as "0.747 (1,200)<br>0.790 (3,600)"."""
    means = {}
    for row in at.rows.values():
        method, _, variant = str(row.reference).partition("/")
        steps = run.total_steps(at.place.entry, method, variant or "default")
        means[number(float(row.reference_mean), 3)] = steps
    by_steps = sorted(means.items(), key=lambda item: item[1] or 0)
    return "<br>".join(f"{mean} ({'unknown' if steps is None else f'{steps:,}'})" for mean, steps in by_steps)


def certain(run: ReferenceRuns, places: Sequence[EqualSteps]) -> Iterator[str]:
    """What the tests of a suite can find, and what single draws say."""
    yield from by_draw(run)
    yield from detectable(places)


def costs(found: Evidence) -> Iterator[str]:
    """Time and memory of the methods that are better somewhere."""
    rows = []
    for run, places in found.items():
        seconds, memory = (costs_of(run.results.runs, cost)[0] for cost in ("seconds", "memory"))
        for pair in (pair for pair in pairs_of(places) if _differs(places, pair, ("better",))):
            own = {key: value for key, value in seconds.items() if key[2:] == pair}
            usual = {key: seconds.get((*key[:2], "supervised", "default")) for key in own}
            ratios = [value / base for key, value in own.items() if (base := usual[key])]
            held = [value for key, value in memory.items() if key[2:] == pair]
            gained = [row for at in places if pair in at.rows and (row := at.rows[pair]).verdict == "better"]
            rows.append(
                [
                    f"`{run.suite}`",
                    run.named(*pair),
                    f"{number(median(ratios), 2)}×" if ratios else "–",
                    f"{number(max(held), 1)} GiB" if held else "–",
                    plural(len(gained), "budget"),
                ]
            )
    if rows:
        yield _COSTS
        yield from table_of(["suite", "method", "time", "memory", "better at"], rows, 2)


def short_table(found: Evidence) -> Iterator[str]:
    """One line for each data set and budget: for the README and the site's first page."""
    heads = ["data", "`supervised` (steps)", "significantly better", "significantly worse", "not significant"]
    rows = []
    for run, places in found.items():
        for at in places:
            better, worse = at.with_verdict("better"), at.with_verdict("worse")
            others = len(at.rows) - len(better) - len(worse)
            rows.append(
                [
                    at.place.name,
                    baselines(run, at),
                    names_of(run, better) or "–",
                    names_of(run, worse[::-1]) if len(worse) <= _NAMED else plural(len(worse), "method"),
                    f"{others} of {len(at.rows)}",
                ]
            )
    yield from table_of(heads, rows)
