"""The weight that rises over the first steps, which the semi-supervised methods share."""

from __future__ import annotations

from typing import Any

from contrastseg.methods.contract import Method


def ramped(method: Method, setting: str, step: int) -> Any:
    """The setting times the sigmoid ramp over `ramp_share` of the steps: from e⁻⁵ of it to all of it."""

    def weight(step: int) -> float:
        from contrastseg.losses.consistency import sigmoid_rampup

        risen: float = method.settings[setting] * sigmoid_rampup(step, method.task.steps, method.settings["ramp_share"])
        return risen

    return method.host_value(weight, step)
