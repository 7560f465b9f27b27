"""Label values that are nearly whole, and label files with axes of length 1 that images may have."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrastseg.data.files.formats import as_label, read_label
from contrastseg.data.files.itk import keeping_locale, read_itk
from contrastseg.data.readers.layouts import map_values, read_volume
from contrastseg.errors import DataError
from contrastseg.labels import whole_numbers

LABEL = np.random.default_rng(0).integers(0, 4, (5, 6, 7)).astype(np.uint8)  # (x, y, z) as nibabel has it
AFFINE = np.diag([0.7, 0.8, 2.5, 1.0])
CASE = "scan1"


def saved(path: Path, array: np.ndarray, stored: type | None = None) -> Path:
    """A NIfTI file; an integer type to store real numbers in gets nibabel's scaling."""
    image = nibabel.Nifti1Image(array, AFFINE)
    if stored is not None:
        image.set_data_dtype(stored)
    nibabel.save(image, path)
    return path


def test_labels_that_nibabel_scaled_to_int16_are_whole(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.nii.gz", LABEL.astype(np.float64), np.int16)
    stored = np.asanyarray(nibabel.load(path).dataobj)
    assert not np.array_equal(stored, np.rint(stored)), "nibabel stores these exactly: the test tests nothing"
    assert np.array_equal(read_label(path)[0], LABEL.T)
    assert np.array_equal(read_volume([path], path, CASE, {1: 1, 2: 2, 3: 3}).label, LABEL.T)


@given(st.integers(1, 255), st.sampled_from([np.float32, np.float64]))
def test_a_thousandth_of_the_range_is_rounding_and_a_third_is_not(highest: int, dtype: type) -> None:
    labels = np.array([0, 1, highest], dtype)
    allowed = min(0.9e-3 * highest, 0.24)
    for error in (allowed, -allowed):
        found = whole_numbers(labels + dtype(error))
        assert found.tolist() == [0, 1, highest]
        assert found.dtype.kind == "i"
    with pytest.raises(ValueError, match="no whole numbers"):
        whole_numbers(labels + dtype(1 / 3))


@pytest.mark.parametrize("wrong", [0.3, 0.5, 0.9, 1.002, -0.4, np.nan, np.inf, -np.inf, 1e300])
def test_what_is_no_label_is_refused_with_its_value(wrong: float) -> None:
    array = np.array([[0.0, 1.0, wrong]])
    for read in (
        lambda: as_label(array, CASE, Path("a.nii.gz")),
        lambda: map_values(array, {1: 1}, CASE, Path("a.nii.gz")),
    ):
        with pytest.raises(DataError) as error:
            read()
        assert f"{wrong:g}" in error.value.reason
        assert (error.value.case, error.value.file) == (CASE, Path("a.nii.gz"))


def test_rounding_needs_little_memory_beside_the_volume() -> None:
    array = np.zeros((64, 128, 128))
    tracemalloc.start()
    try:
        whole_numbers(array)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 5 * array.size


def test_values_beyond_eight_bits_may_be_mapped_and_are_no_classes() -> None:
    published = np.array([0.0, 500.0001, 850.0])
    assert map_values(published, {500: 1, 850: 2}, CASE, Path("a.nii")).tolist() == [0, 1, 2]
    with pytest.raises(DataError, match=r"from 0 to 255: \[500, 850\]"):
        as_label(published, CASE, Path("a.nii"))
    with pytest.raises(DataError, match=r"from 0 to 255: \[-1\]"):
        as_label(np.array([-1, 0, 1], np.int8), CASE, Path("a.nii"))


@pytest.mark.parametrize("more", [(1,), (1, 1)])
def test_trailing_axes_of_length_one_are_dropped(tmp_path: Path, more: tuple[int, ...]) -> None:
    path = saved(tmp_path / "a.nii.gz", LABEL.reshape(LABEL.shape + more))
    label, spacing, affine = read_label(path)
    assert np.array_equal(label, LABEL.T)
    assert spacing == pytest.approx((2.5, 0.8, 0.7))
    assert np.allclose(affine, AFFINE)
    image = saved(tmp_path / "i.nii.gz", LABEL.astype(np.int16).reshape(LABEL.shape + more))
    case = read_volume([image], path, CASE)
    assert case.image.shape == (1, *LABEL.T.shape)
    assert np.array_equal(case.label, LABEL.T)


def test_a_label_of_two_axes_lies_on_an_image_of_one_slice(tmp_path: Path) -> None:
    image = saved(tmp_path / "i.nii.gz", LABEL[:, :, :1].astype(np.int16))
    label = saved(tmp_path / "a.nii.gz", LABEL[:, :, 0])
    case = read_volume([image], label, CASE)
    assert np.array_equal(case.label, LABEL[:, :, :1].T)
    volume = saved(tmp_path / "v.nii.gz", LABEL.astype(np.int16))
    with pytest.raises(DataError, match=r"shape \(7, 6, 5\), its label \(6, 5\)"):
        read_volume([volume], label, CASE)


def test_several_volumes_are_no_label(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.nii.gz", np.stack([LABEL, LABEL], axis=-1))
    for read in (lambda: read_label(path), lambda: read_volume([path], path, CASE)):
        with pytest.raises(DataError, match=r"4-D label of shape \(5, 6, 7, 2\)"):
            read()


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_trailing_axes_in_itk_files(tmp_path: Path, suffix: str) -> None:
    import SimpleITK

    path = tmp_path / f"a{suffix}"
    with keeping_locale():
        image: Any = SimpleITK.GetImageFromArray(LABEL.T[None].copy(), isVector=False)
        image.SetSpacing((0.7, 0.8, 2.5, 1.0))
        image.SetOrigin((1.0, 2.0, 3.0, 0.0))
        SimpleITK.WriteImage(image, str(path))
    array, spacing, affine = read_itk(path)
    assert np.array_equal(array, LABEL.T)
    assert spacing == pytest.approx((2.5, 0.8, 0.7))
    assert np.allclose(affine, [[-0.7, 0, 0, -1], [0, -0.8, 0, -2], [0, 0, 2.5, 3], [0, 0, 0, 1]])
