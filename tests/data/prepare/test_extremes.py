"""Intensities that ruin an image are refused with the case and the file, by check, prepare and predict alike."""

from __future__ import annotations

import json
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from contrastseg.data.files.formats import read_image, read_label
from contrastseg.data.inspect.dataset_check import check_dataset
from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.prepare.extremes import require_contrast, unusable_voxels
from contrastseg.data.prepare.inference_inputs import prepare_inference_image, read_inference_image
from contrastseg.data.prepare.preparation import prepare_dataset
from contrastseg.data.readers.photo_mask_files import read_grey_mask
from contrastseg.data.settings import PreparationSettings
from contrastseg.errors import DataError
from tests.miniatures._files import save_nifti
from tests.miniatures._nnunet import describe, make_volumes

RULE = PreparationSettings()
WINDOW = PreparationSettings(intensity="window", window=(0, 400))


def scan(seed: int = 0, dtype: str = "f8") -> NDArray:
    """(1, z, y, x): air, noise and a bright box, as MR has them."""
    rng = np.random.default_rng(seed)
    image = 100 * rng.random((1, 6, 30, 32)) * (np.arange(32) > 6)
    image[0, 2:4, 10:20, 12:22] += 200
    return image.astype(dtype)


def spoilt(value: float, voxels: int = 1, dtype: str = "f8") -> NDArray:
    image = scan(dtype=dtype)
    image.reshape(-1)[7 : 7 + 31 * voxels : 31] = value
    return image


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300, -1e39])
def test_values_that_32_bits_do_not_hold_are_unusable(value: float) -> None:
    told = unusable_voxels(spoilt(value, 3))
    assert told is not None
    assert told[0].startswith("3 image voxels")
    assert unusable_voxels(scan()) is None
    assert unusable_voxels(scan() * 1e-42) is not None


@pytest.mark.parametrize("rule", ["zscore", "minmax", "none"])
@pytest.mark.parametrize("value", [1e30, -1e30, 1e20, 3e38, 1e9, -1e8])
def test_a_voxel_that_flattens_the_others_is_refused(rule: Any, value: float) -> None:
    settings = PreparationSettings(intensity=rule)
    for image in (spoilt(value), spoilt(value, 5, "f4"), spoilt(value, 40)):
        with pytest.raises(DataError, match="far from all others") as caught:
            require_contrast(image, settings)
        assert "window" in str(caught.value.remedy)
        require_contrast(image, WINDOW)  # the remedy
    require_contrast(spoilt(value), PreparationSettings(intensity="percentile"))
    require_contrast(spoilt(value), PreparationSettings(intensity=rule, window=(0, 400)))


def test_a_region_filled_with_a_value_flattens_too() -> None:
    for value in (1e20, -3.4e38, 9.96921e36):
        image = scan()
        image[..., 20:] = value
        for rule in (RULE, PreparationSettings(intensity="percentile")):
            with pytest.raises(DataError, match="far from all others"):
                require_contrast(image, rule)
    image[..., 20:] = 1e20 * (1 + np.random.default_rng(0).random(image[..., 20:].shape))
    with pytest.raises(DataError, match="far from all others"):
        require_contrast(image, RULE)


def test_contrast_on_top_of_a_large_number_is_lost() -> None:
    require_contrast(scan() + 1e5, RULE)
    with pytest.raises(DataError, match="too far from 0"):
        require_contrast(scan() + 1e12, RULE)


@given(
    st.sampled_from(["u1", "i2", "u2", "f4", "f8"]),
    st.floats(1e-6, 1e6),
    st.sampled_from(["scan", "ct", "sparse", "metal", "flat", "binary", "padded", "beads"]),
)
def test_what_scanners_write_is_left_alone(dtype: str, scale: float, kind: str) -> None:
    image = scan(1)
    if kind == "ct":
        image = image * 10 - 1024
    elif kind == "sparse":
        image = np.where(image > 250, image, 0)
    elif kind == "metal":
        image = spoilt(30_000)
    elif kind == "flat":
        image = np.zeros_like(image)
    elif kind == "binary":
        image = (image > 150).astype(float)
    elif kind == "padded":
        image[..., :9] = -32768
    elif kind == "beads":  # a dark, smooth field with a few bright points
        image = np.where(np.arange(image.size).reshape(image.shape) % 97, image / 1e5, 2000 + image)
    if dtype.startswith("f"):
        image = (image * scale).astype(dtype)
    else:
        limits = np.iinfo(dtype)
        image = np.clip(image, limits.min, limits.max).astype(dtype)
    assert unusable_voxels(image) is None
    require_contrast(image, RULE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_volumes(tmp_path / "Dataset002_Scans")


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300, 1e30])
def test_check_prepare_and_predict_refuse_alike(folder: Path, tmp_path: Path, value: float) -> None:
    options = {"path": str(folder)}
    prepare_dataset("mine", "nnunet", options, None, folder, tmp_path / "out")
    info = PreparedDataset(tmp_path / "out").info
    path = folder / "imagesTr" / "scan3_0001.nii.gz"
    image = read_image(path)[0][0].astype(float)
    image[2, 11, 13] = value
    save_nifti(path, image)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of numpy's
        faults = check_dataset(folder).faults
        assert [fault.case for fault in faults] == ["scan3"]
        with pytest.raises(DataError) as caught:
            prepare_dataset("mine", "nnunet", options, None, folder, tmp_path / "again")
        assert (caught.value.case, caught.value.reason) == ("scan3", faults[0].reason)
        pair = [path.with_name("scan3_0000.nii.gz"), path]
        for predict in (prepare_inference_image, read_inference_image):
            with pytest.raises(DataError) as caught:
                predict(pair, "scan3", info)
            assert (caught.value.case, caught.value.file) == ("scan3", pair[0])
            assert caught.value.remedy
        if value == 1e30:  # the remedy, in all three
            rule = {"intensity": "window", "window": [0, 300]}
            assert not check_dataset(folder, preparation=rule).faults
            prepare_dataset("mine", "nnunet", options, rule, folder, tmp_path / "windowed")
            windowed = PreparedDataset(tmp_path / "windowed")
            assert windowed.load("scan3").image.std() > 0.05
            assert prepare_inference_image(pair, "scan3", windowed.info).image.std() > 0.05


def png(path: Path, array: NDArray, colour: int) -> Path:
    """A PNG of 16 bits a channel: Pillow reads those of colours and does not write them."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)
    head = struct.pack(">IIBBBBB", array.shape[1], array.shape[0], 16, colour, 0, 0, 0)
    parts = (chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return path


@pytest.mark.parametrize(("colour", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_images_of_16_bits_a_channel_are_refused_and_never_cut(tmp_path: Path, colour: int, channels: int) -> None:
    path = png(tmp_path / "a.png", np.full((8, 9, channels), 300), colour)
    for read in (read_image, read_label, lambda file: read_grey_mask(file, "a")):
        with pytest.raises(DataError, match="16") as caught:
            read(path)
        assert caught.value.file == path
        assert "8 bits" in str(caught.value.remedy)


def test_other_files_of_16_bits_a_channel(tmp_path: Path) -> None:
    image = SimpleITK.GetImageFromArray(np.full((6, 7, 3), 40_000, np.uint16), isVector=True)
    SimpleITK.WriteImage(image, str(tmp_path / "a.tif"))
    (tmp_path / "a.tif").rename(tmp_path / "a.png")  # readers go by content
    (tmp_path / "b.png").write_bytes(b"P6 2 1 65535\n" + bytes(12))
    for name in ("a.png", "b.png"):
        with pytest.raises(DataError, match="16 bits a channel"):
            read_image(tmp_path / name)
    Image.fromarray(np.full((6, 7, 3), 200, np.uint8)).save(tmp_path / "c.png")
    assert read_image(tmp_path / "c.png")[0].max() == 200


def test_48_bit_photographs_among_ones_own(tmp_path: Path) -> None:
    folder = tmp_path / "Dataset001_Deep"
    describe(
        folder,
        channel_names={"0": "R", "1": "G", "2": "B"},
        labels={"background": 0, "mole": 1},
        numTraining=1,
        file_ending=".png",
    )
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir()
    deep = png(folder / "imagesTr" / "a_0000.png", np.full((8, 9, 3), 300), 2)
    Image.fromarray(np.eye(8, 9, dtype=np.uint8)).save(folder / "labelsTr" / "a.png")
    (fault,) = check_dataset(folder).faults
    assert (fault.case, fault.file) == ("a", deep)
    with pytest.raises(DataError, match="16 bits a channel"):
        prepare_dataset("mine", "nnunet", {"path": str(folder)}, None, folder, tmp_path / "out")
    Image.fromarray(np.arange(216, dtype=np.uint8).reshape(8, 9, 3)).save(deep)  # the remedy
    assert not check_dataset(folder).faults
    assert json.loads((folder / "dataset.json").read_text())["numTraining"] == 1
