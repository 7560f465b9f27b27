"""DICOM series: in order of position, rescaled, whole, and of one piece."""

from __future__ import annotations

import locale
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from contrastseg.data.files.dicom import read_series
from contrastseg.errors import DataError
from tests.miniatures._files import save_slice

STEP = 2.5


@pytest.fixture
def volume() -> np.ndarray:
    return np.random.default_rng(0).integers(-1000, 1000, (6, 9, 7)).astype(np.int16)


def save(folder: Path, volume: np.ndarray, **keywords: object) -> list[Path]:
    """Slices of rising position under names that sort backwards."""
    return [
        save_slice(folder / f"{len(volume) - index:03d}.dcm", pixels, (-10, -20, 30 + STEP * index), **keywords)
        for index, pixels in enumerate(volume)
    ]


def test_slices_are_sorted_by_position_not_by_name(tmp_path: Path, volume: np.ndarray) -> None:
    files = sorted(save(tmp_path, volume))
    series = read_series(files)
    assert np.array_equal(series.array, volume)
    assert series.spacing == pytest.approx((STEP, 0.8, 0.7))
    assert series.order == (5, 4, 3, 2, 1, 0)
    assert np.allclose(series.affine, [[-0.7, 0, 0, 10], [0, -0.8, 0, 20], [0, 0, STEP, 30], [0, 0, 0, 1]])
    shuffled = [files[index] for index in (3, 0, 5, 1, 4, 2)]
    assert np.array_equal(read_series(shuffled).array, volume)


def test_reading_leaves_the_locale_as_it_was(tmp_path: Path, volume: np.ndarray) -> None:
    files = save(tmp_path, volume)
    before = locale.setlocale(locale.LC_CTYPE)
    locale.setlocale(locale.LC_CTYPE, "C.UTF-8")
    try:
        read_series(files)
        assert locale.setlocale(locale.LC_CTYPE) == "C.UTF-8"
    finally:
        locale.setlocale(locale.LC_CTYPE, before)


def test_slope_and_intercept_are_applied(tmp_path: Path, volume: np.ndarray) -> None:
    even = volume // 2 * 2
    (path, *_) = save(tmp_path, even, rescale=(2, -1000))
    stored = np.frombuffer(path.read_bytes()[-2 * even[0].size :], dtype="<i2").reshape(even[0].shape)
    assert np.array_equal(stored.astype(int) * 2 - 1000, even[0]), "the file holds other values than it stands for"
    assert np.array_equal(read_series(sorted(tmp_path.glob("*"))).array, even)


def test_an_oblique_series_lies_where_itk_has_it(tmp_path: Path, volume: np.ndarray) -> None:
    row, column = np.array([0.8, 0.6, 0.0]), np.array([0.0, 0.0, -1.0])
    normal = np.cross(row, column)
    for index, pixels in enumerate(volume):
        place = np.array([5.0, -7.0, 11.0]) + STEP * index * normal
        save_slice(tmp_path / f"{index}.dcm", pixels, place.tolist(), directions=[*row, *column])
    series = read_series(sorted(tmp_path.glob("*"), reverse=True))
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path)))
    image = reader.Execute()
    assert np.array_equal(series.array, SimpleITK.GetArrayFromImage(image))
    for index in ((0, 0, 0), (6, 8, 5), (2, 3, 4)):
        place = np.array([-1, -1, 1]) * image.TransformIndexToPhysicalPoint(index)
        assert (np.array(series.affine) @ [*index, 1])[:3] == pytest.approx(place, abs=1e-3)


def refused(files: list[Path], reason: str, **keywords: bool) -> DataError:
    with pytest.raises(DataError, match=reason) as caught:
        read_series(files, "case", **keywords)
    assert caught.value.case == "case"
    assert caught.value.remedy
    return caught.value


def test_a_missing_slice_is_seen_by_the_gap(tmp_path: Path, volume: np.ndarray) -> None:
    files = save(tmp_path, volume)
    error = refused(files[:3] + files[4:], r"lacks slices.*5 mm from 004.dcm to this one, 2.5 mm elsewhere")
    assert error.file == files[4]


def test_two_slices_in_one_place(tmp_path: Path, volume: np.ndarray) -> None:
    files = save(tmp_path, volume)
    copy = tmp_path / "copy.dcm"
    copy.write_bytes(files[2].read_bytes())
    assert refused([*files, copy], "one place").file in (files[2], copy)


@pytest.mark.parametrize("share", [0, 0.3, 0.9, 0.999])
def test_a_slice_cut_off(tmp_path: Path, volume: np.ndarray, share: float) -> None:
    files = save(tmp_path, volume)
    content = files[2].read_bytes()
    files[2].write_bytes(content[: int(share * len(content))])
    assert refused(files, "empty" if share == 0 else r"claims \d+ bytes").file == files[2]


def test_series_are_not_mixed(tmp_path: Path, volume: np.ndarray) -> None:
    files = save(tmp_path, volume)
    save_slice(files[2], volume[3], (-10, -20, 30 + 2 * STEP), series=2)
    assert refused(files, "different series").file == files[2]
    assert len(read_series(files, one_series=False).array) == 6


@pytest.mark.parametrize(
    ("keywords", "reason"),
    [({"spacing": (0.8, 0.9)}, "pixel spacing"), ({"directions": (1, 0, 0, 0, 0.8, 0.6)}, "orientation")],
)
def test_grids_are_not_mixed(tmp_path: Path, volume: np.ndarray, keywords: dict, reason: str) -> None:
    files = save(tmp_path, volume)
    save_slice(files[2], volume[3], (-10, -20, 30 + 2 * STEP), **keywords)
    assert refused(files, f"different {reason}").file == files[2]


@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_grids_are_compared_in_pixels(tmp_path: Path, volume: np.ndarray, scale: float) -> None:
    """Slices of micrometres are not all in one place, and a twentieth of a pixel over the slice is a rounding."""
    for index, pixels in enumerate(volume):
        place = (-10, -20, scale * (30 + STEP * index))
        step = 0.7 * scale * (1.005 if index == 2 else 1)
        save_slice(tmp_path / f"{index}.dcm", pixels, place, spacing=(0.8 * scale, step))
    files = sorted(tmp_path.glob("*"))
    assert np.array_equal(read_series(files).array, volume)
    save_slice(files[2], volume[2], (-10, -20, scale * (30 + 2 * STEP)), spacing=(0.8 * scale, 0.75 * scale))
    assert "part by 0.429 pixels, 0.1 are allowed" in refused(files, "different pixel spacing").reason


def test_no_slices(tmp_path: Path) -> None:
    refused([], "no slices")
