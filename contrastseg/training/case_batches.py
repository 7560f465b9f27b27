"""Many cases through a network in common batches, in order, with the host one batch behind the device."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager

import numpy as np
import torch
from torch import Tensor

from contrastseg.data.prepare.cases import Case
from contrastseg.training.device_errors import device_errors
from contrastseg.training.inference import (
    Predictor,
    batched_logits,
    labels_of,
    logits_of,
    stack_of,
    windows_of_batch,
)
from contrastseg.training.sending import fetch
from contrastseg.training.settings import TrainingSettings

_Result = tuple[Case, Callable[[], np.ndarray]]  # what waits for a case's logits or labels and gives them


@torch.inference_mode()
def infer_cases(
    predictor: Predictor,
    cases: Iterable[Case],
    *,
    scale: float,
    spatial_dims: int,
    training: TrainingSettings,
    device: torch.device,
    labels_only: Callable[[Case], bool],
    in_training: bool = False,
) -> Iterator[tuple[Case, np.ndarray]]:
    """Logits or label maps of prepared cases; windows of several cases share a batch, whatever the cases' sizes.

    Cases are taken as they are needed: those with windows in the present batch are held, and the results of the batch
    before. The device works on the next batch while the host has the results of the last one. A case's logits may
    differ in the last digits (1e-5) from those that the case has alone, since the size of a batch and its neighbours
    may change the order of sums.

    Args:
        predictor: Logits (B, K, *window) of windows (B, C, *window).
        cases: Prepared images, loaded one by one.
        scale: Of their stored values.
        spatial_dims: Of the network; a 2D network takes a volume slice by slice.
        training: Gives the window (`patch_size`), the overlap of windows and the windows of a batch, of which a
            CPU takes fewer where they are large.
        device: Where the network is.
        labels_only: Whether a case's labels are enough: they are found on the device and its logits stay there.
        in_training: Whether this happens within a training run, for what an error advises.

    Yields:
        Each case, in order, with its logits (K, *spatial), float32, or its labels (*spatial), uint8, as it is prepared.

    Raises:
        DeviceError: The device is full or fails; it names the cases of the batch, and those before it have come out.
        Exception: What `cases` raised, after the cases before it have come out.
    """
    begun: deque[Case] = deque()
    ready: list[_Result] = []

    def stacks() -> Iterator[Tensor]:
        for case in cases:
            begun.append(case)
            yield stack_of(case.image, scale, spatial_dims, device)

    together = windows_of_batch(training.batch_size, training.patch_size, device)
    batches = batched_logits(
        predictor,
        stacks(),
        training.patch_size,
        training.overlap,
        together,
        training.inference,
        training.augmentation.border,
    )

    def compute() -> list[_Result] | None:
        """Ask the device for the next batch; None where there is none."""
        completed = next(batches, None)
        if completed is None:
            return None
        results: list[_Result] = []
        for stack in completed:
            case = begun[0]
            result = (labels_of if labels_only(case) else logits_of)(stack, case.image, spatial_dims)
            results.append((case, fetch(result)))
            begun.popleft()
        return results

    def explained(concerned: Iterable[Case]) -> AbstractContextManager[None]:
        """`concerned` is looked at when something fails."""
        sizes = training.batch_size, training.patch_size
        return device_errors(*sizes, training=in_training, cases=lambda: [case.case for case in concerned])

    def read() -> Iterator[tuple[Case, np.ndarray]]:
        for case, wait in ready:
            with explained([case]):
                array = wait()
            yield case, array

    while True:
        try:
            with explained(begun):
                coming = compute()
        except Exception:
            yield from read()
            raise
        yield from read()
        if coming is None:
            return
        ready = coming
