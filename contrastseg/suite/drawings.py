"""Tables and figures name only what the suite has."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from contrastseg.errors import unknown_name
from contrastseg.report.paper_settings import PaperSettings
from contrastseg.report.settings import FigureSettings, TableSettings


def known(kind: str, name: str, there: Collection[str]) -> str:
    """`name`, when it is there.

    Raises:
        ValueError: It is not; the message lists what is.
    """
    if name not in there:
        raise ValueError(unknown_name(kind, name, list(there)))
    return name


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
            known(f"{kind} in {drawing.name}:", name, there)


def _mapped(
    paper: PaperSettings, entries: Collection[str], methods: Mapping[str, Collection[str]], labels: Collection[str]
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
