"""Tuned suites: the trials that every method gets, and the settings that a trial comes to."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationError, field_validator

from contrastseg.checkpoint_names import LAST, SELECTED_BY
from contrastseg.data.splits.cross_fitting import SMALLEST, fold_count
from contrastseg.errors import SuiteError, unknown_name
from contrastseg.evaluation.metrics.catalogue import resolve_metrics
from contrastseg.methods import registry
from contrastseg.methods.contract import Method
from contrastseg.methods.tunable import AUGMENTATION_STRENGTH, TRAINING
from contrastseg.suite.entries import DatasetEntry, MethodEntry, Strict
from contrastseg.suite.halton import halton
from contrastseg.suite.overrides import of_stage
from contrastseg.training.settings import AugmentationSettings, TrainingSettings
from contrastseg.training.stages import merge

if TYPE_CHECKING:
    from contrastseg.suite.fields import SuiteFields

Values = dict[str, Any]
"""Values of tunable settings by name; empty for the defaults."""
# What all methods of a suite share, so that a row tells of a method and not of a longer training or another network.
_SHARED = ("optimiser.learning_rate", "steps", "epochs", "network")
_WIDTHS = {"rotation_degrees": 180, "shear": 45, "shift": 0.5, "elastic": None, "brightness": None, "noise": None}
_WIDTHS |= {"hue": 1, "saturation": 1}
_FACTORS = ("scale", "contrast", "gamma")


class TuningSettings(Strict):
    """How every method of a suite is tuned."""

    trials: int = Field(8, json_schema_extra={"minimum": 2}, description="of every method, the defaults included")
    validation: Literal["labelled", "free"] = Field(
        "labelled", description="cross-fitted out of the labelled patients, or the split's validation patients for free"
    )
    seed: int = Field(0, ge=0, description="of the sequence of trials, and of their trainings")

    @field_validator("trials")
    @classmethod
    def _several(cls, trials: int) -> int:
        if trials < 2:
            raise ValueError(f"found {trials}, expected 2 or more, the defaults being one; or leave `tuning` out")
        return trials

    def values(self, method: str, trial: int) -> Values:
        """The values of one trial of a method; none for trial 0, the defaults.

        Raises:
            SuiteError: There is no such trial.
        """
        if not 0 <= trial < self.trials:
            raise SuiteError(
                f"trial {trial} of {self.trials} does not exist", remedy=f"choose a trial from 0 to {self.trials - 1}"
            )
        if trial == 0:
            return {}
        ranges = registry.get(method).card.tunable
        point = halton(trial, len(ranges), self.seed)
        return {name: ranges[name].at(position) for name, position in zip(ranges, point, strict=True)}

    def inner_folds(self, labels: str) -> int:
        """The number of folds of the labelled patients at a budget; one where validation is free.

        Raises:
            SplitError: The labelled patients are too few to be divided.
        """
        return fold_count(int(labels[1:])) if self.validation == "labelled" else 1

    def untuned(self, labels: str) -> str | None:
        """Why methods are not tuned at a label budget; None where they are."""
        if self.validation == "free" or int(labels[1:]) >= SMALLEST:
            return None
        return f"not tuned: {labels[1:]} labelled patients cannot pay for validation, which takes {SMALLEST}"


def check_tunable(method: type[Method]) -> None:
    """Check that a method can be tuned, and that each of its ranges is of a setting that there is.

    Raises:
        SuiteError: It declares no range, or a range of an unknown setting, of one that all methods share, or with a
            value that the setting cannot have.
    """
    ranges = method.card.tunable
    if not ranges:
        raise SuiteError(
            f"{method.name} declares no tunable settings",
            remedy="give its card `tunable={setting: range}`, or leave the method out of the tuned suite",
        )
    for name, each in ranges.items():
        key = name.removeprefix(TRAINING)
        if name.startswith(TRAINING):
            if any(_overlap(key, shared) for shared in _SHARED):
                raise SuiteError(
                    f"{method.name} tunes {name}, which all methods of a suite share", remedy="take it off its card"
                )
        elif name != AUGMENTATION_STRENGTH and name not in method.defaults:
            known = [*method.defaults, AUGMENTATION_STRENGTH, f"{TRAINING}<key>"]
            raise SuiteError(
                unknown_name(f"tunable setting of {method.name}", name, known), remedy="correct the name on its card"
            )
        for position in (0.0, 1.0 - 1e-9):
            value = each.at(position)
            if name in method.defaults:
                method.resolve(overrides={name: value})
            elif name.startswith(TRAINING):
                _check_training(method.name, name, _nested(key, value))


def _overlap(key: str, other: str) -> bool:
    """Whether one of two dotted keys is the other, or holds it."""
    return f"{key}.".startswith(f"{other}.") or f"{other}.".startswith(f"{key}.")


def _check_training(method: str, name: str, override: dict[str, Any]) -> None:
    try:
        TrainingSettings.model_validate(merge(TrainingSettings().model_dump(), override))
    except ValidationError as error:
        raise SuiteError(
            f"{name} is tuned by {method}, and no training setting takes its values: {error.errors()[0]['msg']}",
            remedy="correct name and range on its card",
        ) from error


def tuned_settings(method: MethodEntry, variant: str, values: Values) -> dict[str, Any]:
    """All settings of a variant with the values of a trial on top."""
    settings = method.resolve(variant)
    return settings | {name: value for name, value in values.items() if name in settings}


def tuned_stage(
    suite: SuiteFields, entry: DatasetEntry, method: MethodEntry, variant: str, stage: str, values: Values
) -> dict[str, Any]:
    """The suite's own settings of a stage (`stage_override`), with training settings of a trial on top."""
    own = suite.stage_override(entry, method, variant, stage)
    for name, value in values.items():
        if name.startswith(TRAINING):
            own = merge(own, _nested(name.removeprefix(TRAINING), value))
        elif name == AUGMENTATION_STRENGTH:
            augmentation = suite.stage_training(entry, method, variant, stage).augmentation
            own = merge(own, {"augmentation": strengthened(augmentation, value)})
    return own


def strengthened(augmentation: AugmentationSettings, strength: float) -> dict[str, Any]:
    """The ranges of an augmentation, wider or narrower.

    Args:
        augmentation: The suite's.
        strength: Factor s of the widths, and power of the ends of ranges of factors. 1 changes nothing.

    Returns:
        The keys that change, each inside its bounds.

    Example:
        >>> stronger = strengthened(AugmentationSettings(rotation_degrees=20, scale=(0.5, 2)), 2)
        >>> stronger["rotation_degrees"], stronger["scale"]
        (40.0, [0.25, 4.0])
    """
    given = augmentation.model_dump()
    widths = {name: given[name] * strength for name in _WIDTHS}
    bounded = {name: width if (most := _WIDTHS[name]) is None else min(width, most) for name, width in widths.items()}
    changed = bounded | {name: [end**strength for end in given[name]] for name in _FACTORS}
    return {name: _short(value) for name, value in changed.items()}


def _short(value: Any) -> Any:
    """Six significant digits, which a reader can copy."""
    return [_short(each) for each in value] if isinstance(value, list) else float(f"{value:.6g}")


def _nested(key: str, value: Any) -> dict[str, Any]:
    """A mapping of mappings from a dotted key."""
    *outer, last = key.split(".")
    nested: dict[str, Any] = {last: value}
    for name in reversed(outer):
        nested = {name: nested}
    return nested


def check_tuning(suite: SuiteFields) -> None:
    """Check what a tuned suite asks for.

    Raises:
        SuiteError: A method cannot be tuned, or the values of a trial do not fit the suite.
        ValueError: A budget is a ratio, nobody validates for free, Dice is not scored, a checkpoint is chosen by other
            cases, or an entry has a pool, which has the validating patients in it.
    """
    if suite.tuning is None:
        return
    for method in suite.methods:
        check_tunable(registry.get(method.name))
    if suite.tuning.validation == "labelled" and (ratios := [label for label in suite.labels if label[0] == "r"]):
        raise ValueError(
            f"label budget {ratios[0]} beside `tuning`: the folds follow from the number of labelled patients, so write"
            " n7 for 7 patients"
        )
    if SELECTED_BY not in resolve_metrics(suite.evaluation.metrics):
        raise ValueError(f"trials are chosen by {SELECTED_BY}: add {SELECTED_BY} to evaluation.metrics")
    if suite.checkpoints != [LAST]:
        raise ValueError("a tuned suite reports the last checkpoint alone: write `checkpoints: [last]`")
    for entry in suite.datasets:
        if entry.pool and entry.evaluate_on:
            raise ValueError(
                f"{entry.name} has a pool beside `tuning`: a pool has the validating patients in it; leave pool out"
            )
        if suite.tuning.validation == "free" and entry.evaluate_on and _nobody_validates(entry):
            raise ValueError(
                f"{entry.name} has no validation patients for `validation: free`, by its split {entry.split.name!r}:"
                " give it some, or write `validation: labelled`"
            )
        for method in suite.methods if entry.evaluate_on else ():
            _check_trials(suite, suite.tuning, entry, method)


def _nobody_validates(entry: DatasetEntry) -> bool:
    """Whether the settings of a split alone say so; a published list is known once the split is made."""
    split = entry.split
    return split.name == "nnunet" or (split.name == "random" and split.fractions.val == 0)


def _check_trials(suite: SuiteFields, tuning: TuningSettings, entry: DatasetEntry, method: MethodEntry) -> None:
    """Check that every value of every trial fits what the suite says beside it."""
    stages = [stage.name for stage in registry.get(method.name).stages]
    for variant, stage, trial in itertools.product(method.variants, stages, range(1, tuning.trials)):
        own = tuned_stage(suite, entry, method, variant, stage, tuning.values(method.name, trial))
        of_stage(suite.training_of(entry, method, variant), method, variant, stage, own)
