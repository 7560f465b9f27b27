"""Sliding windows give every pixel its logits, whatever the sizes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from contrastseg.training.inference import case_logits, gaussian_weights, sliding_logits, window_starts


@given(size=st.integers(1, 200), window=st.integers(1, 64), overlap=st.sampled_from([0.0, 0.25, 0.5, 0.75]))
@settings(max_examples=200, deadline=None)
def test_windows_cover_the_axis_and_overlap_enough(size: int, window: int, overlap: float) -> None:
    starts = window_starts(size, window, overlap)
    if size <= window:
        assert starts == [0]
        return
    assert starts[0] == 0
    assert starts[-1] == size - window
    steps = np.diff(starts)
    assert (steps > 0).all()
    assert (steps <= max(1, window * (1 - overlap)) + 1).all()


def pointwise(images: torch.Tensor) -> torch.Tensor:
    return torch.cat([images[:, :1], 2 * images[:, :1] + 1, -images[:, 1:2]], dim=1)


@pytest.mark.parametrize("shape", [(16, 16), (37, 20), (10, 50), (5, 7), (6, 20, 18), (2, 9, 33)])
def test_a_pointwise_network_gives_the_same_as_without_windows(shape: tuple[int, ...]) -> None:
    images = torch.randn(2, 2, *shape)
    window = (16, 16) if len(shape) == 2 else (4, 16, 16)
    torch.testing.assert_close(sliding_logits(pointwise, images, window, 0.5, 3), pointwise(images))


def test_slices_of_a_volume_go_through_a_2d_network_one_by_one() -> None:
    volume = np.random.default_rng(0).normal(size=(2, 5, 20, 24)).astype(np.float16)
    seen = []

    def network(images: torch.Tensor) -> torch.Tensor:
        seen.append(images.shape)
        return pointwise(images)

    logits = case_logits(network, volume, 0.5, 2, (16, 16), torch.device("cpu"), batch_size=4)
    assert all(len(shape) == 4 and shape[0] <= 4 for shape in seen)
    expected = pointwise(torch.from_numpy(volume.astype(np.float32) * 0.5).movedim(1, 0)).movedim(0, 1)
    np.testing.assert_allclose(logits, expected.numpy(), rtol=1e-4, atol=1e-5)


def test_weights_peak_in_the_middle_and_vanish_nowhere() -> None:
    weights = gaussian_weights((9, 17), torch.device("cpu"))
    assert weights.shape == (9, 17)
    assert float(weights[4, 8]) == float(weights.max())
    assert float(weights.min()) > 0
