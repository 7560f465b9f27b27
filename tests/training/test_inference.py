"""Sliding windows give every pixel its logits, whatever the sizes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from contrastseg.training.inference import case_logits, gaussian_weights, sliding_logits, window_starts
from contrastseg.training.settings import InferenceSettings, TrainingSettings


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


def test_a_stride_puts_windows_where_the_released_code_puts_them() -> None:
    assert window_starts(100, 40, 0.5, 18) == [0, 18, 36, 54, 60]
    assert window_starts(76, 40, 0.5, 18) == [0, 18, 36], "the last is the end and comes once"
    assert window_starts(30, 40, 0.5, 18) == [0]


def ua_mt_prediction(network, volume: np.ndarray, window: tuple[int, ...], strides: tuple[int, ...]) -> np.ndarray:
    """Probabilities as `test_single_case` of UA-MT computes them: softmax of each window, added up, by its count."""
    total, count = 0.0, np.zeros(volume.shape[1:])
    counts = [int(np.ceil((n - w) / s)) + 1 for n, w, s in zip(volume.shape[1:], window, strides, strict=True)]
    for steps in itertools.product(*(range(c) for c in counts)):
        corner = [min(s * i, n - w) for s, i, n, w in zip(strides, steps, volume.shape[1:], window, strict=True)]
        place = tuple(slice(c, c + w) for c, w in zip(corner, window, strict=True))
        logits = network(torch.from_numpy(volume[(slice(None), *place)])[None])[0].numpy()
        e = np.exp(logits - logits.max(0))
        part = np.zeros((len(e), *count.shape))
        part[(slice(None), *place)] = e / e.sum(0)
        total = total + part
        count[place] += 1
    return total / count


@pytest.mark.parametrize(
    ("shape", "window", "stride"), [((37, 21), (16, 16), (5, 7)), ((9, 20, 18), (4, 16, 16), (3, 4, 9))]
)
def test_the_mean_of_softmax_agrees_with_ua_mt(shape, window, stride) -> None:
    torch.manual_seed(0)
    conv = torch.nn.Conv2d(1, 3, 3, padding=1) if len(shape) == 2 else torch.nn.Conv3d(1, 3, 3, padding=1)
    network = torch.inference_mode()(lambda images: 4 * conv(images))
    volume = np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32)
    settings = InferenceSettings(stride=list(stride), weights="uniform", average="softmax")
    logits = sliding_logits(network, torch.from_numpy(volume)[None], window, 0.5, 3, settings)[0]
    expected = ua_mt_prediction(network, volume, window, stride)
    np.testing.assert_allclose(logits.softmax(0).numpy(), expected, atol=1e-6)
    np.testing.assert_allclose(logits.exp().numpy(), expected, atol=1e-6)
    logits_averaged = sliding_logits(network, torch.from_numpy(volume)[None], window, 0.5, 3)[0]
    assert np.abs(logits_averaged.softmax(0).numpy() - expected).max() > 0.01


@pytest.mark.parametrize("stride", [[8], [4, 4, 4], [17, 4], [0, 4]])
def test_a_stride_that_leaves_gaps_is_refused(stride: list[int]) -> None:
    with pytest.raises(ValueError, match="stride"):
        TrainingSettings(patch_size=[16, 16], inference={"stride": stride})
