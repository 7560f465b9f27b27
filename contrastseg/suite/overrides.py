"""Training settings with what entries, methods and stages put on top; what is wrong with one says where it stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contrastseg.methods import registry
from contrastseg.suite.entries import MethodEntry
from contrastseg.suite.parsing import wrap_validation_errors
from contrastseg.training.settings import TrainingSettings
from contrastseg.training.stages import merge, staged


def overridden(training: TrainingSettings, overrides: Mapping[str, Mapping[str, Any]]) -> TrainingSettings:
    """The settings with overrides on top, the last one strongest.

    Args:
        training: The suite's.
        overrides: What is put on top, by the place in the suite where it is written.

    Raises:
        SuiteError: A key does not exist or has no valid value; the message says where it was written.
    """
    merged, settings = training.model_dump(), training
    for where, override in overrides.items():
        if override:
            merged = merge(merged, override)
            with wrap_validation_errors(TrainingSettings, where):
                settings = TrainingSettings.model_validate(merged)
    return settings


def of_stage(
    training: TrainingSettings, method: MethodEntry, variant: str, stage: str, own: Mapping[str, Any]
) -> TrainingSettings:
    """The settings that a stage of a variant trains with.

    Args:
        training: Those of the run.
        method: The suite's entry of the method.
        variant: One of its variants.
        stage: One of its stages.
        own: The suite's own settings of the stage.

    Raises:
        SuiteError: A key does not exist or has no valid value; the message names the method and the stage.
    """
    with wrap_validation_errors(TrainingSettings, f"methods, {method.name}, stages, {stage}"):
        return staged(training, registry.get(method.name), stage, own, method.resolve(variant))
