"""The sentences that tables print: captions, footnotes and headings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from contrastseg.checkpoint_names import ORACLE_MARK
from contrastseg.evaluation.metrics.empty_references import EmptyReference
from contrastseg.evaluation.settings import FamilyName
from contrastseg.text import plural

MAIN_CAPTION = "Mean over patients of each method at each label budget."
CLASSES_CAPTION = "Mean over patients of each class."
COMPARISON_CAPTION = "Paired comparison of each method with the baseline, patient by patient."
DRAWS_CAPTION = (
    "Paired comparison with the baseline, averaged over draws of labelled patients. Methods that have all draws are "
    "a family of tests of their own."
)
VARIANCE_CAPTION = "Variation of scores, and of differences from the baseline, by patient, draw and seed."
PUBLISHED_CAPTION = "Published numbers, our means and the difference, in the layout of the source."
CONVENTIONS_CAPTION = "Ranking of the same predictions under each scoring convention."
TUNING_CAPTION = "Chosen settings of each method, by the validation Dice of its trials."
SELECTION_CAPTION = "Checkpoints by the rule that selects them: the last, the best on validation cases, and the oracle."

OPTIMISM = "optimism"
DEFAULTS = "defaults"
TUNING_COLUMNS = ("trial", "settings", "chosen", "defaults", "difference", "hours of trials")
TUNING_READING = (
    "The trial with the highest mean Dice of the last checkpoint over the validating patients is chosen. The defaults "
    "(trial 0) are chosen if they come within 0.0001 of it. Settings that are not named are the defaults.",
    "Difference: chosen minus defaults, or defaults minus the best other trial, with the standard error over pairs of "
    "one patient. The chosen mean is the highest of several, so it is optimistic. It is not a result of a method.",
)
TUNED_BY = {
    "labelled": "cross-fitted out of the labelled patients",
    "free": "on the validation patients of the split, whose labels are not counted",
}
SELECTION_COLUMNS = {
    "last": "last",
    "best_val": "best_val",
    "oracle": f"best_test ({ORACLE_MARK})",
    "cross_fitted": "cross-fitted",
}
SELECTION_READING = (
    f"best_test: {ORACLE_MARK}. The checkpoint of each run is selected by its mean on the test cases. The column shows "
    "the effect of selection on test data. It is not a result of a method. Runs that keep no snapshots have no oracle.",
    "Cross-fitted: each patient is scored at the checkpoint selected on the other patients. Optimism: best_test minus "
    "cross-fitted.",
    "best_test minus last is 0 or more by construction and mixes early stopping with optimism. The optimism is 0 or "
    "more where each structure has a value at each checkpoint. Neither is tested.",
)
NO_OPTIMISM_INTERVAL = "Intervals of the optimism start at 20 patients."
ORACLE_FOOTNOTE = (
    f"best_test: {ORACLE_MARK}. The checkpoint of each run was selected on these test cases. These means are not "
    "ranked or tested, and have no intervals. Runs that keep no snapshots have no oracle."
)
COUNTS_HEAD = "missed / FP / missing"
COUNTS_LEGEND = (
    "missed / FP / missing: structures that were missed, false positives (structures found in an empty reference), "
    "predictions that are missing."
)
BEST = "Best bold, second underlined, by the rounded number."
PUBLISHED_FOOTNOTES = (
    "Published: the number as the source prints it. The audit marks doubtful numbers as “suspect” or “inconsistent”. "
    "An inconsistent number and its neighbours cannot come from one set of predictions.",
    "Ours: our mean in the published unit. “not run”: this suite does not run that method or label budget, or the run "
    "is pending. “not scored”: this suite does not score that metric. “missing”: predictions are missing.",
    "Difference: ours minus published, where the units allow one. It compares methods only where the protocols match; "
    "the footnotes of each block say whether they do.",
    "Best bold, second underlined: published numbers without an audit mark, and our means without missing predictions.",
)
INCOMPLETE = "Methods with missing predictions are neither ranked nor tested there."
UNLIKE = (
    "The best mean is not marked: only some methods have false positives in empty references, so the means cover "
    "different structures. The comparison table counts empty references."
)
UNCLIPPED = (
    "These scores were stored without image sizes. The upper ends of distance intervals are not clipped, and may "
    "exceed what is possible."
)
TESTS = (
    "Two-sided paired Wilcoxon signed-rank tests over patients, Holm-corrected within their family. Zero differences "
    "are dropped and counted. HL: Hodges–Lehmann shift.",
    "Smallest p: the smallest corrected p that this comparison can reach. The verdict is “n too small” where it is "
    "above the level.",
    "Each pair of means covers the structures that both methods have. Comparisons with missing predictions are not "
    "tested.",
)
EMPTY_REFERENCES: dict[EmptyReference, str] = {
    "best_or_worst": "an empty prediction counts as the best value and any other as the worst (empty_reference: "
    "best_or_worst); precision and recall leave the structure out",
    "leave_out": "the structure is left out for every method (empty_reference: leave_out)",
}
VARIANCE = (
    "Standard deviations, from variance components of the mean over classes (MINQUE, unbiased also for unequal numbers "
    "of runs). Draws: other labelled patients. Seeds: training again with the same ones. Patient × run: a run is good "
    "for one patient and bad for another.",
    "0: the estimate of the variance is 0 or negative. A dash names why these runs cannot tell a part: it is unknown, "
    "or it is part of another one.",
)
ON_SHARED_DRAWS = "comparison table"
DRAWS_READING = (
    "Each draw has the same weight: a method is averaged over the seeds that it has in every draw. Methods with fewer "
    "draws are in the comparison table alone.",
    "Comparison table: the verdict there. It is of the draws that all methods have, and of the family of all methods.",
)
NO_TESTS = "This table has no tests."
FAMILIES: dict[FamilyName, str] = {
    "methods_and_ratios": "all methods and variants at all label budgets",
    "methods": "all methods and variants at one label budget",
}
ALONE = (
    "One seed or one draw alone: in how many of them the same tests, in families of the same extent, give the same "
    "verdict. If the verdict of all runs is neither better nor worse: how many are."
)
CONVENTIONS_READING = (
    "Only the scoring differs between the columns. Brackets: ranks lost (+) or gained (−) against the first "
    "convention.",
    "Ranks of means are descriptive; they are not tests. Methods with missing predictions are not ranked.",
)
SMALL_INTERVALS = "Hodges–Lehmann intervals start at n = 6."
NO_EMPTY_REFERENCE = "Empty references: 0."
MEANS_DISAGREE = (
    "Lower or higher mean: the means point the other way than the rank test (few large or many small differences)."
)
PUBLISHED_ONLY = "published; not run here"
NOT_MAPPED = "The suite has no method for these rows."
CROPPED = "Images are boxes around their labels, also for test cases. These are not predictions of whole images."
PROTOCOLS_MATCH = (
    "Protocols match in split, labels, unit, convention, checkpoint and the settings that the source states."
)


def tuned(trials: int, validation: str, hours: float) -> str:
    """That all rows of a table are tuned: K, the validation, and the hours of all trials."""
    cost = "" if hours != hours else f"; {hours:.3g} hours of trials in all"
    return f"Every row is tuned: {trials} trials (K = {trials}), validated {TUNED_BY[validation]}{cost}."


def tuning_sample(patients: Sequence[int], folds: Sequence[int]) -> str:
    """How many patients a choice is made by, in how many folds."""
    counts = [" to ".join(dict.fromkeys(map(str, (each[0], each[-1])))) for each in (patients, folds)]
    return f"Validating patients: {counts[0]}, folds: {counts[1]}."


def diverged(trials: Sequence[str]) -> str:
    """Which trials have no score because their loss was not finite."""
    return f"Diverged trials, which cannot be chosen: {'; '.join(trials)}."


def recipe(name: str) -> str:
    """Which source's recipe the suite follows, and where the rest is said."""
    return f"Recipe {name}, key by key; the page Fidelity to the sources lists what differs."


def policy(convention: str) -> str:
    """What the numbers of every table rest on."""
    return f"Scored on the native grid, convention {convention}. Statistics are over patients."


def empty_references(counted: EmptyReference) -> str:
    """How comparisons count an empty reference."""
    return (
        f"If the reference mask is empty, {EMPTY_REFERENCES[counted]}. Tables of scores follow the scoring convention."
    )


def stars(baseline: str, alpha: float) -> str:
    """What the marks behind means say."""
    return (
        f"* significantly better, † significantly worse than {baseline}: corrected p ≤ {alpha:g} (paired Wilcoxon over "
        "patients, Holm)."
    )


def means_against(mark: str, count: int) -> str:
    """What the sign behind a mark says."""
    return f"{mark} behind {plural(count, 'mark')}: the means contradict the rank test."


def small_samples(count: int, total: int, smallest_p: str) -> str:
    """How many comparisons have too few patients for a mark."""
    comparisons = plural(total, "comparison")
    return f"{count} of {comparisons} cannot reach a mark: n too small (smallest reachable p {smallest_p})."


def not_tested(count: int) -> str:
    """How many comparisons lack predictions."""
    return f"{plural(count, 'comparison')} not tested: predictions missing."


def disagreeing(count: int) -> str:
    """How many verdicts change on non-empty references or by false positives."""
    return (
        f"{plural(count, 'comparison')} with another verdict on non-empty references or on false positives: see the "
        "paired comparison."
    )


def family(name: FamilyName, sizes: Sequence[int]) -> str:
    """What Holm's correction covers."""
    return (
        f"Family of the tests: {FAMILIES[name]}, of one data set, evaluation set, checkpoint and metric "
        f"({' or '.join(map(str, sizes))} tests)."
    )


def draws_averaged(draws: Sequence[int], further: Sequence[int]) -> str:
    """The draws that are averaged, and those that all methods have."""
    return (
        f"Mean over draws {', '.join(map(str, sorted([*draws, *further])))}. All methods have draw"
        f"{'s' if len(draws) > 1 else ''} {', '.join(map(str, draws))}."
    )


def baseline_and_family(baseline: str, sizes: Sequence[int]) -> str:
    """The compared-with method and the sizes of the families of tests."""
    families = "family" if len(sizes) == 1 else "families"
    tests = "test" if list(sizes) == [1] else "tests"
    return f"Baseline: {baseline}; {families} of {' and '.join(map(str, sizes))} {tests}."


def variance_baseline(baseline: str) -> str:
    """What the differences are from."""
    return f"Baseline: {baseline}. Differences are those of the runs that both methods have."


def few_runs(level: str, counts: Mapping[str, int], ranges: Mapping[str, tuple[float, float]]) -> str:
    """How far a standard deviation between few runs can be from the true one."""
    parts = [f"{counts[name]} {name} {low:.2g} to {high:.2g}" for name, (low, high) in ranges.items()]
    return f"{level} interval of such an SD, as multiples of its estimate: of {', of '.join(parts)} (normal effects)."


def with_empty_references(count: int) -> str:
    """What stands beside a comparison where references are empty."""
    return (
        f"Empty references: {count}. The columns on the right repeat the comparison without them, and compare false "
        "positives per empty reference (exact signed-rank test of the patients' shares). Each has its own family."
    )


def rows_disagree(count: int) -> str:
    """How many rows of a comparison have another verdict in their right part."""
    return f"The columns on the right disagree with the verdict in {plural(count, 'row')}, which say so."


def clipped_ends(longest: Sequence[str]) -> str:
    """What the letter c behind the end of an interval means."""
    limit = f" Distances end at {' and '.join(longest)}, the longest of the largest case." if longest else ""
    return f"c: this end of the interval was clipped to the possible range.{limit}"


def degenerate_intervals(count: int, equal_scores: Sequence[int]) -> str:
    """Intervals of samples in which most patients share one score."""
    span = " to ".join(map(str, equal_scores))
    return (
        f"{plural(count, 'interval')} of samples that hardly vary ({span} of the patients share one score): Student's "
        "t, without a claim of coverage."
    )


def missing(cells: Sequence[str], named: Sequence[str], more: int) -> str:
    """Cells and predictions without scores."""
    rest = [f"and {more} more, named in the CSV"] if more else []
    return f"Missing: {'; '.join([*cells, *named, *rest])}. {INCOMPLETE}"


def candidates(count: str) -> str:
    """How many checkpoints of each run are selected from."""
    return f"selected from {count} checkpoints"


def selection_sample(patients: str, runs: str) -> str:
    """How many test patients and runs the means are over."""
    return f"Test patients: {patients}; runs: {runs}."


def optimism_interval(level: str) -> str:
    """What stands in brackets behind the optimism."""
    return f"Brackets: {level} interval, bootstrap over patients with the selection repeated in each resample."


def selection_missing(count: int) -> str:
    """How many predictions the candidates lack."""
    return f"Missing: {plural(count, 'score')} without a prediction. Rows with missing predictions have no means."


def statement(stated: Mapping[str, str], moved: int) -> str:
    """What a person states of the predictions that they entered, by subject; empty text is not stated."""
    parts = [f"{subject}: {text}" for subject, text in stated.items() if text]
    unstated = [subject for subject, text in stated.items() if not text]
    parts += [f"not stated: {', '.join(unstated)}"] if unstated else []
    parts += [f"{plural(moved, 'map')} brought to the native grid"] if moved else []
    return "; ".join(parts)


def external(name: str, statements: Sequence[str]) -> str:
    """What stands under a table about an entered row."""
    return f"External row {name}, as stated by the person who entered it, not verified: {' | '.join(statements)}."


def starting_weights(name: str, file: Mapping[str, Any]) -> str:
    """The file of weights that a row's networks started from.

    Args:
        name: Of the row.
        file: `network_weights` of a run's record.
    """
    unstated = "not stated"
    excluded = "no test case among it, as stated" if file["test_cases"] == "stated" else "test cases among it: unknown"
    return (
        f"{name} starts from {file['file']} (SHA-256 {file['sha256'][:12]}), {file['encoder_share']:.0%} of the encoder"
        f" loaded. Source: {file['source'] or unstated}. Pre-training data: {file['data'] or unstated}; {excluded}."
    )


def kendall(base: str, taus: Sequence[str]) -> str:
    """Rank correlation of each convention with the first."""
    return f"Kendall's τ with the order under {base}: {', '.join(taus)}."


def structures_left_out(counted: Sequence[str]) -> str:
    """Structures that a convention gives no value."""
    return f"Left out of the mean, without a value: {', '.join(counted)}."


def equal_steps(total: int) -> str:
    """How long every method trains under a budget."""
    return f"Equal steps: a method trains {total:,} steps over all its stages."


def as_long_as(row: str, total: int, longest: str) -> str:
    """How long the row of equal steps trains."""
    return f"{row}: {total:,} steps, as many as {longest} over all its stages."


def pretraining_pool(entries: Sequence[str]) -> str:
    """Where stages without labels take their images from."""
    return f"Stages without labels use images of {' and '.join(entries)}, without the test cases."


def unlabelled_pool(entries: Sequence[str]) -> str:
    """Where all stages take their unlabelled images from."""
    return f"All unlabelled images are of {' and '.join(entries)}, without the test cases."


def published_in(sources: Sequence[str]) -> str:
    """The sources of a block of published numbers."""
    return f"Published in: {'; '.join(sources)}."


def published_protocol(stated: str) -> str:
    """The protocol of a block in the source's words."""
    return f"Protocol of the source: {stated}."


def audit_finding(methods: Sequence[str], mark: str, why: str) -> str:
    """Why the audit marks the numbers of these methods."""
    return f"{', '.join(methods)}: {mark}: {why}."


def protocols(differs: Sequence[str], not_stated: Sequence[str]) -> str:
    """Whether both protocols match; never that they do while a point is open."""
    open_points = f"Not stated by the source: {', '.join(not_stated)}." if not_stated else ""
    if differs:
        return f"Protocol differs: {'; '.join(differs)}. {open_points}".strip()
    return f"Protocols may differ. {open_points}" if not_stated else PROTOCOLS_MATCH
