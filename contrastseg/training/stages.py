"""The settings a stage trains with: one order of strength, for the suite, the plan and the training. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contrastseg.methods.contract import Method
from contrastseg.networks.catalogue import KEYS
from contrastseg.training.settings import TrainingSettings


def staged(
    training: TrainingSettings, method: type[Method], stage: str, own: Mapping[str, Any], settings: Mapping[str, Any]
) -> TrainingSettings:
    """Merge a stage's settings: the run's, the method's for the stage, the suite's for it, what the method's imply.

    Args:
        training: The run's: the suite's with those of its entry and its method on top.
        method: The method.
        stage: Name of one of its stages.
        own: The suite's own settings of the stage (`stages:` of a method's entry).
        settings: The method's settings, resolved.

    Raises:
        SuiteError: The method has no such stage.
        pydantic.ValidationError: A key is unknown or a value is out of its bounds.
    """
    merged = merge(merge(training.model_dump(), method.stage(stage).training), own)
    return TrainingSettings.model_validate(merge(merged, method.own_training(settings)))


_OTHER_LENGTH = {"steps": "epochs", "epochs": "steps"}
_IDENTITY = ("name", *KEYS.values())
"""Keys that say what a mapping is of: a network or an optimiser by name, and which of a package's networks."""


def merge(base: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `override` on top, nested. What is named otherwise (a network, an optimiser) replaces the mapping.

    Another `model` or `architecture` is another network of the same package. A length in steps replaces one in epochs,
    and the other way round.

    Example:
        >>> merge({"network": {"name": "monai", "model": "UNETR", "img_size": 96}}, {"network": {"model": "SegResNet"}})
        {'network': {'name': 'monai', 'model': 'SegResNet'}}
    """
    merged = dict(base)
    for length, other in _OTHER_LENGTH.items():
        if override.get(length) is not None and other not in override:
            merged.pop(other, None)
    for key, value in override.items():
        old = merged.get(key)
        if isinstance(value, Mapping) and isinstance(old, Mapping):
            changed = [name for name in _IDENTITY if value.get(name, old.get(name)) != old.get(name)]
            if not changed:
                value = merge(old, value)
            elif "name" not in changed and "name" in old:
                value = {"name": old["name"], **value}
        merged[key] = value
    return merged
