"""What moves a ranking besides the methods, for the page of findings."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

import pandas as pd
from scipy.stats import kendalltau

from contrastseg.evaluation.statistics.comparison import compare
from contrastseg.report.content.labels import budget_title, metric_title, number
from contrastseg.report.content.report_data import records
from contrastseg.report.site.reference_runs import EQUAL_STEPS, ReferenceRuns
from contrastseg.report.site.wording import difference_of, name_of, signed, verdict_of

SHOWN = ("dice", "hd95", "hd95_pooled")
_OTHERS = "; the effect of other patients' labels is unknown here"

_MISSED = """  A missed structure gets the worst distance here. The other conventions leave it out or give it 0, so a
method
  gains places by finding less ([policy](evaluation.md))."""
_NOTHING_MISSED = """  Every structure was found here. The order changes because the conventions define the distance
differently
  ([policy](evaluation.md))."""


def moves(run: ReferenceRuns) -> Iterator[str]:
    """What training length, seeds, draws, the checkpoint rule and the scoring convention do."""
    yield f"`{run.suite}`:\n"
    yield from _by_length(run)
    yield from _by_seed(run)
    yield f"- **Draws** of the labelled patients: {run.draws} of each budget{_OTHERS if run.draws == 1 else ''}."
    yield from _by_checkpoint(run)
    yield from _by_convention(run)
    yield ""


def _by_length(run: ReferenceRuns) -> Iterator[str]:
    for place in run.places():
        longer, total = place.row("supervised", EQUAL_STEPS), run.equal_total(place.entry)
        if longer is not None and total is not None:
            yield (
                f"- **Training length**, {place.name}: `supervised` has {number(place.baseline.mean, 3)} in"
                f" {run.usual_steps(place.entry):,} steps, {number(longer.mean, 3)} in {total:,}"
                f" ({signed(longer.mean - place.baseline.mean)})."
            )


def _mean_dice(scores: pd.DataFrame) -> float:
    return float(scores.groupby(["patient", "case"])["value"].mean().groupby("patient").mean().mean())


def _by_seed(run: ReferenceRuns) -> Iterator[str]:
    rows = run.results.frame("summary")
    rows = rows[(rows["class"] == "mean") & (rows["metric"] == "dice") & (rows["checkpoint"] == "last")]
    several = rows[rows["n_seeds"] > 1]
    if not len(several):
        further = [*_further_seeds(run)]
        yield from further
        others = " of the other methods" if further else ""
        yield f"- **Seeds**{others}: one has run; the effect of another is unknown here."
        return
    between = median(part["mean"].std() for _, part in several.groupby(["dataset", "labels"]))
    yield (
        f"- **Seeds**: over up to {several['n_seeds'].max()} seeds the mean of one method has a standard deviation of"
        f" {number(several['sd_seeds'].median(), 3)} (median of {len(several)} cells, largest"
        f" {number(several['sd_seeds'].max(), 3)}); between methods it is {number(between, 3)}."
    )


def _further_seeds(run: ReferenceRuns) -> Iterator[str]:
    """Methods with several seeds beside `supervised` with the same."""
    for place in run.places():
        scores = run.further_seeds(place)
        if scores is None:
            continue
        means = {pair: _mean_dice(part) for pair, part in scores.groupby(["method", "seed"])}
        seeds = sorted(scores["seed"].unique().tolist())
        told = f"`supervised` has {', '.join(number(means['supervised', seed], 3) for seed in seeds)}"
        for row in records(compare(scores, "supervised", family="methods")):
            if row.verdict != "reference":
                apart = ", ".join(signed(means[row.method, seed] - means["supervised", seed]) for seed in seeds)
                told += f"; {name_of(run, row)} differs by {apart}, together {difference_of(row)}, {verdict_of(row)}"
        yield f"- **Seeds {', '.join(map(str, seeds))}**, {place.name}: {told}."


def _by_checkpoint(run: ReferenceRuns) -> Iterator[str]:
    last, best = run.places("last"), run.places("best_val")
    if not best:
        yield "- **Checkpoint**: only the last ones were scored."
        return
    key = ["method", "variant"]
    for one, other in zip(last, best, strict=True):
        means = one.rows[[*key, "mean"]].merge(other.rows[[*key, "mean"]], on=key)
        tau = kendalltau(means["mean_x"], means["mean_y"]).statistic
        moved = means["mean_y"] - means["mean_x"]
        yield (
            f"- **Checkpoint**, {one.name}: the one with the best Dice on validation patients, instead of the last,"
            f" changes a mean by {signed(moved.mean())} ({signed(moved.min())} to {signed(moved.max())}). Kendall's"
            f" τ of the two orders is {number(tau, 2)}; {name_of(run, one.leader)} leads by the last,"
            f" {name_of(run, other.leader)} by the best."
        )


def _by_convention(run: ReferenceRuns) -> Iterator[str]:
    if not (run.folder / "conventions.csv").is_file():
        return
    ranks = run.results.frame("conventions")
    ranks = ranks[(ranks["checkpoint"] == "last") & ranks["shift"].notna() & ranks["metric"].isin(SHOWN)]
    for metric, parts in ranks.groupby("metric", sort=False):
        told = []
        for convention, part in parts.groupby("convention", sort=False):
            farthest = part[part["tau"] == part["tau"].min()]
            most = farthest.loc[farthest["shift"].abs().idxmax()]
            if most["shift"]:
                told.append(
                    f"`{convention}` {number(most['tau'], 2)} with {budget_title(most['labels'])}"
                    f" ({run.named(most['method'])} goes from place {number(most['base_rank'], 0)} to"
                    f" {number(most['rank'], 0)})"
                )
        if told:
            name = metric_title(str(metric), arrow=False)
            yield f"- **Convention**, {name}, the smallest τ with our order: {', '.join(told)}."
    if ranks["shift"].any():
        missed = run.results.frame("summary")["missed"].any()
        yield _MISSED if missed else _NOTHING_MISSED
