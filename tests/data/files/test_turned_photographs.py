"""Photographs that are stored turned (EXIF orientation) are read as viewers show them, wherever they are read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from contrastseg.cli import app
from contrastseg.data.files.formats import is_turned, read_image, read_label, read_photo, write_label
from contrastseg.data.files.photographs import open_photo
from contrastseg.data.inspect.dataset_check import check_dataset
from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.prepare.inference_inputs import prepare_inference_image
from contrastseg.data.prepare.native import NativeCases
from contrastseg.data.prepare.preparation import prepare_dataset
from contrastseg.data.read_errors import wrap_read_errors
from contrastseg.data.readers.photo_mask_files import read_binary_mask
from contrastseg.errors import DataError
from contrastseg.report.figures.overlay_cases import Picked
from tests.miniatures._nnunet import make_photos

ORIENTATION = 0x0112
# By the EXIF standard: what is done to the upright picture to get the pixels that are stored beside each value.
STORED: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda upright: upright,
    2: np.fliplr,
    3: lambda upright: np.rot90(upright, 2),
    4: np.flipud,
    5: lambda upright: np.swapaxes(upright, 0, 1),
    6: lambda upright: np.rot90(upright, 1),  # 6: row 0 is shown as the right side
    7: lambda upright: np.rot90(np.swapaxes(upright, 0, 1), 2),
    8: lambda upright: np.rot90(upright, -1),
}
UPRIGHT = np.random.default_rng(0).integers(0, 256, (13, 17, 3)).astype(np.uint8)


def store(path: Path, upright: np.ndarray, orientation: int) -> Path:
    """Write a picture turned, with the tag that brings it upright."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    options: dict[str, Any] = {"lossless": True} if path.suffix == ".webp" else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(STORED[orientation](upright))).save(path, exif=exif, **options)
    return path


def turn_images(folder: Path, orientation: int) -> None:
    for path in sorted((folder / "imagesTr").iterdir()):
        with Image.open(path) as image:
            upright = np.array(image)
        store(path, upright, orientation)


def prepare(folder: Path) -> PreparedDataset:
    output = folder.parent / f"prepared-{folder.name}"
    prepare_dataset("mine", "nnunet", {"path": str(folder)}, None, folder, output)
    return PreparedDataset(output)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
@pytest.mark.parametrize("orientation", STORED)
def test_every_orientation_of_every_format_is_shown_upright(tmp_path: Path, suffix: str, orientation: int) -> None:
    path = store(tmp_path / f"a{suffix}", UPRIGHT, orientation)
    with wrap_read_errors(path), open_photo(path) as image:
        assert image.size == (17, 13)
        assert np.array_equal(np.asarray(image), UPRIGHT)


@pytest.mark.parametrize("orientation", STORED)
def test_photographs_and_masks_are_read_alike(tmp_path: Path, orientation: int) -> None:
    photo = store(tmp_path / "a.png", UPRIGHT, orientation)
    assert np.array_equal(read_photo(photo), UPRIGHT.transpose(2, 0, 1))
    assert read_image(photo)[1].native_shape == (13, 17)
    labels = np.arange(13 * 17, dtype=np.uint8).reshape(13, 17) % 5
    assert np.array_equal(read_label(store(tmp_path / "b.png", labels, orientation))[0], labels)
    mask = store(tmp_path / "c.png", np.where(labels > 2, 255, 0).astype(np.uint8), orientation)
    assert np.array_equal(read_binary_mask(mask, "c")[0], labels > 2)
    assert [is_turned(tmp_path / name) for name in ("a.png", "b.png", "c.png")] == [orientation > 1] * 3


def test_a_camera_s_jpeg_is_turned_once(tmp_path: Path) -> None:
    smooth = np.zeros((32, 48), dtype=np.uint8)
    smooth[:16, :24] = 200
    for orientation in STORED:
        read = read_photo(store(tmp_path / "a.jpg", smooth, orientation))[0].astype(int)
        assert read.shape == smooth.shape
        assert np.abs(read - smooth).max() < 12


@pytest.mark.parametrize("value", [0, 9, 1000])
def test_an_orientation_that_the_standard_does_not_know_turns_nothing(tmp_path: Path, value: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = value
    Image.fromarray(UPRIGHT).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_photo(tmp_path / "a.png"), UPRIGHT.transpose(2, 0, 1))
    assert not is_turned(tmp_path / "a.png")


def test_damaged_exif_loses_no_picture(tmp_path: Path) -> None:
    Image.fromarray(UPRIGHT).save(tmp_path / "a.png", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert np.array_equal(read_photo(tmp_path / "a.png"), UPRIGHT.transpose(2, 0, 1))


@pytest.mark.parametrize("orientation", [3, 5, 6])
def test_turned_and_upright_data_prepare_to_the_same_arrays(tmp_path: Path, orientation: int) -> None:
    upright = make_photos(tmp_path / "Dataset001_Upright", cases=3)
    turned = tmp_path / "Dataset002_Turned"
    shutil.copytree(upright, turned)
    turn_images(turned, orientation)
    expected, found = prepare(upright), prepare(turned)
    native = NativeCases(found, turned)  # what a method with a trainer of its own sees
    for name in expected.cases:
        ours, theirs = found.load(name), expected.load(name)
        assert np.array_equal(ours.image, theirs.image)
        assert np.array_equal(ours.label, theirs.label)  # type: ignore[arg-type]
        assert ours.geometry == theirs.geometry
        assert np.array_equal(native.load(name).image, np.asarray(NativeCases(expected, upright).load(name).image))
    assert any("3 of 3 cases" in note and "EXIF" in note for note in found.info.notes)
    assert not any("EXIF" in note for note in expected.info.notes)


def test_labels_and_overlays_have_the_displayed_shape(tmp_path: Path) -> None:
    prepared = prepare(make_photos(tmp_path / "Dataset001_Upright", cases=2))
    photo = store(tmp_path / "phone.png", UPRIGHT, 6)
    case = prepare_inference_image([photo], "phone", prepared.info)
    assert case.image.shape == (3, 13, 17)
    label = case.geometry.label_from_logits(np.random.default_rng(0).random((2, 13, 17)))
    write_label(tmp_path / "out" / "phone.png", label, case.geometry)
    with Image.open(tmp_path / "out" / "phone.png") as image:
        assert image.size == (17, 13)
        assert image.getexif().get(ORIENTATION) is None
    turned = make_photos(tmp_path / "Dataset002_Turned", cases=2)
    turn_images(turned, 8)
    shown = prepare(turned)
    row = {"case": "mole_00"}
    volume = Picked(row, shown, shown.reference_path("mole_00")).volume()
    assert volume.image.shape[1:] == volume.reference.shape == volume.prediction.shape == (1, 40, 48)


def test_tiff_files_are_counted_too(tmp_path: Path) -> None:
    assert is_turned(store(tmp_path / "a.tif", UPRIGHT, 6))
    assert not is_turned(store(tmp_path / "b.tiff", UPRIGHT, 1))
    pages = [Image.fromarray(UPRIGHT[..., 0])] * 3
    pages[0].save(tmp_path / "volume.tif", save_all=True, append_images=pages[1:], tiffinfo={ORIENTATION: 6})
    assert not is_turned(tmp_path / "volume.tif")
    (tmp_path / "c.tif").write_bytes(b"no TIFF")
    assert not is_turned(tmp_path / "c.tif")


def test_check_counts_them(tmp_path: Path) -> None:
    folder = make_photos(tmp_path / "Dataset001_Mixed", cases=4)
    for name in ("mole_01_0000.png", "mole_03_0000.png"):
        path = folder / "imagesTr" / name
        store(path, np.array(Image.open(path)), 6)
    (found,) = [item for item in check_dataset(folder).warnings if item.kind == "turned"]
    assert found.cases == ("mole_01", "mole_03")
    assert found.text.startswith("2 of 4 ")
    shown = json.loads(CliRunner().invoke(app, ["check", str(folder), "--json"]).stdout)
    assert [item["cases"] for item in shown["observations"] if item["kind"] == "turned"] == [["mole_01", "mole_03"]]


def test_a_mask_drawn_on_the_stored_pixels_is_refused_and_the_remedy_helps(tmp_path: Path) -> None:
    folder = make_photos(tmp_path / "Dataset001_Raw", cases=2)
    turn_images(folder, 6)
    path = folder / "labelsTr" / "mole_01.png"
    label = np.array(Image.open(path))
    Image.fromarray(np.ascontiguousarray(STORED[6](label))).save(path)
    with pytest.raises(DataError) as caught:
        prepare(folder)
    (fault,) = getattr(caught.value, "faults", (caught.value,))
    assert fault.case == "mole_01"
    assert "EXIF" in fault.reason
    assert "(40, 48)" in fault.reason
    assert "(48, 40)" in fault.reason
    assert "Orientation" in str(fault.remedy)
    photo = folder / "imagesTr" / "mole_01_0000.png"
    with Image.open(photo) as image:
        pixels = np.array(image)
    Image.fromarray(pixels).save(photo)  # the tag is gone, the pixels are as they were
    case = prepare(folder).load("mole_01")
    assert case.image.shape[1:] == (48, 40)
    assert np.array_equal(np.asarray(case.label) == 1, STORED[6](label) == 1)
