"""Image and label files."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import h5py
import nibabel
import numpy as np
import pytest
import SimpleITK
from PIL import Image

from contrastseg.data.files.formats import case_name, read_h5, read_image, read_label, write_label
from contrastseg.data.files.geometry import Geometry
from contrastseg.errors import DataError

OBLIQUE = np.array([[-1.2, 0.3, 0.5, 10.5], [0.2, -1.4, 1.0, 20.25], [0.1, 0.4, -4.8, -7.0], [0, 0, 0, 1]])


def oblique() -> tuple[np.ndarray, Geometry]:
    affine = OBLIQUE.astype(np.float32).astype(float)
    spacing = tuple(float(step) for step in nibabel.affines.voxel_sizes(affine)[::-1].astype(np.float32))
    label = np.random.default_rng(0).integers(0, 4, (5, 7, 9)).astype(np.uint8)
    return label, Geometry(label.shape, spacing, "mm", affine.tolist(), "nifti", label.shape)


@pytest.mark.parametrize("odd", [{"part": 1}, np.ones((2, 2), dtype=np.complex64), "words"])
def test_h5_without_arrays_of_real_numbers(tmp_path: Path, odd: Any) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["label"] = np.zeros((2, 2), dtype=np.uint8)
        if isinstance(odd, dict):
            file.create_group("image")
        else:
            file["image"] = odd
    with pytest.raises(DataError, match="array of real numbers") as caught:
        read_h5(tmp_path / "a.h5", "a")
    assert (caught.value.case, caught.value.file) == ("a", tmp_path / "a.h5")


def test_oblique_and_flipped_affine_survives_exactly(tmp_path: Path) -> None:
    label, geometry = oblique()
    write_label(tmp_path / "a.nii.gz", label, geometry)
    again, spacing, affine = read_label(tmp_path / "a.nii.gz")
    assert np.array_equal(again, label)
    assert spacing == geometry.native_spacing
    assert affine == geometry.affine
    stored = nibabel.load(tmp_path / "a.nii.gz")
    assert stored.shape == label.shape[::-1]  # the file's own order is (x, y, z)
    assert stored.header.get_xyzt_units()[0] == "mm"


def test_viewers_see_the_same_voxels_at_the_same_places(tmp_path: Path) -> None:
    label = np.zeros((4, 6, 8), dtype=np.uint8)
    label[3, 1, 5] = 2
    affine = np.diag([-1.5, 1.5, 5.0, 1.0])
    geometry = Geometry(label.shape, (5.0, 1.5, 1.5), "mm", affine.tolist(), "nifti", label.shape)
    write_label(tmp_path / "a.nii.gz", label, geometry)
    image = SimpleITK.ReadImage(str(tmp_path / "a.nii.gz"))
    assert image.GetSpacing() == (1.5, 1.5, 5.0)
    assert image[5, 1, 3] == 2
    world = affine @ (5, 1, 3, 1)
    assert image.TransformIndexToPhysicalPoint((5, 1, 3)) == pytest.approx((-world[0], -world[1], world[2]))  # LPS


def test_writing_twice_gives_the_same_bytes_and_leaves_no_other_file(tmp_path: Path) -> None:
    label, geometry = oblique()
    write_label(tmp_path / "a.nii.gz", label, geometry)
    first = (tmp_path / "a.nii.gz").read_bytes()
    write_label(tmp_path / "a.nii.gz", label, geometry)
    assert (tmp_path / "a.nii.gz").read_bytes() == first
    assert [path.name for path in tmp_path.iterdir()] == ["a.nii.gz"]


def test_unknown_spacing_stays_unknown(tmp_path: Path) -> None:
    label = np.ones((3, 4, 5), dtype=np.uint8)
    write_label(tmp_path / "a.nii.gz", label, Geometry(label.shape, None, "voxel", None, "nifti", label.shape))
    _, spacing, affine = read_label(tmp_path / "a.nii.gz")
    assert spacing is None
    assert affine == np.eye(4).tolist()
    image, geometry = read_image(tmp_path / "a.nii.gz")
    assert image.shape == (1, 3, 4, 5)
    assert (geometry.native_spacing, geometry.unit, geometry.affine) == (None, "voxel", None)


def test_png_labels_keep_every_value(tmp_path: Path) -> None:
    label = np.array([[0, 1, 2], [255, 3, 0]], dtype=np.uint8)
    write_label(tmp_path / "a.png", label, Geometry((2, 3), None, "pixel", None, "png", (2, 3)))
    again, spacing, affine = read_label(tmp_path / "a.png")
    assert np.array_equal(again, label)
    assert (spacing, affine) == (None, None)


def test_palette_masks_are_read_by_index(tmp_path: Path) -> None:
    mask = Image.fromarray(np.array([[0, 5], [255, 1]], dtype=np.uint8), mode="L").convert("P")
    mask.putpalette([value for index in range(256) for value in (index, 255 - index, 7)])
    indices = np.asarray(mask)
    mask.save(tmp_path / "a.png")
    assert np.array_equal(read_label(tmp_path / "a.png")[0], indices)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_masks_of_several_equal_channels_are_greys(tmp_path: Path, mode: str) -> None:
    label = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    Image.fromarray(label).convert(mode).save(tmp_path / "a.png")
    assert np.array_equal(read_label(tmp_path / "a.png")[0], label)


def test_masks_that_only_their_transparency_or_a_reversed_palette_shows_are_refused(tmp_path: Path) -> None:
    shown = np.eye(4, dtype=np.uint8)
    Image.fromarray(np.stack([0 * shown, 255 * shown], -1), "LA").save(tmp_path / "a.png")
    with pytest.raises(DataError, match="mode LA"):
        read_label(tmp_path / "a.png")
    palette = Image.fromarray(shown)
    palette.putpalette([255, 255, 255, 0, 0, 0])
    palette.save(tmp_path / "b.png")
    with pytest.raises(DataError, match="low indices brighter"):
        read_label(tmp_path / "b.png")
    palette.putpalette([0, 0, 0, 255, 255, 255])
    palette.save(tmp_path / "c.png")
    assert np.array_equal(read_label(tmp_path / "c.png")[0], shown)


@pytest.mark.parametrize(("mode", "dtype"), [("RGB", np.uint8), ("I;16", np.uint16)])
def test_colour_and_16_bit_masks_are_refused(tmp_path: Path, mode: str, dtype: type) -> None:
    pixels = np.eye(4, dtype=dtype)
    Image.fromarray(np.stack([pixels, pixels, 0 * pixels], -1) if mode == "RGB" else pixels).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="mask of mode") as caught:
        read_label(tmp_path / "a.png", "c1")
    assert caught.value.case == "c1"
    assert caught.value.remedy


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp"])
def test_photographs_come_channel_first(tmp_path: Path, suffix: str) -> None:
    picture = np.zeros((20, 30, 3), dtype=np.uint8)
    picture[..., 0] = 200
    Image.fromarray(picture).save(tmp_path / f"a{suffix}")
    image, geometry = read_image(tmp_path / f"a{suffix}")
    assert image.shape == (3, 20, 30)
    assert image[0].mean() > 190
    assert image[2].mean() < 10
    assert (geometry.unit, geometry.native_format, geometry.shape) == ("pixel", "png", (20, 30))


def test_grey_photographs_have_one_channel(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((4, 5), dtype=np.uint8)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png")[0].shape == (1, 4, 5)


def test_channels_of_4d_volumes_come_first(tmp_path: Path) -> None:
    array = np.random.default_rng(0).random((7, 6, 5, 2)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(array, np.diag([1.0, 2, 3, 1])), tmp_path / "a.nii.gz")
    image, geometry = read_image(tmp_path / "a.nii.gz")
    assert np.array_equal(image, array.transpose(3, 2, 1, 0))
    assert geometry.native_spacing == (3.0, 2.0, 1.0)


@pytest.mark.parametrize("kind", [np.complex64, [("R", "u1"), ("G", "u1"), ("B", "u1")]])
def test_colours_and_complex_numbers_are_refused(tmp_path: Path, kind: Any) -> None:
    nibabel.save(nibabel.Nifti1Image(np.ones((4, 3, 2), dtype=kind), np.eye(4)), tmp_path / "a.nii.gz")
    for read in (read_image, read_label):
        with pytest.raises(DataError, match="colours or complex numbers"):
            read(tmp_path / "a.nii.gz")


def test_fractional_and_negative_labels_are_refused(tmp_path: Path) -> None:
    for value in (0.5, -1.0, 300.0, np.nan):
        array = np.zeros((3, 3, 3), dtype=np.float32)
        array[1, 1, 1] = value
        nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), tmp_path / "a.nii.gz")
        with pytest.raises(DataError, match="whole numbers"):
            read_label(tmp_path / "a.nii.gz")


def test_float_stored_whole_numbers_are_labels(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(np.full((2, 2, 2), 3, dtype=np.float64), np.eye(4)), tmp_path / "a.nii")
    label = read_label(tmp_path / "a.nii")[0]
    assert label.dtype == np.uint8
    assert (label == 3).all()


def test_broken_files_are_typed_errors(tmp_path: Path) -> None:
    label, geometry = oblique()
    write_label(tmp_path / "a.nii.gz", label, geometry)
    whole = (tmp_path / "a.nii.gz").read_bytes()
    contents = {
        "empty.nii.gz": b"",
        "cut.nii.gz": whole[: len(whole) // 2],
        "flipped.nii.gz": whole[:200] + bytes(byte ^ 0xFF for byte in whole[200:260]) + whole[260:],
        "text.nii": b"no image at all",
        "short.nii": gzip.decompress(whole)[:360],
        "cut.png": b"\x89PNG\r\n\x1a\n" + b"\0" * 20,
        "text.jpg": b"no image at all",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError) as caught:
            read_image(tmp_path / name)
        assert caught.value.file == tmp_path / name
        assert caught.value.remedy
    with pytest.raises(DataError, match="does not exist"):
        read_label(tmp_path / "none.nii.gz")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(DataError, match="image format"):
        read_image(tmp_path / "notes.txt")


def test_labels_off_the_native_grid_or_of_another_format_are_not_written(tmp_path: Path) -> None:
    label, geometry = oblique()
    with pytest.raises(DataError, match="native grid"):
        write_label(tmp_path / "a.nii.gz", label[1:], geometry)
    with pytest.raises(DataError, match="native format"):
        write_label(tmp_path / "a.png", label, geometry)
    assert not list(tmp_path.iterdir())


def test_case_names_drop_the_suffix_of_the_format_only() -> None:
    names = ("p/a.b.nii.gz", "a.nii", "a.v2.PNG", "a.list")
    assert [case_name(name) for name in names] == ["a.b", "a", "a.v2", "a.list"]
