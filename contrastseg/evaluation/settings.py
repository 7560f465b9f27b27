"""What a suite may say about scoring and comparing. Validated at the edge, torch-free."""

from __future__ import annotations

import math
from typing import Any, Literal, Self

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from contrastseg.errors import ScoringError
from contrastseg.evaluation.metrics.catalogue import DEFAULT_METRICS, resolve_metrics
from contrastseg.evaluation.metrics.conventions import get_convention
from contrastseg.evaluation.metrics.empty_references import EmptyReference

FamilyName = Literal["methods_and_ratios", "methods"]


class EvaluationSettings(BaseModel):
    """How predictions are scored."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    metrics: tuple[str, ...] = Field(DEFAULT_METRICS, min_length=1, description="Metrics to score, by name.")
    convention: str = Field("default", description="Scoring convention, by name.")
    also_conventions: tuple[str, ...] = Field(
        (),
        description="Conventions that the same predictions are scored by as well, for the table and the figure of what "
        "the convention alone does to the ranking (conventions.parquet).",
    )
    nsd_tolerance: float | dict[str, float] = Field(
        1.0, description="Tolerance of NSD in the image's unit, for all classes or by class name."
    )

    @field_validator("metrics")
    @classmethod
    def _known_metrics(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return _known(names)

    @field_validator("nsd_tolerance")
    @classmethod
    def _lengths(cls, tolerance: float | dict[str, float]) -> float | dict[str, float]:
        each = tolerance.values() if isinstance(tolerance, dict) else (tolerance,)
        if wrong := [length for length in each if not 0 <= length < math.inf]:
            raise ValueError(f"a tolerance is a length of 0 or more, and {wrong[0]} is none")
        return tolerance

    @field_validator("convention")
    @classmethod
    def _known_convention(cls, name: str) -> str:
        return _convention(name)

    @field_validator("also_conventions")
    @classmethod
    def _known_conventions(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(_convention, names))

    @model_validator(mode="after")
    def _each_convention_once(self) -> Self:
        if len({*self.also_conventions, self.convention}) <= len(self.also_conventions):
            raise ValueError(f"also_conventions names a convention twice, or the suite's own, {self.convention!r}")
        return self

    @property
    def conventions(self) -> tuple[str, ...]:
        """The suite's convention and then the others, where there are others; else none."""
        return (self.convention, *self.also_conventions) if self.also_conventions else ()


_STORED_BASELINE = "reference"


class ComparisonSettings(BaseModel):
    """Which differences are tested, and how strictly."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    baseline: str = Field(
        "supervised",
        validation_alias=AliasChoices("baseline", _STORED_BASELINE),
        description="The method every other is compared with: `method` or `method/variant`.",
    )
    metrics: tuple[str, ...] = Field(("dice",), min_length=1, description="Metrics that are tested.")
    alpha: float = Field(0.05, gt=0, lt=1, description="Level of the corrected tests and of the intervals.")
    family: FamilyName = Field(
        "methods_and_ratios",
        description="The tests Holm corrects together, within one data set, evaluation set, checkpoint and metric: "
        "all methods at all label budgets, or all methods at one budget.",
    )
    empty_reference: EmptyReference = Field(
        "best_or_worst",
        description="Score, in comparisons and rankings, of a structure that the reference does not have: "
        "`best_or_worst` (best for an empty prediction, worst for any other; precision and recall leave it out) or "
        "`leave_out` (for every method). Tables of scores keep the scoring convention's.",
    )

    @field_validator("metrics")
    @classmethod
    def _known_metrics(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return _known(names)

    @model_serializer(mode="wrap")
    def _as_stored(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Results keep the key that they were stored with, and the digests made of them."""
        return {_STORED_BASELINE if key == "baseline" else key: value for key, value in serialise(self).items()}


def _convention(name: str) -> str:
    try:
        get_convention(name)
    except ScoringError as error:
        raise ValueError(error.reason) from error
    return name


def _known(names: tuple[str, ...]) -> tuple[str, ...]:
    try:
        resolve_metrics(names)
    except ScoringError as error:
        raise ValueError(error.reason) from error
    return names
