"""How much work the hot paths do, counted and not timed: a slow-down is seen on any machine.

A bound is the count at the time of writing and a little more; whoever needs more raises it, and says why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.splits.split_files import Split
from contrastseg.evaluation.metrics.case_scores import score_case
from contrastseg.training.batches import Source
from contrastseg.training.inference import sliding_logits
from contrastseg.training.settings import AugmentationSettings
from contrastseg.training.storage import Storage


class Operations(TorchDispatchMode):
    """Counts the operators that torch dispatches, views and all."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()

    def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.found[operator.overloadpacket.__name__] += 1
        return operator(*args, **(kwargs or {}))


def counted(work: Callable[[], Any]) -> Counter[str]:
    with Operations() as mode:
        work()
    return mode.found


@pytest.mark.parametrize(("stored", "patch", "bound"), [(2, (32, 32), 36), (3, (8, 32, 32), 43)])
def test_a_batch(phantoms: dict[int, Any], stored: int, patch: tuple[int, ...], bound: int) -> None:
    dataset = PreparedDataset(phantoms[stored].data)
    cases = dataset.cases_of(Split.from_file(phantoms[stored].split).train()[:4])
    data = Storage(dataset, cases, with_labels=True, spatial_dims=stored, device=torch.device("cpu"))

    def batch(size: int) -> Counter[str]:
        source = Source("labelled", data, size, patch, 0, AugmentationSettings())
        source(0, "a")
        return counted(lambda: source(1, "a"))

    four, eight = batch(4), batch(8)
    assert eight["grid_sampler_2d"] + eight["grid_sampler_3d"] == 2, "the whole batch at once: image and label"
    assert (eight.total() - four.total()) / 4 <= bound, "operations a sample"
    assert four.total() <= 10 * bound, "operations a batch, whatever its size"


@pytest.mark.parametrize("dims", [2, 3])
def test_windows_are_seen_once_and_in_batches(dims: int) -> None:
    seen: list[int] = []

    def predictor(images: torch.Tensor) -> torch.Tensor:
        seen.append(len(images))
        return images.repeat(1, 3, *(1,) * dims)

    images = torch.randn(1, 1, *(40,) * dims)
    found = counted(lambda: sliding_logits(predictor, images, (16,) * dims, overlap=0.5, batch_size=4))
    windows = 4**dims
    assert sum(seen) == windows
    assert len(seen) == windows // 4
    assert found.total() / windows <= {2: 14, 3: 16}[dims]


def test_a_step(phantoms: dict[int, Any], tmp_path: Any) -> None:
    """One step with all that belongs to it: batch, forward, loss, backward, optimiser, log."""
    from contrastseg.training.run import train

    def operations(steps: int) -> int:
        training = {"steps": steps, "checkpoint_every": 1000, "log_every": 1000}
        return counted(
            lambda: train(phantoms[2].config("supervised", training=training), tmp_path / str(steps))
        ).total()

    per_step = (operations(12) - operations(2)) / 10
    assert per_step <= 1050


def test_distances_are_transformed_only_where_looking_around_does_not_pay(monkeypatch: pytest.MonkeyPatch) -> None:
    """A distance transform of the whole image is the dear part of a surface distance: a good prediction needs none."""
    calls: list[int] = []
    original = scipy.ndimage.distance_transform_edt

    def watched(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        return original(*args, **kwargs)

    monkeypatch.setattr(scipy.ndimage, "distance_transform_edt", watched)
    reference = np.zeros((40, 60, 60), np.uint8)
    reference[10:30, 20:40, 20:40] = 1
    metrics = ("dice", "hd95", "hd95_pooled", "hd", "assd", "nsd")
    near = np.roll(reference, (1, 1), axis=(0, 1))
    score_case(near, reference, (2.0, 1.0, 1.0), 2, metrics)
    assert not calls
    far = np.zeros_like(reference)
    far[:3, :3, :3] = 1
    score_case(far, reference, (2.0, 1.0, 1.0), 2, metrics)
    assert len(calls) <= 2, "once each way, whatever the number of metrics"
