"""Kinds of tables and figures by name: where each is defined and which metrics it can show. Torch-free.

A new kind is a file that defines a `TableKind` or a `FigureKind`, and its line in `TABLE_KINDS` or `FIGURE_KINDS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from contrastseg.errors import unknown_name
from contrastseg.evaluation.settings import ComparisonSettings, EvaluationSettings
from contrastseg.report.settings import metrics

MetricsOf = Callable[[EvaluationSettings, ComparisonSettings], list[str]]


@dataclass(frozen=True)
class RegisteredKind:
    """A kind as a suite can check it, without importing what draws it.

    Attributes:
        defined_in: `package.module:NAME` of its `TableKind` or `FigureKind`.
        metrics: The metrics it can show, from what a suite scores and tests.
    """

    defined_in: str
    metrics: MetricsOf = metrics.scored_or_derived

    def definition(self) -> Any:
        """Import the `TableKind` or `FigureKind`."""
        module, _, name = self.defined_in.partition(":")
        return getattr(import_module(module), name)


_TABLES, _FIGURES = "contrastseg.report.tables", "contrastseg.report.figures"
TABLE_KINDS = {
    "main": RegisteredKind(f"{_TABLES}.scores:MAIN"),
    "classes": RegisteredKind(f"{_TABLES}.scores:CLASSES"),
    "comparison": RegisteredKind(f"{_TABLES}.comparison:COMPARISON", metrics.tested),
    "draws": RegisteredKind(f"{_TABLES}.draws:DRAWS", metrics.tested),
    "variance": RegisteredKind(f"{_TABLES}.variance:VARIANCE", metrics.tested),
    "paper": RegisteredKind(f"{_TABLES}.published.table:PUBLISHED"),
    "conventions": RegisteredKind(f"{_TABLES}.conventions:CONVENTIONS", metrics.of_conventions),
    "selection": RegisteredKind(f"{_TABLES}.selection:SELECTION", metrics.selecting),
    "tuning": RegisteredKind(f"{_TABLES}.tuning:TUNING", metrics.selecting),
}
FIGURE_KINDS = {
    "label_ratio": RegisteredKind(f"{_FIGURES}.label_ratio:KIND"),
    "box": RegisteredKind(f"{_FIGURES}.box:KIND", metrics.scored),
    "outcomes": RegisteredKind(f"{_FIGURES}.outcomes:KIND"),
    "significance": RegisteredKind(f"{_FIGURES}.significance:KIND"),
    "rank_stability": RegisteredKind(f"{_FIGURES}.ranks:RANK_STABILITY"),
    "critical_difference": RegisteredKind(f"{_FIGURES}.ranks:CRITICAL_DIFFERENCE"),
    "conventions": RegisteredKind(f"{_FIGURES}.conventions:KIND", metrics.of_conventions),
    "cost": RegisteredKind(f"{_FIGURES}.cost:KIND"),
    "learning_curves": RegisteredKind(f"{_FIGURES}.curves:KIND"),
    "overlays": RegisteredKind(f"{_FIGURES}.overlays:KIND", metrics.higher_is_better),
}


def known_table_kind(name: str) -> str:
    """The name, where a kind of table has it.

    Raises:
        ValueError: No kind of table has it.
    """
    return _known("kind of table", name, TABLE_KINDS)


def known_figure_kind(name: str) -> str:
    """The name, where a kind of figure has it.

    Raises:
        ValueError: No kind of figure has it.
    """
    return _known("kind of figure", name, FIGURE_KINDS)


def _known(what: str, name: str, kinds: dict[str, RegisteredKind]) -> str:
    if name not in kinds:
        raise ValueError(unknown_name(what, name, sorted(kinds)))
    return name
