"""The page of findings, made from the stored scores of the reference runs alone: no number of it is typed in.

Example: `python docs/_findings.py docs/findings.md`
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd
from _stored import Place, Reference, references
from scipy.stats import kendalltau

from contrastseg.evaluation.comparison import compare
from contrastseg.files import atomic_path
from contrastseg.methods import registry
from contrastseg.report.figure_cost import costs_of
from contrastseg.report.markdown import table
from contrastseg.report.naming import budget_title, interval, metric_title, number, p_value, plural

ROOT = Path(__file__).resolve().parent.parent
SUITES = ("acdc_reduced", "la_reduced")
ABLATIONS = ("acdc_ablations",)
SYSTEMS = {
    "PDCR": ("pdcr",),
    "UAFR": ("uafr",),
    "PDCR and UAFR": ("pdcr_uafr",),
    "LRC": ("lrc", "lrc_sequential", "lrc_supervised"),
    "IDEAL": ("ideal",),
    "CVRL": ("cvrl",),
    "Semantic-aware": ("semantic_aware",),
}
WORDS = {
    "better": "**better**",
    "worse": "**worse**",
    "n.s.": "not told apart",
    "n too small": "too few patients to tell",
}
MARKS = {"better": "\\*", "worse": "†"}
SHOWN = ("dice", "hd95", "hd95_pooled")
THEIRS = "ssl4mis"

_INTRODUCTION = """# What the benchmark finds

Made by `python docs/_findings.py docs/findings.md` from the scores stored under `results/reference/`: every number, in
tables and in sentences, is computed from them. *Better* and *worse* stand where a paired test over patients, corrected
for all comparisons at that budget, finds it; everything else is *not told apart*. One recipe for all methods, a small
network, reduced images: who stands first here says little about full size. Where a method comes from stands on
[its card](cards/index.md), the rules of scoring in [the policy](evaluation.md), what phantoms and single runs showed in
[what we saw](methods.md). Behind a name stands its mark: [O] official, [P] published, [R] reconstructed from a
text that does not say enough.
"""
_SYSTEMS = """`{suite}`: difference in Dice from `supervised` with its 95 % interval, the corrected p, and the rank with
its interval when patients are drawn again.
"""
_METHODS = """`{suite}`: mean Dice with its 95 % interval; \\* better, † worse than `supervised` by the corrected test.
"""
_COSTS = """The time of a run with all its stages over that of `supervised` at the same budget (medians over budgets and
runs, on a machine that did other work too), and the memory of the last stage. Hours of every suite: [costs](costs.md).
"""
_ABLATIONS = """`{suite}`: each variant against its method's default, and LRC's other stagings against `lrc`; corrected
within each of these families.
"""
_PRINTED = """`{suite}`: means as printed, ours, and the same predictions of ours scored as `{convention}` does, the
released code that many of these numbers were made with ([policy](evaluation.md)). Dice in per cent, distances in
{unit}. Protocol differs: {differs}. A difference of numbers is therefore no finding about either code.
"""


def page(root: Path = ROOT) -> str:
    """The whole page, in Markdown.

    Args:
        root: Where `results/reference/` lies.
    """
    runs, ablations = references(root, SUITES), references(root, ABLATIONS)
    parts: dict[str, Iterable[str]] = {
        "In short": (told for run in runs for told in in_short(run)),
        "What was run": what_was_run([*runs, *ablations]),
        "The six systems": (told for run in runs for told in systems(run)),
        "Every method": (told for run in runs for told in everything(run)),
        "What else moves the ranking": (told for run in runs for told in moves(run)),
        "What a method costs": costs(runs),
        "Ablations": (told for run in ablations for told in variants(run)),
        "Beside the printed numbers": (told for run in runs for told in printed(run)),
    }
    text = _INTRODUCTION
    for title, lines in parts.items():
        body = "\n".join(lines).strip("\n")
        text += f"\n## {title}\n\n{body or 'Nothing of this has run yet.'}\n"
    return text


def in_short(run: Reference) -> Iterator[str]:
    """One sentence per data set and budget."""
    for place in run.places():
        leader, reference = place.leader, place.reference
        better, worse = place.of("better"), place.of("worse")
        rest = len(place.of("n.s.", "n too small"))
        told = [f"better than `{reference.method}`: {_names(run, better)}"] if better else []
        told += [f"worse: {_names(run, worse)}"] if worse else []
        told += [f"not told apart from it: {rest} of {rest + len(better) + len(worse)}"]
        yield (
            f"- **{place.name}**, {plural(int(leader.n), 'test patient')}: {_name(run, leader)} has the highest mean"
            f" Dice, {number(leader.mean, 3)}, `{reference.method}` {number(reference.mean, 3)}; {'; '.join(told)}."
        )


def what_was_run(runs: Sequence[Reference]) -> Iterator[str]:
    """Data, recipe, seeds and machine of every suite, and how much of it has scores."""
    head = ["suite", "data", "training / test patients", "recipe", "seeds", "planned cells with scores", "machine"]
    rows = []
    for run in runs:
        stored, places = run.stored, run.places()
        training = stored.plan["suite"]["training"]
        axes = ["dataset", "method", "variant", "labels", "draw", "fold", "seed", "evaluated_on", "checkpoint"]
        tested = sorted({int(place.reference.n) for place in places})
        rows.append(
            [
                f"`{run.suite}`",
                ", ".join(dict.fromkeys(place.title for place in places)),
                f"{max(card['training_patients'] for card in stored.cards)} / {', '.join(map(str, tested))}",
                f"{training['steps']:,} steps a stage, batch {training['batch_size']}, {training['precision']}",
                ", ".join(sorted({str(card["seed"]) for card in stored.cards})),
                f"{len(stored.scores[axes].drop_duplicates()):,} of {len(stored.plan['evaluations']):,}",
                f"`{run.folder.name}`",
            ]
        )
    yield from _table(head, rows)
    yield "The suites' own tables name every cell without scores."


def systems(run: Reference) -> Iterator[str]:
    """The systems of the five papers: a table, and a sentence each."""
    places = run.places()
    rows = [["", run.named("supervised"), *(_standing(run, place, "supervised") for place in places)]]
    for system, methods in SYSTEMS.items():
        rows += [[system, run.named(name), *(_standing(run, place, name) for place in places)] for name in methods]
    yield _SYSTEMS.format(suite=run.suite)
    yield from _table(["system", "method", *(place.name for place in places)], rows, 2)
    yield from (_verdict(run, system, methods, places) for system, methods in SYSTEMS.items())
    yield ""


def _standing(run: Reference, place: Place, method: str) -> str:
    """Difference with its interval, what the test says, and the rank with its interval."""
    row, rank = place.row(method), run.rank(place, method, "default")
    if row is None:
        return "–"
    stands = "" if rank is None else f"; rank {rank.rank:.0f} ({rank.rank_low:.0f}–{rank.rank_high:.0f})"
    if row.verdict == "reference":
        return f"{number(row.mean, 3)}{stands}"
    return f"{_difference(row)}, {_test(row)}{stands}"


def _verdict(run: Reference, system: str, methods: Sequence[str], places: Sequence[Place]) -> str:
    """What may be said of a system: where a test finds a difference, and which way its means lie."""
    rows = [(place, row) for method in methods for place in places if (row := place.row(method)) is not None]
    if not rows:
        return f"- {system}: no scores here."
    found = [f"{WORDS[row.verdict]} at {place.name} ({_name(run, row)})" for place, row in rows if row.verdict in MARKS]
    told = "; ".join(found) if found else "no test tells it from `supervised`"
    above = sum(row.mean_difference > 0 for _, row in rows)
    return f"- {system}: {told}. Its mean is the higher one in {above} of {plural(len(rows), 'comparison')}."


def everything(run: Reference) -> Iterator[str]:
    """Every method's mean, and what the test says."""
    places = run.places()
    rows = []
    for method in run.methods:
        found = [place.row(method) for place in places]
        rows.append([run.named(method), *("–" if row is None else _mean(row) for row in found)])
    yield _METHODS.format(suite=run.suite)
    yield from _table(["method", *(place.name for place in places)], rows, 1)


def moves(run: Reference) -> Iterator[str]:
    """What training length, seeds, the checkpoint rule and the scoring convention do."""
    yield f"`{run.suite}`:\n"
    yield from _by_length(run)
    yield from _by_seed(run)
    yield from _by_checkpoint(run)
    yield from _by_convention(run)
    yield ""


def _by_length(run: Reference) -> Iterator[str]:
    usual = run.stored.plan["suite"]["training"]["steps"]
    for place in run.places():
        longer = run.longer(place)
        told = [f"{number(mean, 3)} in {steps:,} ({_signed(mean - place.reference.mean)})" for steps, mean in longer]
        if told:
            yield (
                f"- **Training length**, {place.name}: `supervised` has {number(place.reference.mean, 3)} in {usual:,}"
                f" steps, {', '.join(told)}; methods with two or three stages train for as many."
            )


def _by_seed(run: Reference) -> Iterator[str]:
    rows = run.stored.frame("summary.csv")
    rows = rows[(rows["class"] == "mean") & (rows["metric"] == "dice") & (rows["checkpoint"] == "last")]
    several = rows[rows["n_seeds"] > 1]
    if not len(several):
        yield "- **Seeds and draws**: one of each has run; what another would change is not known here."
        return
    between = median(part["mean"].std() for _, part in several.groupby(["dataset", "labels"]))
    yield (
        f"- **Seeds**: over up to {several['n_seeds'].max()} seeds the mean of one method has a standard deviation of"
        f" {number(several['sd_seeds'].median(), 3)} (median of {len(several)} cells, largest"
        f" {number(several['sd_seeds'].max(), 3)}); between methods it is {number(between, 3)}."
    )


def _by_checkpoint(run: Reference) -> Iterator[str]:
    last, best = run.places("last"), run.places("best_val")
    if not best:
        yield "- **Checkpoint**: last ones alone were scored."
        return
    key = ["method", "variant"]
    for one, other in zip(last, best, strict=True):
        means = one.rows[[*key, "mean"]].merge(other.rows[[*key, "mean"]], on=key)
        tau = kendalltau(means["mean_x"], means["mean_y"]).statistic
        moved = means["mean_y"] - means["mean_x"]
        yield (
            f"- **Checkpoint**, {one.name}: that of the best Dice on validation patients instead of the last one"
            f" changes a mean by {_signed(moved.mean())} ({_signed(moved.min())} to {_signed(moved.max())}). Kendall's"
            f" τ of the two orders is {number(tau, 2)}; {_name(run, one.leader)} leads by the last,"
            f" {_name(run, other.leader)} by the best."
        )


def _by_convention(run: Reference) -> Iterator[str]:
    if not (run.folder / "conventions.csv").is_file():
        return
    ranks = run.stored.frame("conventions.csv", "collect")
    ranks = ranks[(ranks["checkpoint"] == "last") & ranks["shift"].notna() & ranks["metric"].isin(SHOWN)]
    for (metric, convention), part in ranks.groupby(["metric", "convention"], sort=False):
        if not part["shift"].any():
            continue
        most = part.loc[part["shift"].abs().idxmax()]
        yield (
            f"- **Convention** `{convention}` for {metric}: Kendall's τ with our order is"
            f" {number(part['tau'].min(), 2)} at the least; the furthest move is {_signed(most['shift'], 0)} places"
            f" ({run.named(most['method'])}, {budget_title(most['labels'])})."
        )


def costs(runs: Sequence[Reference]) -> Iterator[str]:
    """Time and memory of a method's runs beside those of `supervised`."""
    rows: dict[str, list[str]] = {name: [run.named(name), _stages(name)] for run in runs for name in run.methods}
    for run in runs:
        seconds, memory = (costs_of(run.stored.cards, cost)[0] for cost in ("seconds", "memory"))
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
        yield from _table(["method", "stages", *heads], rows.values(), 2)


def _stages(method: str) -> str:
    return " → ".join(stage.name for stage in registry.get(method).stages)


def variants(run: Reference) -> Iterator[str]:
    """Every variant against its default, and the stagings of LRC against each other."""
    scores = run.stored.scores
    scores = scores[(scores["metric"] == "dice") & (scores["checkpoint"] == "last")]
    families = [(f"{name}/default", scores[scores["method"] == name]) for name in run.methods]
    staged = scores[scores["method"].isin(SYSTEMS["LRC"]) & (scores["variant"] == "default")]
    rows: list[list[str]] = []
    for reference, part in [*families, ("lrc/default", staged)]:
        if len(part[["method", "variant"]].drop_duplicates()) > 1:
            found = compare(part, reference, family="methods").itertuples()
            ordered = sorted(found, key=lambda row: (row.dataset, row.labels, row.verdict != "reference"))
            rows += (
                [_name(run, row), f"{run.titles[row.dataset]}, {budget_title(row.labels)}", *_told(row)]
                for row in ordered
            )
    yield _ABLATIONS.format(suite=run.suite)
    yield from _table(["method", "data", "Dice", "difference", "test"], rows, 2)


def _told(row: Any) -> list[str]:
    return [number(row.mean, 3), *(["", ""] if row.verdict == "reference" else [_difference(row), _test(row)])]


def printed(run: Reference) -> Iterator[str]:
    """Printed means with ours, by our convention and by theirs."""
    ranks = run.stored.frame("conventions.csv", "collect") if (run.folder / "conventions.csv").is_file() else None
    rows, differs, units = [], dict[str, None](), set()
    for path in sorted((run.folder / "tables").glob("published*.csv")):
        pairs = pd.read_csv(path)
        for row in pairs[pairs["ours_in_printed_unit"].notna()].itertuples():
            differs |= dict.fromkeys(str(row.protocol_differs).split("; "))
            units |= {str(row.printed_unit)} - {"%"}
            theirs = None if ranks is None else _by_theirs(ranks, row)
            cells = [
                run.named(row.method),
                str(row.printed_method),
                str(row.printed_labelled),
                metric_title(row.metric),
            ]
            cells += [number(float(value), 1) for value in (row.printed, row.ours_in_printed_unit)]
            cells += ["–" if theirs is None else number(theirs, 1), _signed(float(row.difference), 1), str(row.mark)]
            rows.append(cells)
    if rows:
        yield _PRINTED.format(
            suite=run.suite, convention=THEIRS, differs="; ".join(differs), unit=" or ".join(sorted(units)) or "voxels"
        )
        yield from _table(
            ["method", "printed as", "labelled", "metric", "printed", "ours", f"by {THEIRS}", "difference", "mark"],
            rows,
            4,
        )


def _by_theirs(ranks: pd.DataFrame, row: Any) -> float | None:
    """Our mean under their convention in the printed unit; None where it was not scored."""
    at = ranks["convention"] == THEIRS
    for name in ("dataset", "evaluated_on", "checkpoint", "labels", "metric", "method", "variant"):
        at &= ranks[name] == getattr(row, name)
    means = ranks.loc[at, "mean"]
    return float(means.iloc[0]) * row.ours_in_printed_unit / row.mean if len(means) and row.mean else None


def _name(run: Reference, row: Any) -> str:
    return run.named(row.method, row.variant)


def _names(run: Reference, rows: Sequence[Any]) -> str:
    return ", ".join(f"{_name(run, row)} ({_signed(row.mean_difference)})" for row in rows)


def _mean(row: Any) -> str:
    return f"{number(row.mean, 3)}{MARKS.get(row.verdict, '')} {interval(row.mean_low, row.mean_high, 2)}".strip()


def _difference(row: Any) -> str:
    return f"{_signed(row.mean_difference)} {interval(row.mean_difference_low, row.mean_difference_high, 2)}"


def _test(row: Any) -> str:
    return f"{WORDS[row.verdict]}, p {p_value(row.p_holm)}"


def _signed(value: float, places: int = 3) -> str:
    text = number(float(value), places)
    return text if text[0] in "−–" else f"+{text}"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], left: int | None = None) -> Iterator[str]:
    yield from table(heads, rows, left)
    yield ""


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    given = parser.parse_args()
    with atomic_path(given.output) as temporary:
        temporary.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
