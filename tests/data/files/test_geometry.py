"""The way from the prepared grid back to the native one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.transform import resize

from contrastseg.data.files.geometry import Geometry
from contrastseg.data.files.resampling import resample_image, resample_label


def grid(native: tuple[int, ...], prepared: tuple[int, ...], spacing: tuple[float, ...] | None = None) -> Geometry:
    return Geometry(native, spacing, "mm" if spacing else "voxel", None, "nifti", prepared)


def test_equal_shapes_come_back_bit_for_bit() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.random((3, 4, 10, 8)).astype(np.float32)
    label = rng.integers(0, 4, (4, 10, 8)).astype(np.uint8)
    here = grid((4, 10, 8), (4, 10, 8))
    assert np.array_equal(here.to_native(probabilities, 1), probabilities)
    assert np.array_equal(here.to_native(label, 0), label)
    assert here.to_native(label, 0).dtype == np.uint8


def test_prepared_spacing_covers_the_native_extent() -> None:
    assert grid((10, 200, 100), (10, 100, 25), (10.0, 1.5, 1.5)).spacing == pytest.approx((10.0, 3.0, 6.0))


def test_slices_that_were_not_resampled_do_not_mix() -> None:
    field = np.zeros((2, 3, 6, 6), dtype=np.float32)
    field[:, 1] = 1
    native = grid((3, 15, 9), (3, 6, 6)).to_native(field, 1)
    assert native.shape == (2, 3, 15, 9)
    assert np.array_equal(np.unique(native[:, 1]), [1])
    assert np.array_equal(np.unique(native[:, ::2]), [0])


def test_linear_resampling_is_that_of_scikit_image() -> None:
    image = np.random.default_rng(1).random((9, 31, 20)).astype(np.float32)
    for shape in ((9, 40, 33), (9, 12, 11), (4, 31, 50)):
        expected = resize(image, shape, order=1, mode="edge", anti_aliasing=True)
        assert resample_image(image, shape, antialias=True) == pytest.approx(expected, abs=1e-5)


def test_classes_from_logits_equal_argmax_of_the_resampled_logits() -> None:
    logits = np.random.default_rng(2).normal(size=(5, 4, 12, 10)).astype(np.float32)
    here = grid((4, 25, 17), (4, 12, 10))
    assert np.array_equal(here.label_from_logits(logits), here.to_native(logits, 1).argmax(axis=0))
    tied = np.zeros((3, 4, 12, 10), dtype=np.float32)
    assert not here.label_from_logits(tied).any()


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 4))
def test_nearest_labels_invent_nothing_and_undo_whole_number_zooms(old: int, new: int, zoom: int) -> None:
    label = np.random.default_rng(old).integers(0, 4, (old, 3)).astype(np.uint8)
    assert set(np.unique(resample_label(label, (new, 3)))) <= set(np.unique(label))
    larger = resample_label(label, (old * zoom, 3 * zoom))
    assert np.array_equal(resample_label(larger, label.shape), label)


def test_an_array_of_another_grid_is_refused() -> None:
    with pytest.raises(ValueError, match="prepared grid"):
        grid((4, 8, 8), (4, 6, 6)).to_native(np.zeros((4, 8, 8)), 1)


def test_json_round_trip_is_exact(tmp_path: Path) -> None:
    here = Geometry((4, 5), (0.1 + 0.2, 1 / 3), "mm", [[1 / 3, 0], [0, 1]], "png", (2, 2))
    here.to_json(tmp_path / "g.json")
    assert Geometry.from_json(tmp_path / "g.json") == here
    assert Geometry.from_dict(grid((2, 2), (2, 2)).to_dict()) == grid((2, 2), (2, 2))
