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

    def of(name: str) -> Any:
        return settings[f"training.{name}"]

    if key in ("steps", "epochs"):
        return of(key) is not None
    loss, name, schedule = of("segmentation.loss"), of("optimiser.name"), of("optimiser.schedule")
    effects = {
        "optimiser.warmup_epochs": of("epochs") is not None,
        "optimiser.warmup_steps": of("optimiser.warmup_epochs") == 0,
        "overlap": of("inference.stride") is None,
        "segmentation.combine": loss == "ce_dice",
        "segmentation.background": loss != "ce",
        "segmentation.squared": loss != "ce",
        "segmentation.per_image": loss != "ce",
        "optimiser.momentum": name == "sgd",
        "optimiser.nesterov": name == "sgd",
        "optimiser.final_learning_rate": schedule in ("poly", "cosine"),
        "optimiser.step_every": schedule == "step",
        "optimiser.step_factor": schedule == "step",
        "augmentation.flip_rule": bool(of("augmentation.flip_axes")),
        "augmentation.one_of_shares": of("augmentation.one_of") is not None,
    }
    return effects.get(key, True)
