"""What can happen to a training run: numbers that are none, a device that is full, a device that is gone."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from contrastseg.errors import DeviceError, DeviceMemoryError, TrainingError
from contrastseg.files import write_json
from contrastseg.methods.contract import Sample
from contrastseg.training.batches import BatchSource
from contrastseg.training.checkpoints import not_finite

DUMP = "nonfinite.json"
# As torch and CUDA's libraries say it, in lower case; their types alone do not tell.
_FULL = ("out of memory", "can't allocate memory", "alloc_failed", "cudaerrormemoryallocation", "bad_alloc")
_GONE = (
    "cuda error",
    "cuda driver error",
    "unspecified launch failure",
    "device-side",
    "no cuda-capable device",
    "cublas_status",
    "cudnn_status",
    "nccl error",
    "hip error",
)


class Watch:
    """Looks whether loss and weights are numbers, where the loop looks at them anyway.

    Args:
        folder: Where `nonfinite.json` is written when they are not, beside the checkpoints.
        modules: The weights.
        batches: Knows which cases a batch was taken from.
        step: Steps done so far.
        writes: Whether this process writes the dump; of several that train together the first does.
    """

    def __init__(self, folder: Path, modules: nn.Module, batches: BatchSource, step: int, writes: bool = True) -> None:
        self.folder = folder
        self.modules = modules
        self.batches = batches
        self.good = step
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
        """Stop where the loss is no number, or a weight after the update that was made of it.

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
            self.good = step
            return
        cases = self._cases(batch)
        what = f"the loss is not finite at step {step}" if not finite else f"weights are not finite after step {step}"
        since = f" (they were at step {self.good})" if self.good < step - 1 else ""
        terms = ", ".join(f"{name} = {value}" for name, value in values.items())
        dump = {
            "step": step,
            "last_finite_step": self.good,
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


@contextlib.contextmanager
def device_faults(
    batch_size: int,
    patch_size: Sequence[int],
    *,
    training: bool = True,
    cases: Callable[[], Iterable[str]] = tuple,
) -> Iterator[None]:
    """Turn what torch says of a full or lost device into errors that say what to do.

    No step is taken again with a part of the batch: batch statistics and the pairs that contrastive terms are made of
    depend on how many samples are seen at once, so that it would be another method that finishes.

    Args:
        batch_size: Samples at once, for the message.
        patch_size: Of each.
        training: Whether the block trains, and so can go on from a checkpoint.
        cases: Names the cases that the block works on; called when it fails.

    Raises:
        DeviceMemoryError: The device, or the machine, has not as much memory as the block asks for.
        DeviceError: The device failed or is gone.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        text = str(error).lower()
        said = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        if isinstance(error, MemoryError | torch.OutOfMemoryError) or any(words in text for words in _FULL):
            raise DeviceMemoryError(
                f"out of memory: {said}",
                case=", ".join(cases()) or None,
                remedy=_less(batch_size, patch_size, training),
            ) from error
        if isinstance(error, getattr(torch, "AcceleratorError", ())) or any(words in text for words in _GONE):
            again = "the last checkpoint is kept and the same command goes on from it" if training else "predict again"
            raise DeviceError(
                f"the device failed or is gone: {said}",
                case=", ".join(cases()) or None,
                remedy=f"{again}; if it fails at the same step, look at `nvidia-smi` and the kernel's log (`dmesg`)",
            ) from error
        raise


def _less(batch_size: int, patch_size: Sequence[int], training: bool) -> str:
    if not training:
        return "predict on a device with more memory, or with CUDA_VISIBLE_DEVICES= on the processor"
    return (
        f"lower training.batch_size ({batch_size}) or training.patch_size ({list(patch_size)}) for all methods of the"
        " comparison, or let fewer runs share the device; it is not tried again with smaller parts of the batch, since"
        " batch statistics and contrastive pairs depend on its size"
    )
