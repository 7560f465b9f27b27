"""Which metrics a table or a figure can show of those that a suite scores and tests. Torch-free."""

from __future__ import annotations

from contrastseg.evaluation.metrics.catalogue import DERIVED, by_conventions, direction, resolve_metrics
from contrastseg.evaluation.settings import ComparisonSettings, EvaluationSettings


def metrics_of(kind: str, evaluation: EvaluationSettings, comparison: ComparisonSettings) -> list[str]:
    """The metrics that a drawing can show.

    Args:
        kind: The kind of table or figure.
        evaluation: What is scored.
        comparison: What is tested.
    """
    scored = resolve_metrics(evaluation.metrics)
    if kind == "comparison":
        return list(resolve_metrics(comparison.metrics))
    if kind == "conventions":
        return by_conventions(scored)
    if kind == "box":  # cases one by one, for which what is made of a whole data set has no value
        return list(scored)
    if kind == "overlays":  # likewise, and the case of the largest value is called the best
        return [metric for metric in scored if direction(metric) == "higher"]
    return [*scored, *(name for name, parts in DERIVED.items() if set(parts) <= set(scored))]
