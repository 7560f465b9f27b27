"""Which keys of a suite have an effect beside the others: the rest is neither asked for nor held against a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def has_effect(key: str, settings: Mapping[str, Any]) -> bool:
    """Whether a key has an effect beside the others.

    Args:
        key: Dotted name in a suite.
        settings: All keys of an entry by dotted name.
    """
    if key.startswith("training.network."):
        return settings[key] is not None
    if key.startswith("training."):
        return _trains(key.removeprefix("training."), settings)
    if key in ("preparation.image_order", "preparation.prediction_order"):
        return settings["preparation.spacing"] is not None or settings["preparation.size"] is not None
    if key == "preparation.n4_shrink":
        return bool(settings["preparation.n4"])
    if key in ("preparation.window", "preparation.percentiles"):
        rule = "window" if key.endswith("window") else "percentile"
        return settings["preparation.intensity"] == rule or (rule == "window" and settings[key] is not None)
    if key.startswith("split.fractions.") or key == "split.folds":
        return bool(settings["split.name"] == "random")
    return key != "split.val" or bool(settings["split.name"] == "official")


def _trains(key: str, settings: Mapping[str, Any]) -> bool:
    """The same of a key of `training`."""
    name, schedule = settings["training.optimiser.name"], settings["training.optimiser.schedule"]
    loss = settings["training.segmentation.loss"]
    if key == "overlap":
        return settings["training.inference.stride"] is None
    if key in ("optimiser.momentum", "optimiser.nesterov"):
        return bool(name == "sgd")
    if key == "optimiser.final_learning_rate":
        return schedule in ("poly", "cosine")
    if key.startswith("optimiser.step_"):
        return bool(schedule == "step")
    if key == "segmentation.combine":
        return bool(loss == "ce_dice")
    return not key.startswith("segmentation.") or key == "segmentation.loss" or bool(loss != "ce")
