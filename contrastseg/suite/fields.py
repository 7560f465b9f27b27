"""The fields of a suite, and the training settings they come to."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SerializerFunctionWrapHandler, field_validator, model_serializer

from contrastseg.evaluation.settings import ComparisonSettings, EvaluationSettings
from contrastseg.report.settings import FigureSettings, TableSettings, usual_figures, usual_tables
from contrastseg.suite.entries import Axis, DatasetEntry, MethodEntry, Name, Strict
from contrastseg.suite.names import require_distinct, require_known
from contrastseg.suite.overrides import of_stage, overridden
from contrastseg.suite.recipes import recipe_names
from contrastseg.suite.step_totals import stage_override
from contrastseg.suite.tuning import TuningSettings
from contrastseg.training.settings import TrainingSettings

_BUDGET = re.compile(r"r(0\.\d+|1(\.0+)?)|n[1-9]\d*")


def _refuse_numbers(value: Any) -> Any:
    """`1` and `0.25` are what people write first; say what is meant instead of guessing."""
    if isinstance(value, int | float):
        raise ValueError(f"{value} is ambiguous: write r{value} for a ratio or n{value} for a number of patients")
    return value


LabelBudget = Annotated[str, BeforeValidator(_refuse_numbers)]


class SuiteFields(Strict):
    """What a suite says, each field checked by itself."""

    name: Name
    title: str = ""
    description: str = ""
    recipe: Name | None = Field(None, description="the source whose recipe it follows: a file in benchmarks/recipes")
    datasets: list[DatasetEntry] = Field(min_length=1)
    methods: list[MethodEntry] = Field(min_length=1)
    labels: list[LabelBudget] = Field(["r1"], min_length=1, description="budgets: r<ratio> or n<patients>")
    draws: Axis = Field([0], description="draws of labelled patients of every method; a method may have further ones")
    folds: Axis = [0]
    seeds: Axis = [0]
    training: TrainingSettings = TrainingSettings()
    budget: Literal["steps"] | None = Field(
        None, description="steps: every method has training.steps over all its stages; if unset, each stage has them"
    )
    tuning: TuningSettings | None = Field(
        None, description="every method is tuned before it is trained; if unset, every method has its defaults"
    )
    checkpoints: list[Literal["last", "best_val", "best_test"]] = Field(
        ["last"],
        min_length=1,
        description="what is reported; best_test is the oracle, the best of the snapshots by its test score",
    )
    keep_snapshots: bool = Field(
        True, description="whether all snapshots stay once the oracle is selected, or the selected one alone"
    )
    evaluation: EvaluationSettings = EvaluationSettings()
    # Made by a function, for a default in the schema would show the spelling that is stored.
    comparison: ComparisonSettings = Field(default_factory=ComparisonSettings)
    tables: list[TableSettings] = Field(default_factory=usual_tables)
    figures: list[FigureSettings] = Field(default_factory=usual_figures)
    also_show: list[Name] = Field(
        default_factory=list,
        description="other suites whose main tables stand on the page, apart; compared with nothing",
    )
    custom_rules: list[str] = Field(default_factory=list, description="rule files, relative to the working directory")

    @field_validator("recipe")
    @classmethod
    def _known_recipe(cls, name: str | None) -> str | None:
        return name if name is None else require_known("recipe", name, recipe_names())

    @field_validator("labels")
    @classmethod
    def _budgets(cls, labels: list[str]) -> list[str]:
        for label in labels:
            if not _BUDGET.fullmatch(label) or (label[0] == "r" and not float(label[1:])):
                raise ValueError(f"{label!r} is not a label budget: write r0.25 for a ratio or n7 for 7 patients")
        require_distinct("label budget", [f"{label[0]}{float(label[1:]):g}" for label in labels])
        return labels

    @field_validator("datasets", "methods", "tables", "figures")
    @classmethod
    def _distinct_names(cls, items: list[Any]) -> list[Any]:
        require_distinct("name", [item.name for item in items])
        return items

    @field_validator("draws", "folds", "seeds", "checkpoints", "also_show")
    @classmethod
    def _distinct_values(cls, values: list[Any]) -> list[Any]:
        require_distinct("value", values)
        return values

    @model_serializer(mode="wrap")
    def _as_stored(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Suites without these keys keep the content that their plans are stored with, so that nothing runs again."""
        return {key: value for key, value in serialise(self).items() if value or key not in ("tuning", "also_show")}

    def entry(self, name: str) -> DatasetEntry:
        """The entry of this name."""
        return next(entry for entry in self.datasets if entry.name == name)

    def method(self, name: str) -> MethodEntry:
        """The method of this name."""
        return next(method for method in self.methods if method.name == name)

    def draws_of(self, method: MethodEntry) -> list[int]:
        """The draws that a method runs with."""
        return self.draws if method.draws is None else method.draws

    @property
    def further_draws(self) -> list[int]:
        """Draws that some methods run with beside the suite's, in the order in which they are named."""
        named = dict.fromkeys(draw for method in self.methods for draw in self.draws_of(method))
        return [draw for draw in named if draw not in self.draws]

    @property
    def all_draws(self) -> list[int]:
        """The draws of the suite, then the further ones."""
        return [*self.draws, *self.further_draws]

    def training_of(self, entry: DatasetEntry, method: MethodEntry, variant: str) -> TrainingSettings:
        """Training settings of a run: the suite's, then those of the entry, of the method and of its variant.

        What a stage puts on top of them, `stage_training` does.

        Raises:
            SuiteError: An override does not exist or has no valid value; the message says where it was written.
        """
        return overridden(
            self.training,
            {
                f"datasets, {entry.name}, training": entry.training,
                f"methods, {method.name}, training": method.training,
                f"methods, {method.name}, variants, {variant}, training": method.variant_training(variant),
            },
        )

    def stage_override(self, entry: DatasetEntry, method: MethodEntry, variant: str, stage: str) -> dict[str, Any]:
        """The suite's own settings of one stage, stronger than the method's: those written, and steps of a budget."""
        return stage_override(self, entry, method, variant, stage)

    def stage_training(self, entry: DatasetEntry, method: MethodEntry, variant: str, stage: str) -> TrainingSettings:
        """Training settings of one stage of a run, with all that is put on top of the run's.

        Raises:
            SuiteError: An override does not exist or has no valid value; the message says where it was written.
        """
        own = self.stage_override(entry, method, variant, stage)
        return of_stage(self.training_of(entry, method, variant), method, variant, stage, own)
