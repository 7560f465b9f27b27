"""Draws of labelled patients that all methods have, and further draws of some: verdicts are of the former alone.

`common_draws` is the one place that says which scores tables, tests, ranks and figures are made of. `draw_table` is the
comparison beside them: the mean over all draws, of the methods that have all of them, as a family of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pandas as pd

from contrastseg.evaluation.metrics.empty_references import EmptyReference
from contrastseg.evaluation.settings import FamilyName
from contrastseg.evaluation.statistics.comparison import COMPARISON_COLUMNS, baseline_of, compare
from contrastseg.evaluation.statistics.variance_table import ALONE_COUNTS, variance_table

_PLACE = ["dataset", "evaluated_on", "checkpoint", "labels"]
_METHOD = ["method", "variant"]
_KEYS = [*_PLACE, "metric", *_METHOD]
DRAW_COLUMNS = (*COMPARISON_COLUMNS, "draws", "seeds", *ALONE_COUNTS)


def shared_draws(scores: pd.DataFrame) -> list[int]:
    """The draws that every method and variant has scores of; all draws where they share none.

    For scores without a plan: a suite says which draws its methods share.

    Example:
        >>> from contrastseg.evaluation.statistics.example import example_scores
        >>> scores = example_scores()
        >>> further = scores[scores["method"] != "simclr"].assign(draw=1)
        >>> shared_draws(pd.concat([scores, further]))
        [0]
    """
    draws = [set(values.unique().tolist()) for _, values in scores.groupby(_METHOD, observed=True)["draw"]]
    return sorted(set.intersection(*draws) or set.union(*draws)) if draws else []


def common_draws(scores: pd.DataFrame, draws: Collection[int]) -> pd.DataFrame:
    """The scores of the draws that all methods have; the table itself where it has no others.

    Args:
        scores: The collected table.
        draws: These draws, as the suite names them.

    Example:
        >>> from contrastseg.evaluation.statistics.example import example_scores
        >>> scores = example_scores()
        >>> len(common_draws(pd.concat([scores, scores.assign(draw=1)]), [0])) == len(scores)
        True
    """
    common = scores["draw"].isin(list(draws))
    return scores if common.all() else scores[common].reset_index(drop=True)


def balanced_draws(scores: pd.DataFrame, draws: Collection[int], baseline: str) -> pd.DataFrame:
    """The scores that a mean over draws may compare, with equal weights of the draws.

    At each place (data set, evaluation set, checkpoint, label budget) these are of the methods and variants that have
    all draws, in the seeds that they have in every draw. A place without the baseline among them has none.

    Args:
        scores: The collected table.
        draws: All draws of the suite, further ones among them.
        baseline: As `compare` takes it.

    Raises:
        ScoringError: The baseline is nowhere in the scores.

    Example:
        >>> from contrastseg.evaluation.statistics.example import example_scores
        >>> scores = example_scores()
        >>> further = scores[scores["method"] != "simclr"].assign(draw=1)
        >>> sorted(balanced_draws(pd.concat([scores, further]), [0, 1], "supervised")["method"].unique())
        ['mean_teacher', 'supervised']
    """
    if scores.empty:
        return scores
    base = baseline_of(scores, baseline)
    wanted = scores[scores["draw"].isin(list(draws))]
    runs = wanted[[*_PLACE, *_METHOD, "draw", "fold", "seed"]].drop_duplicates()
    there = runs.groupby([*_PLACE, *_METHOD, "fold", "seed"], observed=True)["draw"].transform("nunique")
    runs = runs[there == len(set(draws))]
    of_baseline = runs[(runs["method"] == base[0]) & (runs["variant"] == base[1])][_PLACE].drop_duplicates()
    return wanted.merge(runs.merge(of_baseline, on=_PLACE), on=list(runs.columns)).reindex(columns=list(scores.columns))


def draw_table(
    scores: pd.DataFrame,
    draws: Collection[int],
    baseline: str = "supervised",
    metrics: Sequence[str] = ("dice",),
    alpha: float = 0.05,
    family: FamilyName = "methods_and_ratios",
    empty_reference: EmptyReference = "best_or_worst",
) -> pd.DataFrame:
    """Compare the methods that have all draws with the baseline, averaged over draws, as a family of its own.

    Args:
        scores: The collected table, with the rows of all draws.
        draws: All draws of the suite, further ones among them.
        baseline: As `compare` takes it.
        metrics: What to test.
        alpha: Level after correction.
        family: As `compare` takes it, of these methods alone.
        empty_reference: What an empty reference counts.

    Returns:
        The columns DRAW_COLUMNS: those of `compare`, whose `family` names the draws, the numbers of draws and seeds,
        and how often one seed or one draw alone gives a verdict, as `variance_table` counts it. Empty where no method
        beside the baseline has all draws.

    Raises:
        ScoringError: As `compare`.

    Example:
        >>> from contrastseg.evaluation.statistics.example import example_scores
        >>> scores = example_scores()
        >>> further = example_scores(seed=1).assign(draw=1)
        >>> table = draw_table(pd.concat([scores, further[further["method"] != "simclr"]]), [0, 1])
        >>> table[["method", "verdict", "family_size"]].values.tolist()
        [['mean_teacher', 'better', 1], ['supervised', 'reference', 1]]
    """
    balanced = balanced_draws(scores, draws, baseline)
    settings = (baseline, metrics, alpha, family, empty_reference)
    table = compare(balanced, *settings) if len(balanced) else balanced
    if not (len(table) and (table["verdict"] != "reference").any()):
        return pd.DataFrame(columns=list(DRAW_COLUMNS))
    named = ", ".join(map(str, sorted(draws)))
    table["family"] = table["family"] + f" · mean over draws {named}"
    counts = variance_table(balanced, *settings)[[*_KEYS, "draws", "seeds", *ALONE_COUNTS]]
    return table.merge(counts, on=_KEYS, how="left")[list(DRAW_COLUMNS)]
