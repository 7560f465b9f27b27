"""Pancreas-CT: whose label lies where, and who is left out."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from contrastseg.data.files.formats import read_label
from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.prepare.preparation import prepare_dataset
from contrastseg.errors import DataError
from tests.miniatures import pancreas_ct as small

CASE = "PANCREAS_0003"
LABEL = f"{small.LABELS}/label0003.nii.gz"


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    small.make(tmp_path / "raw")
    return tmp_path / "raw"


def prepare(raw: Path) -> PreparedDataset:
    rule = {"intensity": "none", "window": None, "spacing": None}
    prepare_dataset("entry", "pancreas_ct", None, rule, raw, raw.parent / "out")
    return PreparedDataset(raw.parent / "out")


def notes(prepared: PreparedDataset) -> str:
    return "\n".join(prepared.info.notes)


def test_slices_become_a_volume_in_hounsfield_units(raw: Path) -> None:
    case = prepare(raw).load(CASE)
    image, label = small.boxes((small.SLICES, 20, 17), 3, (1,))
    assert np.array_equal(case.image[0], np.rint(image * 60 - 100))
    assert np.array_equal(case.label, label)
    assert case.geometry.native_spacing == pytest.approx(small.SPACING)
    assert np.allclose(case.geometry.affine, small.AFFINE)


def test_withdrawn_cases_are_left_out_and_noted(raw: Path) -> None:
    prepared = prepare(raw)
    assert prepared.patients == [f"{number:04d}" for number in (1, 2, 3, 82)]
    assert "cases 25 and 70, crops of this scan, are left out (1 of 4 cases)" in prepared.info.notes


@pytest.mark.parametrize("axes", ["LPS", "LAS", "RAS", "PLS", "LPI"])
def test_a_label_is_turned_by_its_header_onto_the_ct(raw: Path, axes: str) -> None:
    expected, _, _ = read_label(prepare(raw).reference_path(CASE))
    image = nibabel.load(raw / LABEL)
    turn = nibabel.orientations.ornt_transform(
        nibabel.orientations.io_orientation(image.affine), nibabel.orientations.axcodes2ornt(axes)
    )
    nibabel.save(image.as_reoriented(turn), raw / LABEL)
    prepared = prepare(raw)
    assert np.array_equal(read_label(prepared.reference_path(CASE))[0], expected)
    assert "position" not in notes(prepared)


def test_a_label_without_an_orientation_is_in_the_order_of_the_slices(raw: Path) -> None:
    expected, _, _ = read_label(prepare(raw).reference_path(CASE))
    image = nibabel.load(raw / LABEL)
    image.header["sform_code"] = image.header["qform_code"] = 0
    plain = nibabel.Nifti1Image(np.asarray(image.dataobj), None, image.header)
    plain.header["sform_code"] = plain.header["qform_code"] = 0
    nibabel.save(plain, raw / LABEL)
    prepared = prepare(raw)
    assert np.array_equal(read_label(prepared.reference_path(CASE))[0], expected)
    assert "no orientation: taken in the order of the DICOM files (1 of 4 cases)" in notes(prepared)


def test_another_position_is_noted(raw: Path) -> None:
    image = nibabel.load(raw / LABEL)
    affine = image.affine.copy()
    affine[:3, 3] += 7
    nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj), affine), raw / LABEL)
    assert "the label's header has another position than the CT's (1 of 4 cases)" in notes(prepare(raw))


def test_a_lacking_last_slice_is_seen_by_the_label(raw: Path) -> None:
    (raw / small.folder(3) / "1-001.dcm").unlink()
    with pytest.raises(DataError, match=r"image has shape \(5, 20, 17\), its label \(6, 20, 17\)") as caught:
        prepare(raw)
    assert caught.value.case == CASE
