"""The sentences that figures print: captions, notes and legends."""

from __future__ import annotations

from collections.abc import Sequence

LABEL_RATIO_CAPTION = (
    "Mean over patients (and classes) against the number of labels, with the intervals of the tables. Methods are set "
    "side by side, so that all intervals are visible. With more than eight methods each has its own cell, with the "
    "baseline in grey."
)
BOX_CAPTION = (
    "Scores of patients for each class: median, quartiles, and whiskers to the farthest patient within 1.5 "
    "interquartile ranges. A point is a patient, averaged over frames, seeds and draws. With more than 100 patients "
    "only those beyond the whiskers are drawn."
)
OUTCOMES_CAPTION = (
    "Missed structures (left) and false positives (right: found in an empty reference), counted over all cases, "
    "classes and runs. The scoring convention decides how they count."
)
SIGNIFICANCE_CAPTION = (
    "Every pair of methods: two-sided paired Wilcoxon signed-rank tests over patients. Holm's correction covers the "
    "pairs of each map. Methods without runs at a budget are struck out."
)
RANK_STABILITY_CAPTION = (
    "Ranks by the mean over patients (crosses) and over resampled patients (area: how often; line: 95 %). Trained "
    "models are not resampled; other seeds may change more."
)
CRITICAL_DIFFERENCE_CAPTION = (
    "Mean ranks over data sets. Bars join methods that are not significantly different by Nemenyi's test. Few data "
    "sets give little power (see each title): a missing difference does not show equality."
)
CONVENTIONS_CAPTION = (
    "Rank of each method by its mean, with the same predictions scored under each convention. Lines cross where the "
    "convention alone changes the order. Ties are drawn side by side. Methods with missing predictions are not ranked."
)
COST_CAPTION = (
    "Mean score against the cost of a run, as the median over the runs of a method. Times cover all stages; "
    "parameters and memory are those of the last stage. The line is the Pareto front. The band and the percentages "
    "show how it changes when patients are resampled. Trained models are not resampled; other seeds may change more. "
    "Runs on different hardware have no front, since their times do not compare."
)
LEARNING_CURVES_CAPTION = (
    "Training logs, smoothed by a running mean over a twentieth of the run. Thin lines are single runs, thick lines "
    "their mean. With more than eight methods each has its own cell, with one mean for each label budget. Losses of "
    "different methods have different terms and do not compare."
)
OVERLAYS_CAPTION = (
    "Worst, median and best test case of each method, by the score above the picture (mean over classes) of its first "
    "run: lowest draw, fold and seed. Volumes show the slice with the largest reference area. Pictures are cropped to "
    "reference and prediction. Line: reference."
)

NEEDS_LOGS = "the logs of the runs"
NEEDS_IMAGES = "the predictions and the images"
MISSING_CROSSED = "predictions missing: not comparable"
MISSED_LEFT = "missed (left)"
FALSE_POSITIVES_RIGHT = "false positives (right)"
NONE_TO_COUNT = "0 missed,\n0 false positives"
MEDIAN_AND_BOX = "Line: median; box: quartiles."
FRONT = "Line and bold names: Pareto front of the methods without missing predictions."
FRONT_SHARES = (
    "Percent: how often a method is on it when patients are resampled (from 5 %); band: 95 % of those fronts."
)
COST_UNKNOWN = "Runs without a stored cost of all stages are left out."
UNLIKE_HARDWARE = "Panels without a line: the runs used different hardware, so costs do not compare."
NOT_EVERY_BUDGET = "Some label budgets are not drawn."
OWN_LOSS_SCALES = "Losses: every cell has its own scale."


def not_scored(metric: str) -> str:
    """The text of a figure without scores."""
    return f"{metric} was not scored."


def not_scored_by_conventions(metric: str) -> str:
    """The text of a figure of conventions without their scores."""
    return f"{metric} was scored under one convention only."


def no_cost(cost: str, metric: str) -> str:
    """The text of a figure of costs without one."""
    return f"The runs do not store {cost}, or {metric} was not scored."


def no_common_data(metric: str) -> str:
    """The text of a significance map without a pair."""
    return f"Fewer than two methods have {metric} on the same data."


def no_common_patients(metric: str) -> str:
    """The text of a figure of rankings without two methods to rank."""
    return f"Fewer than two methods have {metric} on two patients in common."


def no_critical_difference(metric: str, fewest: int) -> str:
    """The text of a critical difference diagram with too few methods or data sets."""
    return f"A critical difference needs {fewest} methods with {metric} on the same {fewest} data sets."


NO_LOG = "The training logs do not have these columns."
NO_PREDICTION = "The predictions to draw are missing."


def budgets_left_out(budgets: Sequence[str]) -> str:
    """Label budgets that some data sets are drawn without; empty where all are drawn."""
    return f"Not drawn for every data set: {', '.join(budgets)}." if budgets else ""


def not_ranked(methods: Sequence[str]) -> str:
    """Methods without ranks; empty where all have one."""
    return f"Not ranked, predictions missing: {', '.join(methods)}." if methods else ""


def left_out_of_diagram(methods: Sequence[str]) -> str:
    """Methods that a critical difference diagram leaves out; empty where it has all."""
    return f"Left out, not run on a data set or predictions missing: {', '.join(methods)}." if methods else ""


def diagram_axis(metric: str, datasets: int, power: float | None) -> str:
    """The axis of a critical difference diagram, with its power; None where it cannot reject."""
    certainty = "cannot reject" if power is None else f"power at 1 SD {100 * power:.0f} %"
    return f"mean rank by {metric} over {datasets} data sets ({certainty})"


def curves(budgets: Sequence[str], own_scales: bool) -> str:
    """The note below learning curves with a cell for each method."""
    scales = f" {OWN_LOSS_SCALES}" if own_scales else ""
    shades = f"light and thin to dark and thick: {', '.join(budgets)} labelled"
    return f"Against the step, mean over runs; {shades}.{scales}"


def outcome_bars(budgets: Sequence[str]) -> str:
    """How the bars of the figure of outcomes are ordered."""
    return f"Structures of all runs; bars of a method from the top, by labels: {', '.join(budgets)}; –: not run"
