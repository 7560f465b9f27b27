"""Images without a label among one's own data: material for training, never scored, on their patient's side."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrastseg.data.faults import Faults
from contrastseg.data.inspect.dataset_check import check_dataset
from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.prepare.preparation import prepare_dataset
from contrastseg.data.readers.specs import RawCase
from contrastseg.data.registry import nnunet
from contrastseg.data.settings import SplitSettings
from contrastseg.data.splits.cohort import Cohort
from contrastseg.data.splits.split_files import Split
from contrastseg.data.splits.splits import Population, make_split, population_of, split_dataset
from contrastseg.errors import DataError, SplitError
from tests.miniatures._files import save_nifti
from tests.miniatures._nnunet import describe, make_photos, make_volumes

LABELLED, BARE, APART = 6, 10, 4


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six moles with a label, ten without in imagesTr and four in imagesUn."""
    folder = make_photos(tmp_path / "Dataset001_Moles", cases=LABELLED + BARE + APART)
    for number in range(LABELLED, LABELLED + BARE + APART):
        (folder / f"labelsTr/mole_{number:02d}.png").unlink()
    (folder / "imagesUn").mkdir()
    for number in range(LABELLED + BARE, LABELLED + BARE + APART):
        (folder / f"imagesTr/mole_{number:02d}_0000.png").rename(folder / f"imagesUn/mole_{number:02d}_0000.png")
    describe(folder, numTraining=LABELLED)
    return folder


def options(folder: Path, **more: Any) -> dict[str, Any]:
    return {"path": str(folder), **more}


def found(folder: Path, **more: Any) -> dict[str, RawCase]:
    spec = nnunet.spec_of(options(folder, **more))
    faults = Faults()
    cases = spec.discover(folder, spec.parse_options(options(folder, **more)), faults)
    faults.raise_any()
    return {raw.case: raw for raw in cases}


def prepared(folder: Path) -> PreparedDataset:
    output = folder.parent / "prepared"
    prepare_dataset("mine", "nnunet", options(folder), {"size": [32, 32]}, folder, output)
    return PreparedDataset(output)


def split_of(dataset: PreparedDataset, **settings: Any) -> Split:
    return Split.from_file(split_dataset("mine", dataset.folder, settings, dataset.folder.parent / "split.json"))


def test_images_without_a_label_are_prepared_without_one(folder: Path) -> None:
    dataset = prepared(folder)
    assert len(dataset.cases) == LABELLED + BARE + APART
    assert int(dataset.index["labelled"].sum()) == LABELLED
    bare = dataset.load("mole_18")
    assert (bare.label, bare.image.shape) == (None, (3, 32, 32))
    assert not dataset.reference_path("mole_18").exists()
    assert dataset.info.source["unlabelled"] == BARE + APART
    assert dataset.cases_of(dataset.patients, labelled=True) == [f"mole_{n:02d}" for n in range(LABELLED)]


def test_volumes_of_several_channels_without_a_label(tmp_path: Path) -> None:
    folder = make_volumes(tmp_path / "Dataset002_Scans", cases=5)
    (folder / "labelsTr/scan4.nii.gz").unlink()
    output = tmp_path / "out"
    prepare_dataset("mine", "nnunet", options(folder), {}, folder, output)
    case = PreparedDataset(output).load("scan4")
    assert (case.label, case.image.shape) == (None, (2, 5, 32, 36))


def test_parts_and_budgets_go_by_labelled_patients(folder: Path) -> None:
    split = split_of(prepared(folder), fractions={"train": 0.5, "val": 0.17, "test": 0.33})
    named = [patient for part in ("train", "val", "test") for patient in split.folds[0][part]]
    assert sorted(named) == [f"mole_{number:02d}" for number in range(LABELLED)]
    assert (len(split.train()), len(split.val()), len(split.test())) == (3, 1, 2)
    assert (len(split.labelled("r1")), len(split.labelled("r0.5")), len(split.labelled("n3"))) == (3, 1, 3)
    with pytest.raises(SplitError, match="the training part has 3"):
        split.labelled("n4")
    assert split.unlabelled == tuple(f"mole_{number:02d}" for number in range(LABELLED, LABELLED + BARE + APART))


def test_the_split_of_labelled_patients_is_the_same_without_the_others(folder: Path) -> None:
    with_others = split_of(prepared(folder))
    shutil.rmtree(folder / "imagesUn")
    for number in range(LABELLED, LABELLED + BARE):
        (folder / f"imagesTr/mole_{number:02d}_0000.png").unlink()
    alone = split_of(prepared(folder))
    assert (alone.folds, alone.orders, alone.hash) == (with_others.folds, with_others.orders, with_others.hash)
    assert alone.unlabelled == ()
    assert "unlabelled" not in json.loads((folder.parent / "split.json").read_text())
    assert "unlabelled" not in prepared(folder).info.source


def test_what_is_there_is_known_before_anything_is_prepared(folder: Path) -> None:
    spec = nnunet.spec_of(options(folder))
    settings = SplitSettings(fractions={"train": 0.5, "val": 0.0, "test": 0.5})
    known = population_of(settings, Cohort.of_raw(spec.discover(folder, spec.parse_options(options(folder)), Faults())))
    assert known == Population(
        train=3, labelled=LABELLED, unlabelled=BARE + APART, usable=BARE + APART, each=known.each
    )


@given(
    labels=st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=12, max_size=40),
    folds=st.integers(2, 4),
    seed=st.integers(0, 99),
)
def test_no_image_of_a_patient_crosses_to_the_other_side(labels: list[tuple[int, bool]], folds: int, seed: int) -> None:
    rows = [(f"c{number}", f"p{patient}", labelled) for number, (patient, labelled) in enumerate(labels)]
    cohort = Cohort.of_raw([RawCase(case, patient, labelled=labelled) for case, patient, labelled in rows])
    with_label = {patient for _, patient, labelled in rows if labelled}
    if len(with_label) < 4:
        return
    value = make_split(
        "x", cohort, SplitSettings(folds=folds, fractions={"train": 0.9, "val": 0, "test": 0.1}, seed=seed)
    )
    assert set(value.get("unlabelled", [])) == {patient for _, patient, _ in rows} - with_label
    for fold in value["folds"]:
        assert set(fold["train"]) | set(fold["test"]) == with_label
        usable = set(cohort.unlabelled_cases(fold["train"]))
        held_out = {case for case, patient, _ in rows if patient in fold["test"]}
        assert not usable & held_out
        assert usable | held_out >= {case for case, _, labelled in rows if not labelled}


def test_images_of_a_patient_with_labels_stay_on_that_patient_s_side(folder: Path) -> None:
    rows = [f"mole_{number:02d},p{number % LABELLED}" for number in range(LABELLED + BARE)]
    rows += [f"mole_{number:02d},apart" for number in range(LABELLED + BARE, LABELLED + BARE + APART)]
    (folder / "patients.csv").write_text("case,patient\n" + "\n".join(rows) + "\n")
    dataset = prepared(folder)
    split = split_of(dataset, fractions={"train": 0.5, "val": 0.0, "test": 0.5})
    assert split.unlabelled == ("apart",)
    seen = check_dataset(folder)
    assert [(one.kind, len(one.cases)) for one in seen.warnings if one.kind == "unlabelled"] == [
        ("unlabelled", BARE + APART),
        ("unlabelled", BARE),
    ]
    known = Population.of(Cohort.of_prepared(dataset), split.train())
    bare = dataset.cases_of(split.train(), labelled=False)
    assert known.usable == len(bare) + APART < BARE + APART


def test_labels_can_be_required(folder: Path) -> None:
    strict = {"unlabelled": "require_labels"}
    faults = check_dataset(folder, options=strict).faults
    assert {fault.case for fault in faults} == {f"mole_{number:02d}" for number in range(LABELLED, LABELLED + BARE)}
    assert check_dataset(folder).faults == ()
    for number in range(LABELLED, LABELLED + BARE):  # one of the two remedies
        image = f"mole_{number:02d}_0000.png"
        (folder / "imagesTr" / image).rename(folder / "imagesUn" / image)
    assert len(found(folder, **strict)) == LABELLED
    assert len(found(folder)) == LABELLED + BARE + APART


@pytest.mark.parametrize("count", [LABELLED, LABELLED + BARE, None])
def test_the_number_of_cases_may_count_images_or_labels(folder: Path, count: int | None) -> None:
    describe(folder, numTraining=count)
    assert len(found(folder)) == LABELLED + BARE + APART


def test_a_number_of_cases_that_counts_neither_is_a_fault(folder: Path) -> None:
    describe(folder, numTraining=LABELLED + 1)
    with pytest.raises(DataError, match="6 cases with a label, and 10 without") as caught:
        found(folder)
    assert f'"numTraining": {LABELLED}`' in str(caught.value.remedy)


def test_a_label_whose_image_has_another_name_is_no_unlabelled_image(folder: Path) -> None:
    (folder / "labelsTr/mole_03.png").rename(folder / "labelsTr/mole-03.png")
    with pytest.raises(DataError, match="the label has no image") as caught:
        found(folder)
    assert "mole_03" in str(caught.value.remedy)


def test_the_same_name_in_both_folders(folder: Path) -> None:
    shutil.copy(folder / "imagesTr/mole_02_0000.png", folder / "imagesUn")
    with pytest.raises(DataError, match="also as imagesTr"):
        found(folder)


def test_a_test_part_needs_labels_and_holds_no_unlabelled_case(tmp_path: Path) -> None:
    folder = make_photos(tmp_path / "Dataset003_Parts", cases=6, tests=2)
    (folder / "labelsTr/mole_05.png").unlink()
    describe(folder, numTraining=None)
    shutil.copytree(folder / "imagesTs", folder / "imagesUn")
    for path in (folder / "imagesUn").iterdir():  # copies of what is tested on, under other names
        path.rename(path.with_name(f"copy_{path.name}"))
    cases = found(folder)
    assert [raw.part for raw in cases.values() if raw.labelled] == ["train"] * 5 + ["test"] * 2
    dataset = prepared(folder)
    split = split_of(dataset, name="official")
    assert sorted(split.test()) == ["mole_06", "mole_07"]
    assert split.unlabelled == ("copy_mole_06", "copy_mole_07", "mole_05")
    duplicates = [one for one in check_dataset(folder).warnings if one.kind == "duplicate"]
    assert [one.cases for one in duplicates] == [("mole_06", "copy_mole_06"), ("mole_07", "copy_mole_07")]
    (folder / "labelsTs/mole_06.png").unlink()
    with pytest.raises(DataError, match="the image has no label"):
        found(folder)


def test_files_of_all_channels_with_numbers_of_their_own(tmp_path: Path) -> None:
    """The Decathlon's names: `heart_0003` without a label is no third channel of a case `heart`."""
    folder = tmp_path / "Task99_Mine"
    describe(folder, modality={"0": "MR"}, labels={"0": "background", "1": "atrium"})
    for number in range(4):
        save_nifti(folder / "imagesTr" / f"heart_{number:04d}.nii.gz", np.full((2, 3, 4), number, dtype=np.float32))
        if number < 3:
            save_nifti(folder / "labelsTr" / f"heart_{number:04d}.nii.gz", np.ones((2, 3, 4), dtype=np.uint8))
    save_nifti(folder / "imagesUn" / "heart_0007.nii.gz", np.zeros((2, 3, 4), dtype=np.float32))
    assert {raw.case: raw.labelled for raw in found(folder).values()} == {
        "heart_0000": True,
        "heart_0001": True,
        "heart_0002": True,
        "heart_0003": False,
        "heart_0007": False,
    }


def test_a_folder_of_images_alone(tmp_path: Path) -> None:
    folder = make_photos(tmp_path / "Dataset004_Bare", cases=3)
    (folder / "imagesTr").rename(folder / "imagesUn")
    shutil.rmtree(folder / "labelsTr")
    describe(folder, numTraining=0)
    dataset = prepared(folder)
    split = split_of(dataset)
    assert (split.train(), split.test(), len(split.unlabelled)) == ([], [], 3)
    with pytest.raises(SplitError, match="no training patients with labels"):
        split.labelled("n1")
    assert [one.cases for one in check_dataset(folder).warnings if one.kind == "unlabelled"] == [
        ("mole_00", "mole_01", "mole_02")
    ]


def test_a_label_that_is_added_prepares_its_case_again(folder: Path) -> None:
    assert prepared(folder).load("mole_06").label is None
    shutil.copy(folder / "labelsTr/mole_00.png", folder / "labelsTr/mole_06.png")
    describe(folder, numTraining=LABELLED + 1)
    dataset = prepared(folder)
    assert dataset.load("mole_06").label is not None
    assert "mole_06" not in split_of(dataset).unlabelled


def with_table(folder: Path, *more: str) -> None:
    names = {path.name.removesuffix("_0000.png") for path in folder.glob("images*/*.png")} | set(more)
    (folder / "patients.csv").write_text("case,patient\n" + "".join(f"{name},p{name}\n" for name in sorted(names)))


def test_a_table_may_name_the_images_that_the_strict_reading_leaves_aside(folder: Path) -> None:
    for number in range(LABELLED, LABELLED + BARE):
        (folder / f"imagesTr/mole_{number:02d}_0000.png").unlink()
    with_table(folder)
    assert len(found(folder)) == LABELLED + APART
    strict = found(folder, unlabelled="require_labels")
    assert {raw.patient for raw in strict.values()} == {f"pmole_{number:02d}" for number in range(LABELLED)}
    with_table(folder, "mole_99")
    with pytest.raises(DataError, match="a case that is not there") as error:
        found(folder, unlabelled="require_labels")
    assert error.value.case == "mole_99"


def test_a_case_whose_files_are_at_fault_keeps_its_row(folder: Path) -> None:
    with_table(folder)
    (folder / "imagesUn/mole_17_0000.png").rename(folder / "imagesUn/mole_17_0001.png")  # one file of three
    (folder / "imagesUn/mole_18_0000.png").rename(folder / "imagesUn/mole_18_0000.gif")
    assert sorted(fault.reason.split()[0] for fault in check_dataset(folder).faults) == ["3", "the"]


def test_a_number_of_any_length_may_stand_in_the_table(folder: Path) -> None:
    with_table(folder, "1" * 5000)
    with pytest.raises(DataError, match="a case that is not there"):
        found(folder)
