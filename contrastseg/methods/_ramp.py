"""The weight that rises over the first steps, which the semi-supervised methods share."""

from __future__ import annotations

from typing import Any

from contrastseg.methods.contract import Method


def ramped(method: Method, setting: str, step: int, first: int = 0) -> Any:
    """Multiply the setting by the sigmoid ramp over `ramp_share` of the steps: from e⁻⁵ of it to all of it.

    Args:
        method: Has the setting, `ramp_share` and the length of the stage.
        setting: Name of the weight.
        step: The present step.
        first: The first step with a weight; it is 0 before. The ramp begins at step 0 all the same.
    """

    def weight(step: int) -> float:
        from contrastseg.losses.consistency import sigmoid_rampup

        if step < first:
            return 0.0
        risen: float = method.settings[setting] * sigmoid_rampup(step, method.task.steps, method.settings["ramp_share"])
        return risen

    return method.host_value(weight, step)
