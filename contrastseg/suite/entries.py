"""The entries of a suite: a data set, or a method, with what is asked of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from contrastseg.data.settings import SplitSettings, given_for_volumes
from contrastseg.errors import DataError, SplitError, SuiteError, UnavailableDataError
from contrastseg.suite.names import require_distinct, require_known

if TYPE_CHECKING:
    from contrastseg.data.readers.specs import DatasetSpec


# Names become folders, wildcards and columns: no separators, no leading dot or dash.
NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]*"
Name = Annotated[str, Field(pattern=f"^{NAME}$", max_length=100)]
Axis = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]


_TRAINING = "training"
EQUAL_STEPS = "equal_steps"
"""Variant of any method: as many steps as the longest method of the suite, without a setting of its own."""


class Strict(BaseModel):
    """A model without room for unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DatasetEntry(Strict):
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
        pool_use: Which stages draw from the pool: `pretraining`, those without labels (the default), or `all`, also
            those that learn from labelled and unlabelled images. Their unlabelled images are the pool's then, without
            the labelled ones.
        pool_list: A list of patients that the entry's published split names: its own training patients in the pool are
            those alone. `pool` is the entry itself then, if unset.
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
    pool_use: Literal["pretraining", "all"] = "pretraining"
    pool_list: Name | None = None
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
            if value.get("pool_list") is not None:
                value = {"pool": [value["name"]], **value}
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
        if self.pool_use == "all" and not self.pool:
            raise ValueError("pool_use: all names no pool: give the entries to draw from as `pool`")
        if self.pool_list is not None:
            self._check_pool_list(self.pool_list)
        require_known(f"split of {self.dataset}", self.split.name, ["random", "nnunet", *spec.splits])
        if spec.spatial_dims == 2 and (unfit := given_for_volumes(self.preparation)):
            raise ValueError(f"{spec.title} has photographs, no volumes: leave {unfit[0]} out of preparation")
        return self

    def _check_pool_list(self, name: str) -> None:
        from contrastseg.data.splits.folds import BUILT_IN, pool_patients

        if self.split.name in BUILT_IN:
            raise ValueError(f"pool_list names a list of a published split; the split is {self.split.name!r}")
        if self.name not in self.pool:
            raise ValueError(f"pool_list is about patients of {self.name}: name it in its pool, too")
        try:
            pool_patients(self.split.name, name)
        except SplitError as error:
            raise ValueError(error.reason) from error

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


class MethodEntry(Strict):
    """A method with the variants wanted of it.

    Attributes:
        name: The method.
        variants: Settings by the variant's name; the method's own variants are known by name (`{rf: {}}`). The key
            `training` among them overrides training settings of this variant alone: one method with two networks.
        settings: Settings of all its variants.
        training: Overrides of the suite's training settings for this method, in all its stages.
        stages: Overrides for single stages by name (`{pretrain: {steps: 5000}}`); strongest of all.
        draws: Draws of labelled patients that it runs with, the suite's among them; the suite's alone where left out.
    """

    name: Name
    variants: dict[Name, dict[str, Any]] = Field({"default": {}}, min_length=1)
    settings: dict[str, Any] = Field(default_factory=dict)
    training: dict[str, Any] = Field(default_factory=dict)
    stages: dict[Name, dict[str, Any]] = Field(default_factory=dict)
    draws: Axis | None = None

    @field_validator("draws")
    @classmethod
    def _distinct_draws(cls, draws: list[int] | None) -> list[int] | None:
        require_distinct("value", draws or [])
        return draws

    @model_serializer(mode="wrap")
    def _as_stored(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without draws of its own, a method keeps the content that plans are stored with."""
        return {key: value for key, value in serialise(self).items() if key != "draws" or value is not None}

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

        require_known("method", self.name, registry.names())
        for stage in self.stages:
            require_known(f"stage of {self.name}", stage, [one.name for one in registry.get(self.name).stages])
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
        own = {}
        for name, given in self.variants.items():
            settings = {key: value for key, value in given.items() if key != _TRAINING}
            # `{rf: {}}` asks for the method's own variant of that name, it does not empty it.
            if settings or name == EQUAL_STEPS or (given and name not in method.variants):
                own[name] = settings
        return method.resolve(variant, self.settings, own)

    def variant_training(self, variant: str) -> Mapping[str, Any]:
        """Overrides of training settings for one variant, stronger than those of the method."""
        return self.variants[variant].get(_TRAINING) or {}


def _own_split(known: Mapping[str, Any]) -> SplitSettings:
    """The split of the data set that an entry's fields so far name; the usual one where they name none."""
    from contrastseg.data.registry import registry

    if "dataset" not in known or "options" not in known:
        return SplitSettings()
    try:
        return registry.get(known["dataset"], known["options"]).split
    except DataError:  # said by those that need the data
        return SplitSettings()
