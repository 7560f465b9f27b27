"""How a suite's rows are mapped to published rows: always `published: ours`, in the source's wording."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from contrastseg.errors import unknown_name
from contrastseg.evaluation.published.published import HERE, published_rows

# `where` is the table of a source that has several; the others are what a number is of.
Axis = Literal["where", "dataset", "labelled", "method", "class", "metric"]
AXES: tuple[Axis, ...] = ("dataset", "labelled", "method", "class", "metric")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PublishedData(_Strict):
    """Where the suite has a data set of the source."""

    entry: str = Field(description="Entry of the suite that models are trained on")
    evaluated_on: str = Field("", description="Entry that they are evaluated on; the same where left out")
    labels: dict[str, str] = Field(default_factory=dict, description="Its own labels, over those of the table")
    split: str | None = Field(None, description="The split here that is the source's own; left out: not known")
    differs: list[str] = Field(default_factory=list, description="Other differences in the data, in words")

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        value = {"entry": value} if isinstance(value, str) else value
        return {**value, "evaluated_on": value.get("evaluated_on") or value.get("entry", "")} if value else value


class PublishedProtocol(_Strict):
    """The source's protocol beside the split, as far as it is known. A key that is left out counts as not stated."""

    convention: str | None = Field(None, description="Scoring convention of the source's code")
    checkpoint: Literal["last", "best_val", "best_test"] | None = Field(None, description="Which checkpoint it scored")
    recipe: dict[str, Any] = Field(
        default_factory=dict, description="Training settings as the source states them, by name: `network.name: vnet`"
    )
    differs: list[str] = Field(default_factory=list, description="Other differences from ours, in words")


class PublishedSettings(_Strict):
    """One published table, its layout, and which of our rows stand beside its rows."""

    source: str = Field(description="File in benchmarks/published, without .csv")
    where: str | None = Field(None, description="Only this table of the source, as its column `where` names it")
    papers: list[str] | None = Field(None, description="Only these of the column `paper`")
    blocks: list[Axis] = Field(["dataset"], description="One block of the table for each of these")
    rows: list[Axis] = Field(["method"], description="Axes of the rows")
    columns: list[Axis] = Field(["metric"], description="Axes of the columns")
    datasets: dict[str, PublishedData] = Field(min_length=1, description="Published data set: entry")
    methods: dict[str, str] = Field(default_factory=dict, description="Published method: method or method/variant")
    labels: dict[str, str] = Field(default_factory=dict, description="Published labelled data: label budget")
    classes: dict[str, str] = Field(default_factory=dict, description="Published class: class, or mean")
    metrics: dict[str, str] | None = Field(
        None, description="Published metric: metric, or nothing; all the source's if left out"
    )
    protocol: PublishedProtocol = PublishedProtocol()

    @model_validator(mode="after")
    def _known_names(self) -> Self:
        rows: Sequence[Mapping[str, Any]] = published_rows()
        _check("source", [self.source], {row["file"] for row in rows})
        rows = [row for row in rows if row["file"] == self.source]
        here = f"of {self.source}"
        if self.where is not None:
            _check(f"table (where) {here}", [self.where], {row["where"] for row in rows})
            rows = [row for row in rows if row["where"] == self.where]
        if self.papers is not None:
            _check(f"paper {here}", self.papers, {row["paper"] for row in rows})
            rows = [row for row in rows if row["paper"] in self.papers]
        _check(f"data set {here}", self.datasets, {row["dataset"] for row in rows})
        rows = [row for row in rows if row["dataset"] in self.datasets]
        for axis, names in (
            ("method", self.methods),
            ("labelled", {**self.labels, **{name: 1 for data in self.datasets.values() for name in data.labels}}),
            ("class", self.classes),
            ("metric", self.metrics or {}),
        ):
            _check(f"{axis} {here}", names, {row[axis] for row in rows})
        self._layout(rows)
        return self

    def _layout(self, rows: Sequence[Mapping[str, Any]]) -> None:
        placed = [*self.blocks, *self.rows, *self.columns]
        if self.metrics is not None:
            rows = [row for row in rows if row["metric"] in self.metrics]
        for axis in AXES:
            values = dict.fromkeys(str(row[axis]) for row in rows)
            if placed.count(axis) > 1:
                raise ValueError(f"{axis} stands twice among blocks, rows and columns")
            if axis not in placed and len(values) > 1:
                names = ", ".join(values)
                raise ValueError(
                    f"{self.source} has several of {axis} ({names}): put {axis} in blocks, rows or columns"
                )

    def budget(self, dataset: str, labelled: str) -> str:
        """Our label budget for what a source says was labelled of a data set; empty where there is none."""
        return {**self.labels, **self.datasets[dataset].labels}.get(labelled, "")

    def metric_here(self, published: str) -> str:
        """Our metric for a published one; empty where we have none."""
        return (self.metrics or HERE).get(published, "")


def _check(kind: str, names: Sequence[str] | Mapping[str, Any], known: set[Any]) -> None:
    for name in names:
        if name not in known:
            raise ValueError(unknown_name(f"published {kind},", name, sorted(map(str, known))))
