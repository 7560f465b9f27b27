"""The page of all results, made from the stored scores of the reference runs alone: no number of it is typed in.

`python -m contrastseg.report.site.made_pages` writes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from contrastseg.evaluation.statistics.comparison import compare
from contrastseg.evaluation.statistics.verdicts import VERDICTS
from contrastseg.methods import registry
from contrastseg.paths import CHECKOUT
from contrastseg.report.content.labels import budget_title, number
from contrastseg.report.content.report_data import records
from contrastseg.report.figures.cost import costs_of
from contrastseg.report.site.longer import against_equal_steps, as_long
from contrastseg.report.site.moves import moves
from contrastseg.report.site.published_numbers import published_numbers
from contrastseg.report.site.reference_runs import (
    EQUAL_STEPS,
    MAIN_SUITES,
    ComparedPlace,
    ReferenceRuns,
    reference_runs,
)
from contrastseg.report.site.tuned_results import tuned
from contrastseg.report.site.wording import (
    MARKS,
    WORDS,
    beside,
    difference_of,
    mean_of,
    name_of,
    names_of,
    table_of,
    verdict_of,
)
from contrastseg.text import plural

SUITES = MAIN_SUITES
ABLATIONS = ("acdc_ablations",)
TUNED = ("tuned_small",)
SYSTEMS = {
    "PDCR": ("pdcr",),
    "UAFR": ("uafr",),
    "PDCR with UAFR": ("pdcr_uafr",),
    "LRC": ("lrc", "lrc_sequential", "lrc_supervised"),
    "IDEAL": ("ideal",),
    "CVRL": ("cvrl",),
    "Semantic-aware": ("semantic_aware",),
}
_INTRODUCTION = """# All results

[The findings](findings.md) are the short version of this page. Both are made by
`python -m contrastseg.report.site.made_pages` from the scores stored under `results/reference/`. Every number, in
tables and in sentences, is computed from them. [The leaderboard](leaderboard.md) has every row.

How to read it:

- *Better* and *worse* mean significantly different by a paired test over patients, corrected for all comparisons at
  that budget.
- *Not significant* means that the test found no difference. It does not mean that the two are equal.
- Intervals of differences are not corrected. Such an interval can exclude 0 where the corrected test is not
  significant.
- The mark behind a name is its provenance: [O] official, [P] published, [R] reconstructed. A finding about an [R]
  method is a finding about our reconstruction.

More: [the cards](cards/index.md) have the source of each method, [the policy](evaluation.md) the rules of scoring, and
[observations](methods.md) phantoms and single runs.
"""
_SYSTEMS = """`{suite}`: the difference in Dice from `supervised` with its 95 % interval, the corrected p, and the
rank with its interval when patients are resampled.
"""
_METHODS = """`{suite}`: mean Dice with its 95 % interval; \\* better, † worse than `supervised` by the corrected test.
"""
_COSTS = """*Time* is that of a run with all its stages, divided by that of `supervised` at the same budget. It is the
median over budgets and runs, on a machine with other work. *Memory* is that of the last stage. [Costs](costs.md) has
the hours of every suite.
"""
_ABLATIONS = """`{suite}`: each variant against its method's default, and the other stagings of LRC against `lrc`.
Tests are corrected within the variants of one method, and within the stagings. `supervised` has {supervised} there.
"""


def page(root: Path = CHECKOUT) -> str:
    """The whole page, in Markdown.

    Args:
        root: Where `results/reference/` lies.
    """
    runs, ablations = reference_runs(root, SUITES), reference_runs(root, ABLATIONS)
    parts: dict[str, Iterable[str]] = {
        "In short": (told for run in runs for told in in_short(run)),
        "Runs": what_was_run([*runs, *ablations]),
        "The six systems": (told for run in runs for told in systems(run)),
        "Effect of longer training": (told for run in runs for told in as_long(run)),
        "Every method": (told for run in runs for part in (everything, missed) for told in part(run)),
        "Other effects on the ranking": (told for run in runs for told in moves(run)),
        "Costs of a method": costs(runs),
        "Ablations": (told for run in ablations for told in variants(run)),
        "Tuned methods": (told for run in reference_runs(root, TUNED) for told in tuned(run)),
        "Beside published numbers": (told for run in runs for told in published_numbers(run)),
    }
    text = _INTRODUCTION
    for title, lines in parts.items():
        body = "\n".join(lines).strip("\n")
        text += f"\n## {title}\n\n{body or 'Not run yet.'}\n"
    return text


def in_short(run: ReferenceRuns) -> Iterator[str]:
    """What the tests say of the systems, then of every data set and budget."""
    places = run.places()
    usual = [{name: place.row(name) for name in run.methods} for place in places]
    yield f"- **The six systems**, `{run.suite}`, against `supervised`"
    yield from _answer(usual)
    longer = [{row.method: row for row in against_equal_steps(run, place)} for place in places]
    if any(longer):
        yield "- **Those with several stages**, against `supervised` with as many steps as the longest method"
        yield from _answer(longer)
    for place in places:
        yield f"- **{place.name}**, {plural(int(place.leader.n), 'test patient')}"
        yield from (f"    - {line}." for line in _at_budget(run, place))
    figure = run.folder / "figures" / "label_ratio.png"
    if figure.exists():
        data = ", ".join(dict.fromkeys(place.title for place in places))
        target = "/".join(("results", "reference", *figure.parts[-4:]))
        yield f"\n![Dice of every method against the labels, {data}](../{target})\n"


def _at_budget(run: ReferenceRuns, place: ComparedPlace) -> Iterator[str]:
    """The highest mean, then the methods by what the tests say of them."""
    leader, baseline = place.leader, place.baseline
    first = [row for row in place.of(*VERDICTS) if not row.missing and abs(row.mean - leader.mean) < 1e-12]
    names = ", ".join(name_of(run, row) for row in first)
    yield (
        f"highest mean Dice (descriptive): {names} {number(leader.mean, 3)};"
        f" `{baseline.method}` {number(baseline.mean, 3)}"
    )
    better, worse, rest = place.of("better"), place.of("worse"), place.of("n.s.", "n too small", "identical")
    if better:
        yield f"better than `{baseline.method}`: {names_of(run, better)}"
    if worse:
        yield f"worse than `{baseline.method}`: {names_of(run, worse)}"
    yield f"not significant: {len(rest)} of {len(rest) + len(better) + len(worse)}"
    if incomplete := place.of("incomplete"):
        yield f"predictions missing, not tested: {', '.join(name_of(run, row) for row in incomplete)}"
    yield from _still(run, place)


def _answer(places: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The systems by what the tests say of them, best first: for each data set and budget, method -> its row."""
    found: dict[tuple[int, str], list[str]] = {}
    for system, methods in SYSTEMS.items():
        for name in methods:
            verdicts = [rows[name].verdict for rows in places if rows.get(name) is not None]
            counts = {word: verdicts.count(word) for word in MARKS}
            said = [f"{word} {_times(count, len(verdicts))}" for word, count in counts.items() if count]
            if verdicts:
                form = f"{system} (`{name}`)" if len(methods) > 1 else system
                place = (counts["worse"] - counts["better"], " and ".join(said) or "not significant anywhere")
                found.setdefault(place, []).append(form)
    return (f"    - {place[1]}: {', '.join(found[place])}." for place in sorted(found))


def _times(count: int, total: int) -> str:
    return "everywhere" if count == total else f"{count} of {plural(total, 'time')}"


def _still(run: ReferenceRuns, place: ComparedPlace) -> Iterator[str]:
    """Which of the better methods with several stages are better than the row of equal steps, too."""
    better = {row.method for row in place.of("better") if len(registry.get(row.method).stages) > 1}
    rows = [row for row in against_equal_steps(run, place) if row.method in better]
    if rows:
        still = [row for row in rows if row.verdict == "better"]
        names = f": {names_of(run, still)}" if still else ""
        yield (
            f"still better against `supervised/equal_steps`: {len(still)} of"
            f" {plural(len(rows), 'better method')} with several stages{names}"
        )


def what_was_run(runs: Sequence[ReferenceRuns]) -> Iterator[str]:
    """Data, recipe, seeds and machine of every suite, and how much of it has scores."""
    head = ["suite", "data", "training / test patients", "recipe", "seeds", "planned cells with scores", "machine"]
    rows = []
    for run in runs:
        results, places = run.results, run.places()
        training, length = results.plan["suite"]["training"], _length_of(results.plan["suite"])
        axes = ["dataset", "method", "variant", "labels", "draw", "fold", "seed", "evaluated_on", "checkpoint"]
        tested = sorted({int(place.baseline.n) for place in places})
        rows.append(
            [
                f"`{run.suite}`",
                ", ".join(dict.fromkeys(place.title for place in places)),
                f"{max(record['training_patients'] for record in results.runs)} / {', '.join(map(str, tested))}",
                f"{training['steps']:,} steps {length}, batch {training['batch_size']}, {training['precision']}",
                run.usual_seeds,
                f"{len(results.all_scores[axes].drop_duplicates()):,} of {len(results.plan['evaluations']):,}",
                f"`{run.folder.name}`",
            ]
        )
    yield from table_of(head, rows)
    for run in runs:
        left = [f"`{name}`" for name in registry.names() if name not in run.methods]
        yield f"- Not in `{run.suite}`: {', '.join(left)}." if left else f"- `{run.suite}` has every method."
    yield "\nThe descriptions of the suites give the reasons. Their own tables name every cell without scores."


def _length_of(suite: Mapping[str, Any]) -> str:
    return "over all stages" if suite.get("budget") == "steps" else "a stage"


def systems(run: ReferenceRuns) -> Iterator[str]:
    """The systems of the five papers: a table, and a sentence each."""
    places = run.places()
    rows = [["", run.named("supervised"), *(_standing(run, place, "supervised") for place in places)]]
    for system, methods in SYSTEMS.items():
        rows += [[system, run.named(name), *(_standing(run, place, name) for place in places)] for name in methods]
    yield _SYSTEMS.format(suite=run.suite)
    yield from table_of(["system", "method", *(place.name for place in places)], rows, 2)
    yield from (_verdict(run, system, methods, places) for system, methods in SYSTEMS.items())
    yield ""


def _standing(run: ReferenceRuns, place: ComparedPlace, method: str) -> str:
    """Difference with its interval, what the test says, and the rank with its interval."""
    row, rank = place.row(method), run.rank(place, method, "default")
    if row is None:
        return "–"
    stands = (
        ""
        if rank is None or rank.rank != rank.rank
        else f"<br>rank {rank.rank:.0f} ({rank.rank_low:.0f}–{rank.rank_high:.0f})"
    )
    if row.verdict == "reference":
        return f"{number(row.mean, 3)}{stands}"
    return f"{beside(row)}{stands}"


def _verdict(run: ReferenceRuns, system: str, methods: Sequence[str], places: Sequence[ComparedPlace]) -> str:
    """What may be said of a system: where a test finds a difference, and which way its means lie."""
    rows = [(place, row) for place in places for method in methods if (row := place.row(method)) is not None]
    if not rows:
        return f"- {system}: no scores here."
    places_of: dict[tuple[str, str], list[str]] = {}
    for place, row in rows:
        if row.verdict in MARKS:
            places_of.setdefault((row.verdict, place.name), []).append(name_of(run, row))
    found = [f"{WORDS[verdict]} at {name} ({', '.join(who)})" for (verdict, name), who in places_of.items()]
    told = "; ".join(found) if found else "not significantly different from `supervised`"
    above = sum(row.mean_difference > 0 for _, row in rows)
    return f"- {system}: {told}. Its mean is higher in {above} of {plural(len(rows), 'comparison')}."


def everything(run: ReferenceRuns) -> Iterator[str]:
    """Every method's mean, and what the test says."""
    places = run.places()
    rows = []
    for method, variant in [*((name, "default") for name in run.methods), ("supervised", EQUAL_STEPS)]:
        found = [place.row(method, variant) for place in places]
        if variant == "default" or any(row is not None for row in found):
            rows.append([run.named(method, variant), *("–" if row is None else mean_of(row) for row in found)])
    yield _METHODS.format(suite=run.suite)
    yield from table_of(["method", *(place.name for place in places)], rows, 1)


def missed(run: ReferenceRuns) -> Iterator[str]:
    """How many structures a method did not find at all."""
    rows = run.results.frame("summary")
    rows = rows[(rows["metric"] == "dice") & (rows["class"] == "mean") & (rows["checkpoint"] == "last")]
    yield "Missed structures (false negatives):\n"
    trained = rows["n_seeds"] * rows["n_draws"]
    rows = rows.assign(trained=trained, share=rows["missed"] / trained)
    for place in run.places():
        at = (rows["dataset"] == place.entry) & (rows["evaluated_on"] == place.entry) & (rows["labels"] == place.labels)
        here = rows[at].sort_values("share", ascending=False, kind="stable")
        missing = [row for row in records(here) if row.share]
        if not missing:
            yield f"- {place.name}: 0 for every method."
            continue
        told = (f"{name_of(run, row)} {number(row.share, 1).removesuffix('.0')}" for row in missing)
        total = int(((here["scored"] + here["missed"]) / here["trained"]).max())  # false positives are counted apart
        others = "; the others 0" if len(missing) < len(here) else ""
        yield f"- {place.name}, of {total}: {', '.join(told)}{others}."
    yield ""


def costs(runs: Sequence[ReferenceRuns]) -> Iterator[str]:
    """Time and memory of a method's runs beside those of `supervised`."""
    rows: dict[str, list[str]] = {name: [run.named(name), _stages(name)] for run in runs for name in run.methods}
    for run in runs:
        seconds, memory = (costs_of(run.results.runs, cost)[0] for cost in ("seconds", "memory"))
        for name, cells in rows.items():
            own = {key: value for key, value in seconds.items() if key[2:] == (name, "default")}
            usual = {key: seconds.get((*key[:2], "supervised", "default")) for key in own}
            ratios = [value / base for key, value in own.items() if (base := usual[key])]
            held = [value for key, value in memory.items() if key[2:] == (name, "default")]
            cells += [f"{number(median(ratios), 2)}×" if ratios else "–"]
            cells += [f"{number(max(held), 1)} GiB" if held else "–"]
    if rows:
        heads = [head for run in runs for head in (f"`{run.suite}`: time", "memory")]
        yield _COSTS
        yield from table_of(["method", "stages", *heads], rows.values(), 2)


def _stages(method: str) -> str:
    return " → ".join(stage.name for stage in registry.get(method).stages)


def variants(run: ReferenceRuns) -> Iterator[str]:
    """Every variant against its default, and the stagings of LRC against each other."""
    scores = run.results.scores
    scores = scores[(scores["metric"] == "dice") & (scores["checkpoint"] == "last")]
    families = [(f"{name}/default", scores[scores["method"] == name]) for name in run.methods]
    staged = scores[scores["method"].isin(SYSTEMS["LRC"]) & (scores["variant"] == "default")]
    rows: list[list[str]] = []
    for reference, part in [*families, ("lrc/default", staged)]:
        if len(part[["method", "variant"]].drop_duplicates()) > 1:
            found = compare(part, reference, family="methods")
            rows += (
                [
                    name_of(run, row),
                    f"{run.titles[row.dataset]}, {budget_title(row.labels)}",
                    number(row.mean, 3),
                    run.named(*row.reference.split("/")),
                    number(row.reference_mean, 3),
                    difference_of(row),
                    verdict_of(row),
                ]
                for row in records(found[found["verdict"] != "reference"])
            )
    supervised = ", ".join(number(place.baseline.mean, 3) for place in run.places())
    yield _ABLATIONS.format(suite=run.suite, supervised=supervised)
    yield from table_of(["variant", "data", "Dice", "against", "its Dice", "difference", "test"], rows, 2)
    scored = set(zip(scores["method"], scores["variant"], strict=True))
    planned = dict.fromkeys((one["method"], one["variant"]) for one in run.results.plan["runs"])
    waiting = [run.named(*pair) for pair in planned if pair not in scored]
    if waiting:
        yield f"Planned and not run yet: {', '.join(waiting)}.\n"
