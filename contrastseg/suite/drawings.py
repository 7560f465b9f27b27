"""Tables, figures and tests name only what the suite has."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from contrastseg.evaluation.metrics.catalogue import DERIVED, METRICS, resolve_metrics
from contrastseg.evaluation.settings import ComparisonSettings, EvaluationSettings
from contrastseg.report.settings import FigureSettings, TableSettings
from contrastseg.report.settings.published import PublishedSettings
from contrastseg.suite.names import require_known


def check_drawings(
    drawings: Sequence[TableSettings | FigureSettings],
    entries: Collection[str],
    methods: Mapping[str, Collection[str]],
    labels: Collection[str],
    checkpoints: Collection[str],
) -> None:
    """Check every name that tables and figures ask for.

    Args:
        drawings: The tables and figures.
        entries: The suite's entries.
        methods: Its methods with the variants of each.
        labels: Its label budgets.
        checkpoints: Its checkpoints.

    Raises:
        ValueError: A name is not among them.
    """
    for drawing in drawings:
        wanted: list[tuple[str, str, Collection[str]]] = []
        for kind, names, there in (
            ("entry", drawing.datasets, entries),
            ("method", drawing.methods, methods),
            ("label budget", drawing.labels, labels),
            ("checkpoint", drawing.checkpoints, checkpoints),
        ):
            wanted += [(kind, name, there) for name in names or ()]
        if isinstance(drawing, TableSettings) and drawing.published is not None:
            wanted += _mapped(drawing.published, entries, methods, labels)
        for kind, name, there in wanted:
            require_known(f"{kind} in {drawing.name}:", name, there)


def check_metrics(
    drawings: Sequence[TableSettings | FigureSettings], evaluation: EvaluationSettings, comparison: ComparisonSettings
) -> None:
    """Check that what is tested and drawn is scored: an empty test or table says nothing of a typo.

    Raises:
        ValueError: A metric is unknown, or is not among those that there will be.
    """
    scored = resolve_metrics(evaluation.metrics)
    for metric in comparison.metrics:
        if not set(resolve_metrics([metric])) <= set(scored):
            raise ValueError(
                f"comparison.metrics asks for {metric}, and evaluation.metrics scores: {', '.join(scored)}"
            )
    for drawing in drawings:
        available = drawing.available_metrics(evaluation, comparison)
        for metric in _shown(drawing):
            require_known(f"metric in {drawing.name}:", metric, [*METRICS, *DERIVED])
            if metric not in available:
                raise ValueError(
                    f"{drawing.name} cannot show {metric}; with these evaluation.metrics and comparison.metrics a"
                    f" drawing of kind {drawing.kind} can show: {', '.join(available) or 'none'}"
                )
        if isinstance(drawing, TableSettings):
            for metric in drawing.decimals:
                require_known(f"metric in decimals of {drawing.name}:", metric, [*METRICS, *DERIVED])


def _shown(drawing: TableSettings | FigureSettings) -> Iterator[str]:
    """The metrics that a drawing asks for."""
    if isinstance(drawing, FigureSettings):
        if drawing.kind != "learning_curves":
            yield drawing.metric
        return
    yield from drawing.metrics or ()
    if drawing.published is not None:
        # A printed metric may be held against nothing: "".
        yield from filter(None, (drawing.published.metrics or {}).values())


def _mapped(
    paper: PublishedSettings, entries: Collection[str], methods: Mapping[str, Collection[str]], labels: Collection[str]
) -> Iterator[tuple[str, str, Collection[str]]]:
    """Our side of a mapping to printed rows."""
    for data in paper.datasets.values():
        yield from (("entry", name, entries) for name in (data.entry, data.evaluated_on))
        yield from (("label budget", name, labels) for name in data.labels.values())
    for mapped in paper.methods.values():
        name, _, variant = mapped.partition("/")
        yield "method", name, methods
        yield f"variant of {name}", variant or "default", methods.get(name, ())
    yield from (("label budget", name, labels) for name in paper.labels.values())
