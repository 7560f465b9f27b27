"""What a suite may ask of its tables and figures. Torch-free; unknown keys are errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from contrastseg.checkpoint_names import ORACLE
from contrastseg.evaluation.settings import ComparisonSettings, EvaluationSettings
from contrastseg.report.settings.kinds import (
    FIGURE_KINDS,
    TABLE_KINDS,
    RegisteredKind,
    known_figure_kind,
    known_table_kind,
)
from contrastseg.report.settings.published import PublishedSettings

Name = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", description="File name without suffix")


def _one_of(kinds: Mapping[str, RegisteredKind]) -> dict[str, Any]:
    """The registered kinds, for the schema that editors read."""
    return {"enum": list(kinds)}


class TableSettings(BaseModel):
    """One table, written as CSV, Markdown, LaTeX and HTML under its name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Name
    kind: Annotated[str, AfterValidator(known_table_kind)] = Field("main", json_schema_extra=_one_of(TABLE_KINDS))
    caption: str | None = Field(None, description="Caption; that of the kind of table when left out")
    metrics: list[str] | None = Field(None, description="Metrics in this order; all scored ones when left out")
    datasets: list[str] | None = Field(None, description="Only these entries of the suite")
    methods: list[str] | None = Field(None, description="Only these methods, in this order")
    labels: list[str] | None = Field(None, description="Only these label budgets, in this order")
    checkpoints: list[str] | None = Field(None, description="Only these checkpoints")
    decimals: dict[str, int] = Field(default_factory=dict, description="Decimals per metric")
    intervals: bool = Field(True, description="Print [low, high] behind every mean")
    published: PublishedSettings | None = Field(
        None, description="The published table that ours is compared with (paper)"
    )

    @model_validator(mode="after")
    def _a_published_table_is_named(self) -> Self:
        if (self.kind == "paper") != (self.published is not None):
            raise ValueError("a table of kind paper, and no other, has the key `published`")
        return self

    def available_metrics(self, evaluation: EvaluationSettings, comparison: ComparisonSettings) -> list[str]:
        """The metrics that a table of this kind can show, from what a suite scores and tests."""
        return TABLE_KINDS[self.kind].metrics(evaluation, comparison)


class FigureSettings(BaseModel):
    """One figure, written as SVG, PDF and PNG under its name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Name
    kind: Annotated[str, AfterValidator(known_figure_kind)] = Field(json_schema_extra=_one_of(FIGURE_KINDS))
    caption: str | None = Field(None, description="Caption; that of the kind of figure when left out")
    metric: str = Field("dice", description="Metric that is drawn, or that ranks the cases (overlays)")
    cost: Literal["seconds", "cpu_seconds", "parameters", "memory"] = Field(
        "seconds", description="Cost of a score (cost)"
    )
    columns: list[str] = Field(["loss", "val_dice"], description="Columns of the log (learning_curves)")
    datasets: list[str] | None = Field(None, description="Only these entries of the suite")
    methods: list[str] | None = Field(None, description="Only these methods")
    labels: list[str] | None = Field(
        None, description="Only these label budgets; overlays, and figures with room for few, take the first"
    )
    checkpoints: list[str] | None = Field(None, description="Only these checkpoints")
    width: float = Field(7.2, gt=1, le=30, description="Width in inches")
    dpi: int = Field(200, ge=50, le=600, description="Resolution of the PNG")

    def available_metrics(self, evaluation: EvaluationSettings, comparison: ComparisonSettings) -> list[str]:
        """The metrics that a figure of this kind can show, from what a suite scores and tests."""
        return FIGURE_KINDS[self.kind].metrics(evaluation, comparison)


def default_tables(
    conventions: bool = False, selection: bool = False, tuned: bool = False, draws: bool = False
) -> list[TableSettings]:
    """The tables of a suite that names none.

    More where it has several conventions or the oracle, is tuned, or has methods with further draws.
    """
    more = [TableSettings(name="conventions", kind="conventions", metrics=["dice", "hd95"])] if conventions else []
    more += [TableSettings(name="selection", kind="selection")] if selection else []
    more += [TableSettings(name="tuning", kind="tuning")] if tuned else []
    return [
        TableSettings(name="main", kind="main", metrics=["dice", "hd95"]),
        TableSettings(name="comparison", kind="comparison"),
        *([TableSettings(name="draws", kind="draws")] if draws else []),
        TableSettings(name="classes", kind="classes", metrics=["dice"]),
        TableSettings(name="variance", kind="variance", metrics=["dice"]),
        *more,
    ]


def default_figures(conventions: bool = False) -> list[FigureSettings]:
    """The figures of a suite that names none; two more where it scores by several conventions."""
    more = [
        FigureSettings(name="conventions_dice", kind="conventions", metric="dice"),
        FigureSettings(name="conventions_hd95", kind="conventions", metric="hd95"),
    ]
    return [
        FigureSettings(name="label_ratio", kind="label_ratio"),
        FigureSettings(name="box", kind="box"),
        FigureSettings(name="outcomes", kind="outcomes"),
        FigureSettings(name="significance", kind="significance"),
        FigureSettings(name="rank_stability", kind="rank_stability"),
        FigureSettings(name="cost", kind="cost"),
        FigureSettings(name="learning_curves", kind="learning_curves"),
        FigureSettings(name="overlays", kind="overlays"),
        *(more if conventions else ()),
    ]


def usual_tables(suite: Mapping[str, Any]) -> list[TableSettings]:
    """The tables of a suite that names none, from its fields so far: what they show is what it scores."""
    tables = []
    oracle, tuned = ORACLE in (suite.get("checkpoints") or ()), suite.get("tuning") is not None
    shared = set(suite.get("draws") or ())
    draws = any(set(method.draws or ()) - shared for method in suite.get("methods") or ())
    for table in default_tables(_several_conventions(suite), oracle, tuned, draws):
        available = _available_metrics(table, suite)
        metrics = (
            [metric for metric in table.metrics if metric in available] or available[:1] if table.metrics else None
        )
        if metrics != []:
            tables.append(table.model_copy(update={"metrics": metrics}))
    return tables


def usual_figures(suite: Mapping[str, Any]) -> list[FigureSettings]:
    """The figures of a suite that names none, from its fields so far: what they show is what it scores.

    Of several checkpoints they show the first that the suite names, and never the oracle: tables compare the others.
    """
    figures = []
    checkpoints = list(suite.get("checkpoints") or ())
    shown = [name for name in checkpoints if name != ORACLE][:1]
    only = {"checkpoints": shown} if len(checkpoints) > 1 else {}
    for figure in (default.model_copy(update=only) for default in default_figures(_several_conventions(suite))):
        available = _available_metrics(figure, suite)
        if figure.metric in available:
            figures.append(figure)
        elif available and not figure.name.endswith(figure.metric):  # or its name would be of another metric
            figures.append(figure.model_copy(update={"metric": available[0]}))
    return figures


def _available_metrics(drawing: TableSettings | FigureSettings, suite: Mapping[str, Any]) -> list[str]:
    evaluation = suite.get("evaluation") or EvaluationSettings()
    return drawing.available_metrics(evaluation, suite.get("comparison") or ComparisonSettings())


def _several_conventions(suite: Mapping[str, Any]) -> bool:
    return bool(getattr(suite.get("evaluation"), "conventions", ()))
