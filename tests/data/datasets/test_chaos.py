"""CHAOS: slices and masks in pairs, in MR and in CT."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.prepare.preparation import prepare_dataset
from contrastseg.errors import DataError
from tests.miniatures import chaos as small


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    small.make(tmp_path / "raw")
    return tmp_path / "raw"


def prepare(raw: Path, **options: Any) -> PreparedDataset:
    prepare_dataset("entry", "chaos", options, {"intensity": "none"}, raw, raw.parent / "out")
    return PreparedDataset(raw.parent / "out")


@pytest.mark.parametrize(("image", "offset", "seed"), [("t1_out", 1, 2), ("t1_in", 2, 2), ("t2", 1, 102)])
def test_mr(raw: Path, image: str, offset: int, seed: int) -> None:
    case = prepare(raw, image=image).load("MR02")
    rows = 22 if image == "t2" else 20
    pixels, label = small.boxes((small.SLICES, rows, 18), seed, small.VALUES)
    assert np.array_equal(case.image[0], np.rint(100 * offset * pixels))
    assert np.array_equal(case.label, np.searchsorted([0, *small.VALUES], label))
    assert case.geometry.native_spacing == pytest.approx((7.5, 0.8, 0.7))


def test_ct_is_turned_upright_with_its_masks(raw: Path) -> None:
    prepared = prepare(raw, image="ct")
    assert prepared.cases == [f"CT{number:02d}" for number in small.PATIENTS]
    case = prepared.load("CT13")
    pixels, label = small.boxes((small.SLICES, 20, 18), 213, (255,))
    assert np.array_equal(case.image[0], np.rint(100 * pixels)[::-1])  # numbered from the top down
    assert np.array_equal(case.label, (label // 255)[::-1])
    assert prepared.info.notes == ["CT: only the liver was delineated (4 of 4 cases)"]


def test_names_are_ordered_by_number(raw: Path) -> None:
    """Unpadded numbers, as in some of the CT: 10 comes after 9."""
    expected = prepare(raw, image="ct").load("CT01").image
    folder = raw / "Train_Sets/CT/1/DICOM_anon"
    for index in range(small.SLICES):
        (folder / f"i{index:04d},0000b.dcm").rename(folder / f"IMG-2-{index + 8}.dcm")
    assert np.array_equal(prepare(raw, image="ct").load("CT01").image, expected)


def test_a_grey_value_between_the_organs(raw: Path) -> None:
    path = raw / small.MINIATURE.mask
    with Image.open(path) as opened:
        mask = np.array(opened)
    mask[0, :2] = (56, 90)
    Image.fromarray(mask).save(path)
    with pytest.raises(DataError, match=r"values \[90\]") as caught:
        prepare(raw)
    assert (caught.value.case, caught.value.file) == ("MR02", path)
