"""ACDC in both its layouts, sound and faulty."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import nibabel
import numpy as np
import pytest

from contrastseg.data.download.download import locate
from contrastseg.data.faults import Faults, FaultyCasesError
from contrastseg.data.files.formats import read_label
from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.prepare.preparation import prepare_dataset
from contrastseg.data.readers.specs import RawCase
from contrastseg.data.registry import registry
from contrastseg.data.settings import SplitSettings
from contrastseg.data.splits.cohort import Cohort
from contrastseg.data.splits.split_files import Split
from contrastseg.data.splits.splits import split_dataset, train_patients
from contrastseg.errors import DataError, SplitError

SPEC = registry.get("acdc")
Find = Callable[[str], Path]


def discover(raw: Path, **options: Any) -> list[RawCase]:
    faults = Faults()
    found = SPEC.discover(raw, SPEC.parse_options(options), faults)
    faults.raise_any()
    return found


def prepare(raw: Path, **options: Any) -> PreparedDataset:
    output = raw.parent / "out"
    prepare_dataset("acdc", "acdc", options, None, raw, output)
    return PreparedDataset(output)


def fault(raw: Path, reason: str, case: str, **options: Any) -> DataError:
    """The one fault of the folder, checked for everything an error must say."""
    with pytest.raises(DataError, match=reason) as caught:
        prepare(raw, **options)
    assert not isinstance(caught.value, FaultyCasesError), str(caught.value)
    assert caught.value.case == case
    assert caught.value.file is not None
    assert caught.value.file.is_relative_to(raw)
    assert caught.value.remedy
    return caught.value


def test_official_layout(acdc_nifti: Path, pair_of_files: Find) -> None:
    prepared = prepare(acdc_nifti)
    assert prepared.cases == [f"patient{name}" for name in ("001_frame01", "001_frame12", "002_frame04", "002_frame10")]
    assert prepared.index["frame"].tolist() == ["ED", "ES", "ED", "ES"]
    assert prepared.info.unit == "mm"
    stored = nibabel.load(pair_of_files("patient001_frame12_gt.nii.gz"))
    reference = nibabel.load(prepared.reference_path("patient001_frame12"))
    assert np.array_equal(reference.affine, stored.affine)
    assert np.array_equal(reference.dataobj, stored.dataobj)
    geometry = prepared.geometry("patient001_frame12")
    assert geometry.native_spacing == pytest.approx(stored.header.get_zooms()[::-1])
    assert geometry.native_shape == stored.shape[::-1] == (4, 20, 16)


def test_parts_and_phases(acdc_nifti: Path) -> None:
    assert [case.case for case in discover(acdc_nifti, part="testing")] == ["patient101_frame01", "patient101_frame14"]
    assert len(discover(acdc_nifti, part="all")) == 6
    assert [case.case for case in discover(acdc_nifti, phases=["ED"])] == ["patient001_frame01", "patient002_frame04"]


def test_patient_folders_may_lie_at_the_top(acdc_nifti: Path) -> None:
    assert [case.patient for case in discover(acdc_nifti / "database" / "training")][::2] == [
        "patient001",
        "patient002",
    ]


def test_community_layout(acdc_h5: Path) -> None:
    prepared = prepare(acdc_h5)
    assert prepared.cases == [f"patient00{patient}_frame0{frame}" for patient in (1, 2) for frame in (1, 2)]
    assert prepared.index["frame"].tolist() == ["frame01", "frame02"] * 2
    assert prepared.info.unit == "voxel"
    assert "no spacing" in prepared.info.notes[0]
    geometry = prepared.geometry("patient002_frame01")
    assert (geometry.native_spacing, geometry.affine, geometry.unit) == (None, None, "voxel")


def test_slices_are_put_together_in_numerical_order(acdc_h5: Path) -> None:
    label, spacing, _ = read_label(prepare(acdc_h5).reference_path("patient002_frame02"))
    assert spacing is None
    for number in range(11):
        with h5py.File(acdc_h5 / f"data/slices/patient002_frame02_slice_{number + 1}.h5") as file:
            assert np.array_equal(label[number], file["label"][()])


def test_a_volume_wins_over_its_slices(acdc_h5: Path) -> None:
    whole = acdc_h5 / "data/patient002_frame01.h5"
    whole.write_bytes((acdc_h5 / "data/patient001_frame01.h5").read_bytes())
    by_case = {case.case: case for case in discover(acdc_h5)}
    assert by_case["patient002_frame01"].files == (whole,)
    assert len(by_case["patient002_frame02"].files) == 11


def test_the_official_layout_is_preferred_where_both_lie(acdc_nifti: Path, acdc_h5: Path) -> None:
    assert acdc_nifti == acdc_h5
    assert {case.details["layout"] for case in discover(acdc_h5)} == {"nifti"}
    assert {case.details["layout"] for case in discover(acdc_h5, layout="h5")} == {"h5"}


def test_ed_is_frame_1_of_the_community_layout(acdc_h5: Path) -> None:
    assert {case.frame for case in discover(acdc_h5, phases=["ED"])} == {"frame01"}


def test_missing_and_orphaned_masks(acdc_nifti: Path, pair_of_files: Find) -> None:
    mask = pair_of_files("patient001_frame12_gt.nii.gz")
    kept = mask.rename(acdc_nifti / "aside")
    fault(acdc_nifti, "no mask", "patient001_frame12")
    kept.rename(mask)
    pair_of_files("patient002_frame04.nii.gz").unlink()
    fault(acdc_nifti, "no image", "patient002_frame04")


def test_a_frame_that_is_missing_with_its_mask(acdc_nifti: Path, pair_of_files: Find) -> None:
    for name in ("patient001_frame12.nii.gz", "patient001_frame12_gt.nii.gz"):
        pair_of_files(name).unlink()
    fault(acdc_nifti, "the frame of ES is missing, 12 by Info.cfg", "patient001")
    assert [case.case for case in discover(acdc_nifti, phases=["ED"])] == ["patient001_frame01", "patient002_frame04"]


def test_shape_and_affine_mismatch(acdc_nifti: Path, pair_of_files: Find) -> None:
    path = pair_of_files("patient001_frame01_gt.nii.gz")
    mask = nibabel.load(path)
    values = np.asanyarray(mask.dataobj)
    nibabel.save(nibabel.Nifti1Image(values[:-1], mask.affine), path)
    fault(acdc_nifti, r"shape \(4, 20, 16\), its label \(4, 20, 15\)", "patient001_frame01")
    nibabel.save(nibabel.Nifti1Image(values, mask.affine + np.diag([0.1, 0, 0, 0])), path)
    fault(acdc_nifti, "affines", "patient001_frame01")
    nibabel.save(nibabel.Nifti1Image(np.stack([values, values], axis=-1), mask.affine), path)
    fault(acdc_nifti, "4-D label", "patient001_frame01")
    nibabel.save(nibabel.Nifti1Image(np.where(values == 3, 4, values).astype(np.uint8), mask.affine), path)
    fault(acdc_nifti, r"label values \[4\] are outside .*3 LV", "patient001_frame01")


def test_nan_empty_and_truncated_images(acdc_nifti: Path, pair_of_files: Find) -> None:
    path = pair_of_files("patient001_frame01.nii.gz")
    whole = path.read_bytes()
    image = nibabel.load(path)
    values = np.asanyarray(image.dataobj).copy()
    values[3, 3, 1] = np.nan
    nibabel.save(nibabel.Nifti1Image(values, image.affine), path)
    fault(acdc_nifti, "1 image voxels are NaN", "patient001_frame01")
    path.write_bytes(whole[: len(whole) // 2])
    fault(acdc_nifti, "truncated", "patient001_frame01")
    path.write_bytes(b"")
    fault(acdc_nifti, "empty", "patient001_frame01")


def test_a_case_that_is_there_twice(acdc_nifti: Path, pair_of_files: Find) -> None:
    path = pair_of_files("patient001_frame01.nii.gz")
    (acdc_nifti / "copy").mkdir()
    for original in (path, path.with_name("Info.cfg")):
        (acdc_nifti / "copy" / original.name).write_bytes(original.read_bytes())
    with pytest.raises(DataError, match="there twice") as caught:
        discover(acdc_nifti)
    assert caught.value.case == "patient001_frame01"


def test_info_cfg(acdc_nifti: Path, pair_of_files: Find) -> None:
    path = next((acdc_nifti / "database/training/patient001").glob("Info.cfg"))
    path.write_text("ED: 1\nGroup: DCM\n")
    fault(acdc_nifti, "does not name the frame of ES", "patient001")
    path.write_text("ED: 1\nES: 11\n")
    fault(acdc_nifti, "neither ED nor ES", "patient001_frame12")
    path.unlink()
    fault(acdc_nifti, "does not exist", "patient001")


def test_a_gap_in_the_slices(acdc_h5: Path) -> None:
    (acdc_h5 / "data/slices/patient002_frame01_slice_4.h5").unlink()
    fault(acdc_h5, r"slices \[4\] are missing", "patient002_frame01")


def test_a_gap_at_the_end_shows_in_the_folder_s_list(acdc_h5: Path) -> None:
    lines = [f"patient002_frame01_slice_{number}" for number in range(1, 12)] + ["patient077_frame01_slice_1", ""]
    (acdc_h5 / "train_slices.list").write_text("\n".join(lines))
    assert len(discover(acdc_h5)) == 4
    (acdc_h5 / "data/slices/patient002_frame01_slice_11.h5").unlink()
    fault(acdc_h5, "slice 11, which is missing", "patient002_frame01")


def test_broken_h5_files(acdc_h5: Path) -> None:
    path = acdc_h5 / "data/patient001_frame02.h5"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    fault(acdc_h5, "truncated", "patient001_frame02")
    with h5py.File(path, "w") as file:
        file["image"] = np.zeros((3, 4, 5), dtype=np.float32)
    fault(acdc_h5, "no label", "patient001_frame02")
    with h5py.File(path, "w") as file:
        file["image"] = np.zeros((3, 4, 5), dtype=np.float32)
        file["label"] = np.full((3, 4, 5), 0.5)
    fault(acdc_h5, "no whole numbers", "patient001_frame02")
    path.write_bytes(whole)
    path.rename(path.with_name("patient001_frame03.h5"))
    fault(acdc_h5, "01 and 02", "patient001_frame03")


def test_slices_of_different_shapes(acdc_h5: Path) -> None:
    with h5py.File(acdc_h5 / "data/slices/patient002_frame01_slice_2.h5", "w") as file:
        file["image"], file["label"] = np.zeros((20, 15), np.float32), np.zeros((20, 15), np.uint8)
    fault(acdc_h5, "different shapes", "patient002_frame01")


def test_faults_of_finding_and_of_reading_are_reported_together(acdc_nifti: Path, pair_of_files: Find) -> None:
    pair_of_files("patient001_frame12_gt.nii.gz").unlink()
    pair_of_files("patient002_frame04.nii.gz").write_bytes(b"")
    with pytest.raises(FaultyCasesError) as caught:
        prepare(acdc_nifti)
    assert [found.case for found in caught.value.faults] == ["patient001_frame12", "patient002_frame04"]


def test_a_folder_of_something_else(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no case") as caught:
        prepare(tmp_path)
    assert "patient001_frame01" in str(caught.value.remedy)
    with pytest.raises(DataError, match="not on this machine"):
        prepare(tmp_path / "nowhere")


def test_the_real_sample(test_data: Path, tmp_path: Path) -> None:
    raw = locate("acdc", test_data, tmp_path)
    prepare_dataset("acdc", "acdc", None, {"size": [32, 32]}, raw, tmp_path / "out")
    prepared = PreparedDataset(tmp_path / "out")
    assert (len(prepared.cases), len(prepared.patients)) == (52, 26)
    assert prepared.info.unit == "voxel"
    settings = {"name": "acdc_70_10_20"}
    path = split_dataset("acdc", tmp_path / "out", settings, tmp_path / "split.json", subset=True)
    split = Split.from_file(path)
    assert (len(split.train()), len(split.val()), len(split.test())) == (14, 2, 10)
    assert (split.subset, split.complete_counts) == (True, {"train": 70, "val": 10, "test": 20})
    slices = {
        labels: sum(prepared.geometry(case).shape[0] for case in prepared.cases_of(split.labelled(labels)))
        for labels in ("n3", "n7", "n14")
    }
    assert slices == {"n3": 68, "n7": 136, "n14": 256}  # the literature's own counts
    published = Cohort.of_raw(SPEC.discover(raw, SPEC.parse_options(None), Faults()))
    assert train_patients(SplitSettings(**settings), published, subset=True) == 14
    with pytest.raises(SplitError, match="74 patients"):
        split_dataset("acdc", tmp_path / "out", settings, tmp_path / "whole.json")
