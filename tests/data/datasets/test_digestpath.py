"""DigestPath: negative images, patients from names, and tiles."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contrastseg.data.datasets.digestpath import SPEC
from contrastseg.data.faults import Faults, FaultyCasesError
from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.prepare.preparation import prepare_dataset
from contrastseg.data.readers.specs import NativeCase, RawCase
from contrastseg.data.splits.cohort import Cohort
from contrastseg.errors import DataError
from tests.miniatures import digestpath
from tests.miniatures._files import save_photo


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    digestpath.make(tmp_path / "raw")
    return tmp_path / "raw"


def discover(raw: Path, **options: Any) -> list[RawCase]:
    faults = Faults()
    cases = SPEC.discover(raw, SPEC.parse_options(options), faults)
    faults.raise_any()
    return cases


def load(case: RawCase, **options: Any) -> NativeCase:
    return SPEC.load(case, SPEC.parse_options(options))


def test_negative_images_are_all_background(raw: Path) -> None:
    cases = {case.case: case for case in discover(raw)}
    assert [cases[name].stratum for name in digestpath.NAMES] == ["positive"] * 4 + ["negative"] * 2
    for name, case in cases.items():
        native = load(case)
        assert native.label is not None
        assert native.label.shape == native.image.shape[1:]
        assert bool(native.label.any()) == (cases[name].stratum == "positive")


def test_a_mask_is_missing_among_the_positive_only(raw: Path) -> None:
    assert len(discover(raw)) == 6
    (raw / "tissue-train-pos-v1" / f"{digestpath.POSITIVE[0]}_mask.jpg").unlink()
    with pytest.raises(DataError, match="no mask") as caught:
        discover(raw)
    assert caught.value.case == digestpath.NAMES[0]


def test_a_negative_image_with_a_mask(raw: Path) -> None:
    mask = raw / "tissue-train-neg" / f"{digestpath.NEGATIVE[0]}_mask.jpg"
    shutil.copy(raw / "tissue-train-pos-v1" / f"{digestpath.POSITIVE[0]}_mask.jpg", mask)
    with pytest.raises(DataError, match="negative image has a mask") as caught:
        discover(raw)
    assert caught.value.file == mask


def test_patients_are_read_from_the_names(raw: Path) -> None:
    patients = {case.case: case.patient for case in discover(raw)}
    assert [patients[name] for name in digestpath.NAMES] == [
        *["2019_00001"] * 3,
        "2018_00002",
        "D201900000003",
        "18-00004A",
    ]


@pytest.mark.parametrize("tile", [8, 15, 64])
def test_tiles_cover_every_pixel_once(raw: Path, tile: int) -> None:
    tiles = discover(raw, tile=tile)
    assert len({case.case for case in tiles}) == len(tiles)
    for whole in discover(raw):
        native = load(whole)
        parts = [case for case in tiles if case.files == whole.files]
        image, label = np.zeros_like(native.image), np.full_like(native.label, 9)  # type: ignore[arg-type]
        for case in parts:
            top, bottom, left, right = case.details["box"]
            part = load(case, tile=tile)
            assert (label[top:bottom, left:right] == 9).all()
            assert max(part.image.shape[1:]) <= tile
            image[:, top:bottom, left:right] = part.image
            label[top:bottom, left:right] = part.label
        assert np.array_equal(image, native.image)
        assert np.array_equal(label, native.label)
        assert {(case.patient, case.stratum) for case in parts} == {(whole.patient, whole.stratum)}


def test_a_patient_with_positive_and_negative_images_is_a_positive_one(raw: Path) -> None:
    mixed = digestpath.POSITIVE[0].replace("10_00_00", "10_00_01")
    assert mixed != digestpath.POSITIVE[0]
    shutil.copy(raw / "tissue-train-neg" / f"{digestpath.NEGATIVE[0]}.jpg", raw / "tissue-train-neg" / f"{mixed}.jpg")
    cohort = Cohort.of_raw(discover(raw))
    assert len(cohort.cases) == 7
    assert sorted(cohort.strata().values()) == ["negative"] * 2 + ["positive"] * 2


def test_tiles_are_prepared_as_cases_of_their_patient(raw: Path, tmp_path: Path) -> None:
    prepare_dataset("tiles", "digestpath", {"tile": 20}, {"size": None}, raw, tmp_path / "out")
    prepared = PreparedDataset(tmp_path / "out")
    assert len(prepared.patients) == 4
    assert prepared.cases_of(["18-00004A"]) == [f"18-00004A_r0{row}c0{column}" for row in (0, 1) for column in (0, 1)]


def test_an_image_that_changes_between_tiles_is_read_again(raw: Path) -> None:
    case = discover(raw, tile=20)[0]
    before = load(case, tile=20).image
    stat = case.files[0].stat()
    save_photo(case.files[0], np.full((*load(case).image.shape[1:], 3), 90))
    os.utime(case.files[0], ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000_000))
    assert not np.array_equal(load(case, tile=20).image, before)


def test_a_mask_larger_than_its_image_is_not_cut_to_fit(raw: Path, tmp_path: Path) -> None:
    mask = raw / "tissue-train-pos-v1" / f"{digestpath.POSITIVE[0]}_mask.jpg"
    save_photo(mask, np.zeros((90, 90)))
    with pytest.raises(FaultyCasesError, match=r"its mask \(90, 90\)") as caught:
        prepare_dataset("tiles", "digestpath", {"tile": 20}, {"size": None}, raw, tmp_path / "out")
    assert {fault.file for fault in caught.value.faults} == {mask}


def test_an_empty_image_has_no_tiles_and_is_a_fault(raw: Path) -> None:
    (raw / "tissue-train-neg" / f"{digestpath.NEGATIVE[1]}.jpg").write_bytes(b"")
    with pytest.raises(DataError, match="empty") as caught:
        discover(raw, tile=20)
    assert caught.value.case == digestpath.NEGATIVE[1]
