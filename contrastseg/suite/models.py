"""What a suite asks for: data sets x methods x label budgets x draws x folds x seeds, and the tables wanted of it.

The models compose those of the rooms, so a key means the same in a suite as it does in the room that obeys it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from contrastseg.data.settings import SplitSettings
from contrastseg.errors import ContrastsegError, DataError, SuiteError, UnavailableDataError
from contrastseg.evaluation.settings import ComparisonSettings, EvaluationSettings
from contrastseg.report.settings import FigureSettings, TableSettings, usual_figures, usual_tables
from contrastseg.suite.consistency import check_consistency
from contrastseg.suite.names import distinct, known
from contrastseg.suite.overrides import of_stage, overridden
from contrastseg.suite.reading import explain, read_yaml
from contrastseg.suite.recipes import recipe_names
from contrastseg.training.settings import TrainingSettings

if TYPE_CHECKING:
    from contrastseg.data.readers.specs import DatasetSpec

# Names become folders, wildcards and columns: no separators, no leading dot or dash.
NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]*"
Name = Annotated[str, Field(pattern=f"^{NAME}$", max_length=100)]
Axis = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
_BUDGET = re.compile(r"r(0\.\d+|1(\.0+)?)|n[1-9]\d*")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DatasetEntry(_Strict):
    """A data set with its preparation, its split and what it is evaluated on, under one name.

    Attributes:
        name: The entry's name, in paths and tables.
        dataset: The data set; the entry's name where it is left out.
        nnunet: A folder in nnU-Net's layout, relative to the working directory: short for `dataset: nnunet` with its
            option `path`.
        unlabelled: What images without a label are in a folder in nnU-Net's layout: `use` trains on them (the
            default), `require_labels` makes them faults. Short for the option `unlabelled`.
        spatial_dims: What the networks see: 2 trains on slices of volumes; the data set's own where left out.
        options: Options of the data set.
        preparation: Replaces the data set's own rule, key by key.
        split: Which patients train, validate and test; over the data set's own split, key by key. A split of another
            name starts from the defaults.
        evaluate_on: Entries whose test patients its models predict; itself where left out. With an empty list nothing
            is trained on it: it is there for others to be evaluated on.
        pool: Entries whose cases its pre-training without labels draws from, instead of its training patients alone.
            Its own name among them stands for its training patients, another for all cases of that entry. What the
            suite is tested on stays out.
        subset: What is missing of the data set here, for every table to say.
        training: Overrides of the suite's training settings on this entry.
    """

    name: Name
    dataset: Name
    nnunet: str | None = Field(None, exclude=True)
    unlabelled: Literal["use", "require_labels"] | None = Field(None, exclude=True)
    spatial_dims: Literal[2, 3] | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    preparation: dict[str, Any] = Field(default_factory=dict)
    split: SplitSettings = Field(default_factory=lambda given: _own_split(given))
    evaluate_on: list[Name]
    pool: list[Name] = Field(default_factory=list)
    subset: str | None = None
    training: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _named_after_each_other(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = {"name": value}
        if isinstance(value, Mapping) and value.get("nnunet") is not None:
            given = value.get("options") or {}
            options = {"path": value["nnunet"], **given} if isinstance(given, Mapping) else given
            value = {"dataset": "nnunet", **value, "options": options}
        if isinstance(value, Mapping) and value.get("unlabelled") is not None:
            given = value.get("options") or {}
            options = {"unlabelled": value["unlabelled"], **given} if isinstance(given, Mapping) else given
            value = {**value, "options": options}
        if isinstance(value, Mapping) and "name" in value:
            value = {"dataset": value["name"], "evaluate_on": [value["name"]], **value}
        return value

    @field_validator("dataset")
    @classmethod
    def _known_dataset(cls, name: str) -> str:
        from contrastseg.data.registry import registry

        try:
            return registry.check(name)
        except DataError as error:
            raise ValueError(error.reason) from error

    @field_validator("split", mode="before")
    @classmethod
    def _over_the_data_set_s_own(cls, value: Any, info: ValidationInfo) -> Any:
        return _own_split(info.data).under(value) if isinstance(value, Mapping) else value

    @model_validator(mode="after")
    def _known_options_and_split(self) -> Self:
        if self.nnunet is not None and (self.dataset, self.options["path"]) != ("nnunet", self.nnunet):
            raise ValueError(
                f"nnunet: {self.nnunet} says which data set it is: leave out `dataset` and the option `path`"
            )
        if self.unlabelled is not None and self.dataset != "nnunet":
            raise ValueError("unlabelled is a key of entries in nnU-Net's layout; give other data sets their options")
        if self.unlabelled is not None and self.options["unlabelled"] != self.unlabelled:
            raise ValueError(f"unlabelled: {self.unlabelled} and the option `unlabelled` differ: leave one out")
        try:
            spec = self.spec
            spec.parse_options(self.options)
        except UnavailableDataError:  # what is not on this machine, the plan lists
            return self
        except DataError as error:
            raise ValueError(str(error)) from error
        known(f"split of {self.dataset}", self.split.name, ["random", *spec.splits])
        if spec.spatial_dims == 2 and self.preparation.get("slice_axis") is not None:
            raise ValueError(f"{spec.title} has no slices: leave slice_axis out of preparation")
        return self

    @property
    def spec(self) -> DatasetSpec:
        """The data set.

        Raises:
            UnavailableDataError: Its options name a folder that is not on this machine.
            DataError: What that folder says of itself is wrong.
        """
        from contrastseg.data.registry import registry

        return registry.get(self.dataset, self.options)

    @field_validator("preparation")
    @classmethod
    def _valid_preparation(cls, value: dict[str, Any]) -> dict[str, Any]:
        from contrastseg.data.prepare import recipe

        try:
            recipe.check(value)
        except DataError as error:
            raise ValueError(error.reason) from error
        return value


class MethodEntry(_Strict):
    """A method with the variants wanted of it.

    Attributes:
        name: The method.
        variants: Settings by the variant's name; the method's own variants are known by name (`{rf: {}}`).
        settings: Settings of all its variants.
        training: Overrides of the suite's training settings for this method, in all its stages.
        stages: Overrides for single stages by name (`{pretrain: {steps: 5000}}`); strongest of all.
    """

    name: Name
    variants: dict[Name, dict[str, Any]] = Field({"default": {}}, min_length=1)
    settings: dict[str, Any] = Field(default_factory=dict)
    training: dict[str, Any] = Field(default_factory=dict)
    stages: dict[Name, dict[str, Any]] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"name": value}
        names = value.get("variants") if isinstance(value, Mapping) else None
        if isinstance(names, list) and all(isinstance(name, str) for name in names):
            return {**value, "variants": {name: {} for name in names}}
        return value

    @model_validator(mode="after")
    def _known_method(self) -> Self:
        from contrastseg.methods import registry

        known("method", self.name, registry.names())
        for stage in self.stages:
            known(f"stage of {self.name}", stage, [one.name for one in registry.get(self.name).stages])
        for variant in self.variants:
            try:
                self.resolve(variant)
            except SuiteError as error:
                raise ValueError(error.reason) from error
        return self

    def resolve(self, variant: str) -> dict[str, Any]:
        """All settings of one variant.

        Raises:
            SuiteError: The variant or a setting is unknown; the message lists the known ones.
        """
        from contrastseg.methods import registry

        method = registry.get(self.name)
        # `{rf: {}}` asks for the method's own variant of that name, it does not empty it.
        own = {name: value for name, value in self.variants.items() if value}
        return method.resolve(variant, self.settings, own)


def _as_label(value: Any) -> Any:
    """`1` and `0.25` are what people write first; say what is meant instead of guessing."""
    if isinstance(value, int | float):
        raise ValueError(f"{value} is ambiguous: write r{value} for a ratio or n{value} for a number of patients")
    return value


Label = Annotated[str, BeforeValidator(_as_label)]


class Suite(_Strict):
    """One comparison."""

    name: Name
    title: str = ""
    description: str = ""
    recipe: Name | None = Field(None, description="the source whose recipe it follows: a file in benchmarks/recipes")
    datasets: list[DatasetEntry] = Field(min_length=1)
    methods: list[MethodEntry] = Field(min_length=1)
    labels: list[Label] = Field(["r1"], min_length=1, description="budgets: r<ratio> or n<patients>")
    draws: Axis = [0]
    folds: Axis = [0]
    seeds: Axis = [0]
    training: TrainingSettings = TrainingSettings()
    checkpoints: list[Literal["last", "best_val"]] = Field(["last"], min_length=1)
    evaluation: EvaluationSettings = EvaluationSettings()
    comparison: ComparisonSettings = ComparisonSettings()
    tables: list[TableSettings] = Field(default_factory=usual_tables)
    figures: list[FigureSettings] = Field(default_factory=usual_figures)
    custom_rules: list[str] = Field(default_factory=list, description="rule files, relative to the working directory")

    @field_validator("recipe")
    @classmethod
    def _known_recipe(cls, name: str | None) -> str | None:
        return name if name is None else known("recipe", name, recipe_names())

    @field_validator("labels")
    @classmethod
    def _budgets(cls, labels: list[str]) -> list[str]:
        for label in labels:
            if not _BUDGET.fullmatch(label) or (label[0] == "r" and not float(label[1:])):
                raise ValueError(f"{label!r} is no label budget: write r0.25 for a ratio or n7 for 7 patients")
        distinct("label budget", [f"{label[0]}{float(label[1:]):g}" for label in labels])
        return labels

    @field_validator("datasets", "methods", "tables", "figures")
    @classmethod
    def _distinct_names(cls, items: list[Any]) -> list[Any]:
        distinct("name", [item.name for item in items])
        return items

    @field_validator("draws", "folds", "seeds", "checkpoints")
    @classmethod
    def _distinct_values(cls, values: list[Any]) -> list[Any]:
        distinct("value", values)
        return values

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        check_consistency(self)
        return self

    def entry(self, name: str) -> DatasetEntry:
        """The entry of this name."""
        return next(entry for entry in self.datasets if entry.name == name)

    def method(self, name: str) -> MethodEntry:
        """The method of this name."""
        return next(method for method in self.methods if method.name == name)

    def training_of(self, entry: DatasetEntry, method: MethodEntry) -> TrainingSettings:
        """Training settings of a run: the suite's, then the entry's, then those of the method's entry.

        What a stage puts on top of them, `stage_training` does.

        Raises:
            SuiteError: An override does not exist or has no valid value; the message says where it was written.
        """
        return overridden(
            self.training,
            {
                f"datasets, {entry.name}, training": entry.training,
                f"methods, {method.name}, training": method.training,
            },
        )

    def stage_training(self, entry: DatasetEntry, method: MethodEntry, variant: str, stage: str) -> TrainingSettings:
        """Training settings of one stage of a run, with all that is put on top of the run's.

        Raises:
            SuiteError: An override does not exist or has no valid value; the message says where it was written.
        """
        return of_stage(self.training_of(entry, method), method, variant, stage)


class Options(_Strict):
    """What a person says beside the suite: `--config skip_unavailable=true`."""

    skip_unavailable: bool = Field(False, description="run what can run; the tables show the hole")
    data_root: Path | None = Field(None, description="folder with one sub-folder per data set, as published")


def parse_suite(config: Mapping[str, Any], source: str | Path | None = None) -> tuple[Suite, Options]:
    """A suite and the options beside it, from Snakemake's config.

    Args:
        config: The content of a suite file, with keys of `Options` among it.
        source: The file, for messages that name the line.

    Raises:
        SuiteError: It asks for something that does not exist or contradicts itself; every fault is listed.
    """
    options = {key: value for key, value in config.items() if key in Options.model_fields}
    wanted = {key: value for key, value in config.items() if key not in options}
    try:
        return Suite.model_validate(wanted), Options.model_validate(options)
    except ValidationError as error:
        raise SuiteError(explain(error, Suite, source), file=source, remedy="correct the suite") from error
    except ContrastsegError as error:
        raise SuiteError(error.reason, file=source, remedy=error.remedy or "correct the suite") from error


def load_suite(path: str | Path) -> Suite:
    """Read and validate a suite file.

    Raises:
        SuiteError: It is no YAML, or asks for something that does not exist.
    """
    return parse_suite(read_yaml(path), path)[0]


def json_schema() -> str:
    """The JSON schema of a suite file."""
    return json.dumps(Suite.model_json_schema(), indent=2, sort_keys=True) + "\n"


def _own_split(known: Mapping[str, Any]) -> SplitSettings:
    """The split of the data set that an entry's fields so far name; the usual one where they name none."""
    from contrastseg.data.registry import registry

    if "dataset" not in known or "options" not in known:
        return SplitSettings()
    try:
        return registry.get(known["dataset"], known["options"]).split
    except DataError:  # said by those that need the data
        return SplitSettings()
