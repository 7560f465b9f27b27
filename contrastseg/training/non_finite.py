"""A guard against training on: a loss or a weight that is NaN or infinite stops the run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from contrastseg.errors import TrainingError
from contrastseg.files import write_json
from contrastseg.methods.contract import Sample
from contrastseg.training.batches import BatchSource
from contrastseg.training.checkpoints import not_finite

DUMP = "nonfinite.json"


class NonFiniteGuard:
    """Checks that loss and weights are finite, at the steps where the loop reads them anyway.

    Args:
        folder: Where `nonfinite.json` is written before the run stops, beside the checkpoints.
        modules: The weights.
        batches: Knows which cases a batch was taken from.
        step: Steps done so far.
        writes: Whether this process writes the dump; of several that train together the first does.
    """

    def __init__(self, folder: Path, modules: nn.Module, batches: BatchSource, step: int, writes: bool = True) -> None:
        self.folder = folder
        self.modules = modules
        self.batches = batches
        self.last_finite_step = step
        self.writes = writes

    def check(
        self,
        step: int,
        values: Mapping[str, float],
        rate: float,
        norm: Tensor | None,
        batch: Mapping[str, Sample],
        *,
        weights: bool,
    ) -> None:
        """Stop the run where the loss is not finite, or a weight after the update made of it.

        Args:
            step: Steps done, this one included.
            values: The loss and its terms.
            rate: The learning rate of the step.
            norm: Of the gradients before they were clipped; theirs as they are now if unset.
            batch: What the loss was computed from.
            weights: Whether to look at the weights too: before they are saved.

        Raises:
            TrainingError: With step, terms, cases, and the file that holds all of it.
        """
        finite = math.isfinite(values["loss"])
        wrong = not_finite(self.modules.state_dict()) if weights or not finite else []
        if finite and not wrong:
            self.last_finite_step = step
            return
        cases = self._cases(batch)
        what = f"the loss is not finite at step {step}" if not finite else f"weights are not finite after step {step}"
        since = f" (they were at step {self.last_finite_step})" if self.last_finite_step < step - 1 else ""
        terms = ", ".join(f"{name} = {value}" for name, value in values.items())
        dump = {
            "step": step,
            "last_finite_step": self.last_finite_step,
            "terms": {name: _number(value) for name, value in values.items()},
            "learning_rate": rate,
            "gradient_norm": _number(float(self._norm() if norm is None else norm)),
            "weights": wrong,
            "cases": cases,
        }
        if self.writes:
            write_json(self.folder / DUMP, dump)
        raise TrainingError(
            f"{what}{since}: {terms}",
            case=", ".join(sorted({case for names in cases.values() for case in names})),
            file=self.folder / DUMP,
            remedy="lower optimiser.learning_rate or the term's weight; the last good checkpoint is kept",
        )

    def _cases(self, batch: Mapping[str, Sample]) -> dict[str, list[str]]:
        """The cases that the samples of a batch were taken from, by view."""
        return {
            name: [self.batches.sources[view.source].storage.units[int(unit)].case for unit in batch[name].unit]
            for name, view in self.batches.views.items()
        }

    def _norm(self) -> Tensor:
        gradients = [p.grad.norm() for p in self.modules.parameters() if p.grad is not None]
        return torch.stack(gradients).norm() if gradients else torch.tensor(math.nan)


def _number(value: float) -> float | str:
    """JSON has no NaN."""
    return value if math.isfinite(value) else str(value)
