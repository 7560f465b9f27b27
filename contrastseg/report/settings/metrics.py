"""Available metrics: which a table or a figure can show of those that a suite scores and tests. Torch-free."""

from __future__ import annotations

from contrastseg.checkpoint_names import SELECTED_BY
from contrastseg.evaluation.metrics.catalogue import DERIVED, by_conventions, direction, resolve_metrics
from contrastseg.evaluation.settings import ComparisonSettings, EvaluationSettings


def scored(evaluation: EvaluationSettings, comparison: ComparisonSettings) -> list[str]:
    """The metrics that single cases have."""
    return list(resolve_metrics(evaluation.metrics))


def scored_or_derived(evaluation: EvaluationSettings, comparison: ComparisonSettings) -> list[str]:
    """The metrics of cases, and those that are derived from all cases of a data set."""
    cases = scored(evaluation, comparison)
    return [*cases, *(name for name, parts in DERIVED.items() if set(parts) <= set(cases))]


def tested(evaluation: EvaluationSettings, comparison: ComparisonSettings) -> list[str]:
    """The metrics that methods are compared by."""
    return list(resolve_metrics(comparison.metrics))


def of_conventions(evaluation: EvaluationSettings, comparison: ComparisonSettings) -> list[str]:
    """The metrics that scoring conventions define."""
    return by_conventions(scored(evaluation, comparison))


def selecting(evaluation: EvaluationSettings, comparison: ComparisonSettings) -> list[str]:
    """The metric that selects the oracle checkpoint."""
    return [metric for metric in scored(evaluation, comparison) if metric == SELECTED_BY]


def higher_is_better(evaluation: EvaluationSettings, comparison: ComparisonSettings) -> list[str]:
    """The metrics of cases whose largest value is the best."""
    return [metric for metric in scored(evaluation, comparison) if direction(metric) == "higher"]
