"""VOC 2012: lists, indices, borders to ignore, and SBD's labels."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from contrastseg.data.datasets.voc2012 import SPEC
from contrastseg.data.faults import Faults
from contrastseg.data.files.formats import read_label
from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.prepare.preparation import prepare_dataset
from contrastseg.data.readers.specs import RawCase
from contrastseg.errors import DataError
from tests.miniatures import voc2012
from tests.miniatures.voc2012 import AUGMENTED, BASE, TRAIN, VAL, stripes


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    voc2012.make(tmp_path / "raw")
    return tmp_path / "raw"


def discover(raw: Path, **options: Any) -> list[RawCase]:
    faults = Faults()
    cases = SPEC.discover(raw, SPEC.parse_options(options), faults)
    faults.raise_any()
    return cases


def lists(raw: Path) -> Path:
    return raw / BASE / "ImageSets" / "Segmentation"


def test_val_is_the_test_part(raw: Path) -> None:
    parts = {case.case: case.part for case in discover(raw)}
    assert parts == {**dict.fromkeys(TRAIN, "train"), **dict.fromkeys(VAL, "test")}
    assert any("`val`" in trap for trap in SPEC.traps)


def test_indices_and_borders_are_kept(raw: Path, tmp_path: Path) -> None:
    prepare_dataset("voc", "voc2012", None, None, raw, tmp_path / "out")
    prepared = PreparedDataset(tmp_path / "out")
    for seed, case in enumerate(TRAIN + VAL):
        label = read_label(prepared.reference_path(case))[0]
        assert np.array_equal(label, stripes((32, 40 + seed), seed))
        assert 255 in label
        assert prepared.load(case).image.shape == (3, 32, 40 + seed)  # not resized unless a suite says so
    assert prepared.num_classes == 21
    assert prepared.info.notes == []


def test_the_additional_labels(raw: Path) -> None:
    cases = {case.case: case for case in discover(raw, train_set="trainaug")}
    assert {case for case, found in cases.items() if found.part == "train"} == {*TRAIN, *AUGMENTED}
    assert {found.files[1].parent.name for found in cases.values() if found.part == "train"} == {"SegmentationClassAug"}
    assert {found.files[1].parent.name for found in cases.values() if found.part == "test"} == {"SegmentationClass"}
    lines = [f"/JPEGImages/{case}.jpg /SegmentationClassAug/{case}.png" for case in (*TRAIN, *AUGMENTED)]
    (lists(raw) / "trainaug.txt").write_text("\n".join(lines))
    assert {case.case for case in discover(raw, train_set="trainaug")} == set(cases)


@pytest.mark.parametrize("missing", ["ImageSets/Segmentation/trainaug.txt", "SegmentationClassAug"])
def test_the_additional_labels_are_not_there(raw: Path, missing: str) -> None:
    path = raw / BASE / missing
    path.unlink() if path.is_file() else shutil.rmtree(path)
    assert len(discover(raw)) == 5
    with pytest.raises(DataError, match="SBD") as caught:
        discover(raw, train_set="trainaug")
    assert "trainaug.txt" in str(caught.value.remedy)


def test_lists_that_share_a_case(raw: Path) -> None:
    (lists(raw) / "trainaug.txt").write_text("\n".join([*TRAIN, *AUGMENTED, VAL[0]]))
    with pytest.raises(DataError, match="twice, in both lists") as caught:
        discover(raw, train_set="trainaug")
    assert caught.value.case == VAL[0]


def test_lists_and_files_that_disagree(raw: Path) -> None:
    (lists(raw) / "val.txt").write_text(VAL[0])
    with pytest.raises(DataError, match="no list names the mask") as caught:
        discover(raw)
    assert caught.value.case == VAL[1]
    (lists(raw) / "val.txt").write_text("\n".join([*VAL, "2009_000009"]))
    with pytest.raises(DataError, match="image and mask are missing") as caught:
        discover(raw)
    assert caught.value.case == "2009_000009"
    (lists(raw) / "val.txt").unlink()
    with pytest.raises(DataError, match="does not exist"):
        discover(raw)


def test_other_years_are_left_alone_and_copies_are_not(raw: Path) -> None:
    (raw / "VOCdevkit" / "VOC2007" / "JPEGImages").mkdir(parents=True)
    assert len(discover(raw)) == 5
    shutil.copytree(raw / BASE, raw / "copy" / "VOC2012")
    with pytest.raises(DataError, match="twice"):
        discover(raw)


def test_a_value_that_is_no_class(raw: Path, tmp_path: Path) -> None:
    path = raw / BASE / "SegmentationClass" / f"{TRAIN[0]}.png"
    voc2012.save_indices(path, np.full((32, 40), 21, dtype=np.uint8))
    with pytest.raises(DataError, match=r"label values \[21\]") as caught:
        prepare_dataset("voc", "voc2012", None, None, raw, tmp_path / "out")
    assert caught.value.file == path


def test_the_sample_of_the_format_has_no_lists(test_data: Path, tmp_path: Path) -> None:
    sample = test_data / "VOC_labelme_sample"
    prepare_dataset("voc", "voc2012", None, {"size": [24, 24]}, sample, tmp_path / "out")
    prepared = PreparedDataset(tmp_path / "out")
    assert prepared.index.part.tolist() == ["", "", ""]
    assert "in no part (3 of 3 cases)" in prepared.info.notes[0]
    for case in prepared.cases:
        with Image.open(sample / "SegmentationClass" / f"{case}.png") as mask:
            assert np.array_equal(read_label(prepared.reference_path(case))[0], np.asarray(mask))
