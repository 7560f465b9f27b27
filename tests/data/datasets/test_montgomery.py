"""Montgomery: two masks of a chest, diagnoses as strata, and the split's numbers."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from contrastseg.data.datasets.montgomery import SPEC
from contrastseg.data.faults import Faults
from contrastseg.data.files.formats import read_label
from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.prepare.preparation import prepare_dataset
from contrastseg.data.readers.specs import RawCase
from contrastseg.data.splits.cohort import Cohort
from contrastseg.data.splits.splits import train_patients
from contrastseg.errors import DataError
from tests.miniatures import montgomery
from tests.miniatures._files import save_photo

VICTIM = "MCUCXR_0003_0"


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    montgomery.make(tmp_path / "raw")
    return tmp_path / "raw"


def discover(raw: Path) -> list[RawCase]:
    faults = Faults()
    cases = SPEC.discover(raw, SPEC.parse_options(None), faults)
    faults.raise_any()
    return cases


def mask_file(raw: Path, side: str) -> Path:
    return raw / "MontgomerySet" / "ManualMask" / f"{side}Mask" / f"{VICTIM}.png"


def prepare(raw: Path) -> PreparedDataset:
    prepare_dataset("montgomery", "montgomery", None, {"size": [24, 24]}, raw, raw.parent / "out")
    return PreparedDataset(raw.parent / "out")


def test_both_lungs_are_one_class(raw: Path) -> None:
    prepared = prepare(raw)
    label = read_label(prepared.reference_path(VICTIM))[0]
    sides = []
    for side in ("left", "right"):
        with Image.open(mask_file(raw, side)) as mask:
            sides.append(np.asarray(mask))
    assert all(side.any() for side in sides)
    assert np.array_equal(label, sides[0] | sides[1])
    assert prepared.info.notes == []


def test_colours_and_palettes_become_grey(raw: Path) -> None:
    modes = set()
    for path in (raw / "MontgomerySet" / "CXR_png").glob("*.png"):
        with Image.open(path) as image:
            modes.add(image.mode)
    assert modes == {"RGB", "P", "L"}
    prepared = prepare(raw)
    assert {prepared.load(case).image.shape for case in prepared.cases} == {(1, 24, 24)}


def test_the_suffix_is_the_diagnosis(raw: Path) -> None:
    cases = {case.patient: case.stratum for case in discover(raw)}
    assert cases["MCUCXR_0005"] == "normal"
    assert cases["MCUCXR_0006"] == "tuberculosis"


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_missing_side(raw: Path, side: str) -> None:
    mask_file(raw, side).unlink()
    with pytest.raises(DataError, match=f"no mask: {side} missing") as caught:
        discover(raw)
    assert caught.value.case == VICTIM


def test_overlapping_sides_count_once_with_a_note(raw: Path) -> None:
    with Image.open(mask_file(raw, "left")) as mask:
        left = np.asarray(mask).copy()
    left[10:20, 5:30] = True
    save_photo(mask_file(raw, "left"), left * 255)
    prepared = prepare(raw)
    assert prepared.info.notes == ["left and right mask overlap (1 of 9 cases)"]
    assert set(np.unique(read_label(prepared.reference_path(VICTIM))[0])) == {0, 1}


def test_masks_of_another_size(raw: Path) -> None:
    save_photo(mask_file(raw, "right"), np.zeros((5, 5)))
    with pytest.raises(DataError, match=r"its mask \(5, 5\)") as caught:
        prepare(raw)
    assert caught.value.file == mask_file(raw, "right")


def test_all_138_images_give_80_and_58(tmp_path: Path) -> None:
    # Only names are read before anything is prepared; 80 normal and 58 tuberculous, as in the published set.
    root = tmp_path / "MontgomerySet"
    for number in range(1, 139):
        for folder in ("CXR_png", "ManualMask/leftMask", "ManualMask/rightMask"):
            path = root / folder / f"MCUCXR_{number:04d}_{int(number > 80)}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    assert len(discover(tmp_path)) == 138
    assert train_patients(SPEC.split, Cohort.of_raw(discover(tmp_path))) == 80
    assert round(SPEC.split.fractions.test * 138) == 58
    assert SPEC.split.fractions.val == 0


def test_copies_with_merged_masks(test_data: Path, tmp_path: Path) -> None:
    source = test_data / "Montgomery"
    shutil.copytree(source, tmp_path / "raw")
    prepared = prepare(tmp_path / "raw")
    assert len(prepared.cases) == 8
    assert prepared.info.notes == ["greys in the mask, thresholded at 127 (8 of 8 cases)"]
    for case in prepared.cases:
        with Image.open(source / "masks" / f"{case}.png") as mask:
            assert read_label(prepared.reference_path(case))[0].sum() == (np.asarray(mask) > 127).sum()
    (tmp_path / "raw" / "masks" / f"{prepared.cases[0]}.png").unlink()
    with pytest.raises(DataError, match="no mask: merged missing"):
        discover(tmp_path / "raw")
