"""The sentences that the page writes from numbers; headings and fixed text stand in its template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from contrastseg.text import plural

NO_SCORES = "There are no scores yet."
NO_RANKING = "Fewer than two methods have complete scores on the same structures."
NOT_TESTED = "not tested"
PLAN_LEFT_BEHIND = "combinations that do not apply: unknown here"
CARD_LEFT_BEHIND = "left behind where the data was prepared"
NOT_APPLICABLE = "not applicable"
COUNTED_VERDICTS = {
    "better": "better",
    "worse": "worse",
    "n.s.": "not significant",
    "n too small": "n too small",
    "identical": "identical",
    "incomplete": "not tested (predictions missing)",
}


# Overview


def highest_means(metric: str, *, highest: bool, places: Sequence[str], more: int) -> str:
    """The best mean of each data set at its smallest budget."""
    rest = f"; {plural(more, 'data set')} more in the table" if more else ""
    which = "Highest" if highest else "Lowest"
    return f"{which} mean {metric} (descriptive; see the tests): {'; '.join(places)}{rest}."


def best_at(place: str, method: str, mean: str, patients: int) -> str:
    """The best mean of one place."""
    return f"{place}: {method}, {mean} over {plural(patients, 'patient')}"


def tie(methods: Sequence[str], mean: str) -> str:
    """Methods that share the best mean."""
    return f"{', '.join(methods[:-1])} and {methods[-1]} share the best mean, {mean}"


def tested(tests: int, metrics: str, baseline: str) -> str:
    """How many tests there are, of what."""
    return f"{plural(tests, 'paired test')} of {metrics} against {baseline}, corrected for their number"


def no_test(incomplete: int) -> str:
    """That nothing is tested."""
    return " ".join(filter(None, ["No method was tested against a baseline.", not_tested(incomplete)]))


def not_tested(incomplete: int) -> str:
    """Comparisons that lack predictions; empty where none does."""
    return f"{plural(incomplete, 'comparison')} not tested: predictions missing." if incomplete else ""


def significant(count: int, verdict: str, methods: str) -> str:
    """Such as "2 significantly better (pdcr at 10 % labelled on ACDC, 1 more)"."""
    return f"{count} significantly {verdict}{methods}"


NOT_EQUALITY = "A test that is not significant does not show equality."


def alone(counts: Mapping[str, tuple[int, int]]) -> str:
    """How often one seed or one draw says “better” as all runs do; empty where there is one of each."""
    parts = [f"one {axis} alone repeats it in {same} of {total} tests" for axis, (same, total) in counts.items()]
    return f"“Better” by all runs: {', '.join(parts)}." if parts else ""


def over_draws(draws: Sequence[int], *, methods: int, tests: int, significant: Sequence[str]) -> str:
    """What tests averaged over draws find, of the methods that have all of them."""
    return (
        f"Averaged over draws {', '.join(map(str, sorted(draws)))} of labelled patients "
        f"({plural(methods, 'method')} with all of these draws, {plural(tests, 'paired test')} in families of their "
        f"own): {', '.join(significant)}."
    )


def too_small(count: int, smallest_p: str) -> str:
    """Tests that cannot be significant."""
    return f"{count} with too few patients to be significant (smallest reachable p {smallest_p})"


def means_contradict(count: int) -> str:
    """Tests whose means point the other way."""
    return f"{count} whose means contradict the rank test"


def another_verdict(count: int) -> str:
    """Tests with another verdict on a part of the references."""
    return f"{count} with another verdict on non-empty references or on false positives"


def counted_runs(runs: int, seeds: int, draws: int, folds: int, further: Mapping[int, int]) -> str:
    """How many runs there are, and how many more have further draws."""
    of_all = f"{runs} ({plural(seeds, 'seed')}, {plural(draws, 'draw')}, {plural(folds, 'fold')})"
    named = ", ".join(map(str, further))
    return f"{of_all}; {plural(sum(further.values()), 'run')} more of further draws ({named})" if further else of_all


def rests_on(*, runs: int, seeds: int, draws: int, missed: int, false_positives: int, missing: int) -> str:
    """What the numbers rest on."""
    predictions = f"{plural(missing, 'score')} missing, named below" if missing else "all predictions present"
    return (
        f"The numbers come from {plural(runs, 'run')} ({plural(seeds, 'seed')}, {plural(draws, 'draw')} of labelled "
        f"patients): {plural(missed, 'missed structure')}, {plural(false_positives, 'false positive')}, {predictions}."
    )


def steps_of_stages(row: str, dataset: str, total: int, stages: Mapping[str, int], as_long_as: str) -> str:
    """The steps of one method's stages, and the method whose total they have."""
    parts = " + ".join(f"{stage} {steps:,}" for stage, steps in stages.items())
    longest = f", as many as {as_long_as}" if as_long_as else ""
    return f"{row} on {dataset}: {total:,} steps{longest}" + (f" ({parts})." if len(stages) > 1 else ".")


def subsets(notes: Sequence[str]) -> str:
    """Which part of the published data is there."""
    return f"Present of the published data: {'; '.join(notes)}."


# Leaderboard


def first_in(share: float) -> str:
    """How often a method stays first."""
    return f"first in {100 * share:.0f} % of resamplings of the patients"


def is_baseline(worse: int, others: int) -> str:
    """The certainty where the baseline itself leads."""
    return f"the baseline itself; {worse} of {others} others significantly worse"


def no_common_patients(baseline: str) -> str:
    """The certainty where nothing can be paired."""
    return f"not tested: no patient in common with {baseline}"


def baseline_incomplete(baseline: str, scores: int) -> str:
    """The certainty where the baseline lacks scores."""
    return f"not tested: {baseline} lacks {plural(scores, 'score')}"


def identical_to(baseline: str, patients: str) -> str:
    """The certainty of identical scores."""
    return f"identical to {baseline} in {patients}"


def cannot_reject(baseline: str, smallest_p: str, patients: str) -> str:
    """The certainty where too few patients can be paired."""
    return f"cannot differ significantly from {baseline}: smallest reachable p\u00a0{smallest_p}, {patients}"


def test_result(verdict: str, baseline: str, p: str, patients: str) -> str:
    """The certainty of a test."""
    words = (
        f"not significantly different from {baseline}"
        if verdict == "n.s."
        else f"significantly {verdict} than {baseline}"
    )
    return f"{words}: corrected p\u00a0{p}, {patients}"


def its_mean_is(direction: str) -> str:
    """That the mean points the other way than the test."""
    return f"its mean is {direction}"


# Missing


def missing_predictions(count: int) -> str:
    """How many predictions are missing."""
    return f"{plural(count, 'prediction')}, named below" if count else "0 predictions"


def unavailable(names: Sequence[str]) -> str:
    """Data sets that are not on the machine."""
    return f"{plural(len(names), 'data set')} not on the machine: {', '.join(names)}"


def not_drawn(needs: str) -> str:
    """Why a figure of the page has no picture."""
    return f"Missing: this figure was not drawn.{f' It needs {needs}.' if needs else ''}"
