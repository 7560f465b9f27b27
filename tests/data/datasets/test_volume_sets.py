"""What single 3D data sets do beyond the contract: label values, modalities, parts, incomplete patients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK

from contrastseg.data.faults import Faults
from contrastseg.data.files.formats import read_label
from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.prepare.preparation import prepare_dataset
from contrastseg.data.readers.specs import RawCase
from contrastseg.data.registry import registry
from contrastseg.errors import DataError
from tests import miniatures
from tests.miniatures import mmwhs, pddca


def make(name: str, raw: Path) -> Path:
    miniatures.get(name).make(raw)
    return raw


def discover(name: str, raw: Path, **options: Any) -> list[RawCase]:
    faults, spec = Faults(), registry.get(name)
    found = spec.discover(raw, spec.parse_options(options), faults)
    faults.raise_any()
    return found


def prepare(name: str, raw: Path, **options: Any) -> PreparedDataset:
    prepare_dataset("entry", name, options, {"intensity": "none", "window": None}, raw, raw.parent / "out")
    return PreparedDataset(raw.parent / "out")


def reference(prepared: PreparedDataset, case: str) -> np.ndarray:
    return read_label(prepared.reference_path(case))[0]


def test_btcv_names_patients_as_the_splits_do(tmp_path: Path) -> None:
    found = discover("btcv", make("btcv", tmp_path))
    assert {raw.case: raw.patient for raw in found} == {f"img{n}": n for n in ("0001", "0005", "0022", "0040")}


def test_btcv_labels_are_not_mapped(tmp_path: Path) -> None:
    raw = make("btcv", tmp_path / "raw")
    stored = np.asarray(nibabel.load(raw / "RawData/Training/label/label0022.nii.gz").dataobj).T
    prepared = prepare("btcv", raw)
    assert np.array_equal(reference(prepared, "img0022"), stored)
    assert prepared.info.classes[1:4] == ["spleen", "right kidney", "left kidney"]
    assert registry.get("btcv").preparation.window == (-125, 275)


@pytest.mark.parametrize("name", ["btcv", "segthor", "mmwhs", "amos22", "abdomenct1k"])
def test_files_of_macos_are_no_cases(name: str, tmp_path: Path) -> None:
    raw = make(name, tmp_path / "raw")
    expected = [found.case for found in discover(name, raw)]
    for path in sorted(raw.rglob("*.nii.gz")):
        path.with_name(f"._{path.name}").write_bytes(b"resource fork")
    assert [found.case for found in discover(name, raw)] == expected


def test_mmwhs_values_and_the_misprint(tmp_path: Path) -> None:
    raw = make("mmwhs", tmp_path / "raw")
    prepared = prepare("mmwhs", raw)
    for number in mmwhs.NUMBERS:
        stored = np.asarray(nibabel.load(raw / f"mr_train/mr_train_{number}_label.nii.gz").dataobj).T
        assert (421 in stored) == (number == 1010)
        expected = np.searchsorted([0, *mmwhs.VALUES], np.where(stored == 421, 420, stored))
        assert np.array_equal(reference(prepared, f"mr_train_{number}"), expected)
    assert prepared.info.notes == ["label value 421 read as 420 (1 of 4 cases)"]


def test_mmwhs_never_mixes_modalities(tmp_path: Path) -> None:
    raw = make("mmwhs", tmp_path)
    assert {found.case[:2] for found in discover("mmwhs", raw)} == {"mr"}
    assert {found.case[:2] for found in discover("mmwhs", raw, modality="ct")} == {"ct"}


def test_amos_tells_modalities_by_number_and_keeps_the_parts(tmp_path: Path) -> None:
    raw = make("amos22", tmp_path)
    ct = {found.case: found.part for found in discover("amos22", raw)}
    assert ct == {"amos_0001": "train", "amos_0004": "train", "amos_0410": "train", "amos_0008": "val"}
    mr = {found.case: found.part for found in discover("amos22", raw, modality="mr")}
    assert mr == {"amos_0507": "train", "amos_0540": "val"}


def test_abdomenct1k_images_without_a_mask(tmp_path: Path) -> None:
    raw = make("abdomenct1k", tmp_path / "raw")
    (raw / "Mask/Case_00402.nii.gz").unlink()
    with pytest.raises(DataError, match="no mask"):
        discover("abdomenct1k", raw)
    prepared = prepare("abdomenct1k", raw, unlabelled=True)
    labelled = dict(zip(prepared.index["case"], prepared.index["labelled"], strict=True))
    assert labelled == {"Case_00001": True, "Case_00007": True, "Case_00402": False, "Case_00900": True}


def test_pddca_puts_structures_into_one_map(tmp_path: Path) -> None:
    raw = make("pddca", tmp_path / "raw")
    label = reference(prepare("pddca", raw), "0522c0667")
    for value, name in enumerate(pddca.STRUCTURES, start=1):
        mask = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(raw / f"0522c0667/structures/{name}.nrrd")))
        assert np.array_equal(label == value, mask > 0)


def test_pddca_patients_with_missing_structures(tmp_path: Path) -> None:
    raw = make("pddca", tmp_path / "raw")
    for name in ("Chiasm", "Submandibular_L"):
        (raw / f"0522c0746/structures/{name}.nrrd").unlink()
    with pytest.raises(DataError, match="no mask of Chiasm, Submandibular_L") as caught:
        discover("pddca", raw)
    assert caught.value.case == "0522c0746"
    assert "incomplete" in str(caught.value.remedy)
    whole = prepare("pddca", make("pddca", tmp_path / "whole" / "raw"))
    left = prepare("pddca", raw, incomplete="leave_out")
    assert "0522c0746" not in left.cases
    assert left.info.notes == ["patients without all nine structures are left out (3 of 3 cases)"]
    kept = prepare("pddca", raw, incomplete="background")
    complete = reference(whole, "0522c0746")
    lacking = np.isin(complete, (2, 8))
    assert lacking.any()
    assert np.array_equal(reference(kept, "0522c0746"), np.where(lacking, 0, complete))
    assert kept.info.notes == [
        "left submandibular gland not delineated: background (1 of 4 cases)",
        "optic chiasm not delineated: background (1 of 4 cases)",
    ]


def test_pddca_overlapping_structures_are_noted(tmp_path: Path) -> None:
    raw = make("pddca", tmp_path / "raw")
    folder = raw / "0522c0001/structures"
    (folder / "Chiasm.nrrd").write_bytes((folder / "BrainStem.nrrd").read_bytes())
    prepared = prepare("pddca", raw)
    assert 1 not in reference(prepared, "0522c0001")
    assert prepared.info.notes == ["structures overlap: the later in the order of the classes is kept (1 of 4 cases)"]
