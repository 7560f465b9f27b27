"""Data in nnU-Net's layout: what is read, what is refused, and that a folder's name is not part of what is prepared."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
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
from contrastseg.errors import DataError, UnavailableDataError
from tests.miniatures._files import AFFINE, save_nifti, save_photo
from tests.miniatures._nnunet import describe, make_photos, make_volumes


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return make_photos(tmp_path / "Dataset001_Moles")


@pytest.fixture
def volumes(tmp_path: Path) -> Path:
    return make_volumes(tmp_path / "Dataset002_Scans")


def found(folder: Path) -> list[RawCase]:
    faults = Faults()
    spec = registry.get("nnunet", {"path": str(folder)})
    cases = spec.discover(folder, spec.parse_options({"path": str(folder)}), faults)
    faults.raise_any()
    return cases


def prepare(folder: Path, **rule: Any) -> PreparedDataset:
    output = folder.parent / "prepared" / folder.name
    prepare_dataset("mine", "nnunet", {"path": str(folder)}, rule, folder, output)
    return PreparedDataset(output)


def refused(folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        prepare(folder)
    for fault in getattr(caught.value, "faults", (caught.value,)):
        assert fault.file is not None
        assert fault.remedy
    return str(caught.value)


def test_photographs(photos: Path) -> None:
    spec = registry.get("nnunet", {"path": str(photos)})
    assert (spec.title, spec.spatial_dims, spec.native_format) == ("Moles", 2, "png")
    assert spec.classes == ("background", "mole")
    assert spec.channels == ("R", "G", "B")
    prepared = prepare(photos)
    assert prepared.cases == [f"mole_{number:02d}" for number in range(6)]
    assert prepared.patients == prepared.cases
    case = prepared.load("mole_03")
    assert case.image.shape == (3, 40, 48)
    assert set(np.unique(np.asarray(case.label))) == {0, 1, 255}
    assert prepared.info.unit == "pixel"


def test_volumes_of_two_channels(volumes: Path) -> None:
    prepared = prepare(volumes)
    case = prepared.load("scan2")
    assert case.image.shape == (2, 5, 32, 36)
    assert prepared.info.channels == ["T2", "ADC"]
    reference, spacing, affine = read_label(prepared.reference_path("scan2"))
    original = np.asarray(nibabel.load(volumes / "labelsTr" / "scan2.nii.gz").dataobj).transpose()
    assert np.array_equal(reference, original)
    assert spacing == pytest.approx(nibabel.affines.voxel_sizes(AFFINE)[::-1], rel=1e-5)
    assert affine == case.geometry.affine


@pytest.mark.parametrize("ending", [".nrrd", ".mha", ".nii"])
def test_other_formats_of_volumes_are_the_same_data(volumes: Path, tmp_path: Path, ending: str) -> None:
    for path in volumes.rglob("*.nii.gz"):  # ITK knows no sheared grids
        save_nifti(path, np.asarray(nibabel.load(path).dataobj).transpose(), np.diag([-1.5, -1.5, 9.75, 1.0]))
    other = tmp_path / "Dataset009_Other"
    shutil.copytree(volumes, other)
    describe(other, file_ending=ending)
    for path in other.rglob("*.nii.gz"):
        SimpleITK.WriteImage(SimpleITK.ReadImage(str(path)), str(path).replace(".nii.gz", ending))
        path.unlink()
    first, second = prepare(volumes).load("scan2"), prepare(other).load("scan2")
    assert np.array_equal(first.image, second.image)
    assert np.array_equal(np.asarray(first.label), np.asarray(second.label))
    assert np.allclose(np.asarray(first.geometry.affine), np.asarray(second.geometry.affine), atol=1e-3)


def test_channels_of_photographs_in_a_file_each(photos: Path) -> None:
    describe(photos, channel_names={"0": "visible", "1": "infrared"}, numTraining=1)
    shutil.rmtree(photos / "imagesTr")
    shutil.rmtree(photos / "labelsTr")
    for channel in range(2):
        save_photo(photos / "imagesTr" / f"a_{channel:04d}.png", np.full((6, 7), 50 * channel))
    save_photo(photos / "labelsTr" / "a.png", np.ones((6, 7)))
    assert prepare(photos, intensity="uint8").load("a").image.reshape(2, -1).max(axis=1).tolist() == [0, 50]


def test_the_decathlon_s_own_layout_is_read_too(tmp_path: Path) -> None:
    folder = tmp_path / "Task99_Mine"
    describe(
        folder,
        modality={"0": "FLAIR", "1": "T1w"},
        labels={"0": "background", "1": "edema"},
        numTraining=1,
        training=[{"image": "./imagesTr/b_001.nii.gz", "label": "./labelsTr/b_001.nii.gz"}],
    )
    save_nifti(folder / "imagesTr" / "b_001.nii.gz", np.zeros((2, 3, 8, 9), dtype=np.float32))
    save_nifti(folder / "imagesTr" / "._b_001.nii.gz", np.zeros((2, 2, 2), dtype=np.float32))
    save_nifti(folder / "labelsTr" / "b_001.nii.gz", np.ones((3, 8, 9), dtype=np.float32))
    prepared = prepare(folder)
    assert prepared.info.classes == ["background", "edema"]
    assert prepared.load("b_001").image.shape == (2, 3, 8, 9)


@pytest.mark.parametrize(
    ("names", "rule", "said"),
    [
        (["CT"], "zscore", "percentiles of the foreground"),
        (["noNorm"], "none", "resampled"),
        (["rescale_to_0_1", "rescale_to_0_1"], "minmax", "resampled"),
        (["T1", "rescale_to_0_1"], "zscore", "different rules"),
    ],
)
def test_the_names_of_channels_choose_the_rule_as_in_nnunet_and_differences_are_said(
    volumes: Path, names: list[str], rule: str, said: str
) -> None:
    describe(volumes, channel_names={str(number): name for number, name in enumerate(names)})
    spec = registry.get("nnunet", {"path": str(volumes)})
    assert spec.preparation.intensity == rule
    assert len(set(spec.channels)) == len(names)
    assert any(said in trap for trap in spec.traps)


def test_a_test_part_is_used_where_it_has_labels(tmp_path: Path) -> None:
    folder = make_photos(tmp_path / "Dataset003_Parts", cases=4, tests=2)
    assert registry.get("nnunet", {"path": str(folder)}).splits == ("official",)
    assert {raw.case: raw.part for raw in found(folder)}["mole_04"] == "test"
    assert [raw.part for raw in found(folder)].count("train") == 4
    shutil.rmtree(folder / "labelsTs")
    spec = registry.get("nnunet", {"path": str(folder)})
    assert spec.splits == ()
    assert any("imagesTs has no labelsTs" in trap for trap in spec.traps)
    assert [raw.part for raw in found(folder)] == [None] * 4


def test_patients_come_from_a_table(volumes: Path) -> None:
    rows = [f"scan{number},p{number // 2}" for number in range(6)]
    (volumes / "patients.csv").write_text("\ufeffcase,patient\n" + "\n".join(rows) + "\n", encoding="utf-8")
    assert prepare(volumes).patients == ["p0", "p1", "p2"]
    (volumes / "patients.csv").write_text("case,patient\n" + "\n".join([*rows[1:], rows[1], "scan9,p9", "scan0,"]))
    said = refused(volumes)
    assert "the table has no row for the case" in said
    assert "twice" in said
    assert "without case or patient" in said
    (volumes / "patients.csv").write_text("scan;patient\n")
    assert "expected columns case and patient" in refused(volumes)


def test_moving_the_data_prepares_nothing_again(volumes: Path, tmp_path: Path) -> None:
    first = prepare(volumes).folder
    contents = {path: path.read_bytes() for path in first.rglob("*") if path.is_file()}
    stamps = {path: path.stat().st_mtime_ns for path in contents}
    (tmp_path / "elsewhere").mkdir()
    moved = volumes.rename(tmp_path / "elsewhere" / volumes.name)
    prepare_dataset("mine", "nnunet", {"path": str(moved)}, {}, moved, first)
    assert {path: path.stat().st_mtime_ns for path in first.rglob("*") if path.is_file()} == stamps
    assert not [path for path, content in contents.items() if str(tmp_path).encode() in content]


def test_declaring_another_class_is_another_data_set(volumes: Path) -> None:
    before = (prepare(volumes).folder / "manifest.json").read_bytes()
    describe(volumes, labels={"background": 0, "core": 1, "rim": 2, "rare": 3})
    assert (prepare(volumes).folder / "manifest.json").read_bytes() != before


def test_its_spec_travels_to_worker_processes(photos: Path, tmp_path: Path) -> None:
    spec = registry.get("nnunet", {"path": str(photos)})
    assert pickle.loads(pickle.dumps(spec)) == spec
    prepare_dataset("mine", "nnunet", {"path": str(photos)}, None, photos, tmp_path / "out", workers=2)
    assert PreparedDataset(tmp_path / "out").cases == prepare(photos).cases


def test_without_a_folder() -> None:
    with pytest.raises(DataError, match="named by its folder"):
        registry.get("nnunet")
    with pytest.raises(UnavailableDataError, match="not on this machine"):
        registry.get("nnunet", {"path": "/no/such/folder"})
    with pytest.raises(DataError, match="option of nnunet 'part'"):
        registry.get("nnunet", {"path": ".", "part": 1})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"channel_names": None}, "channel_names"),
        ({"channel_names": {"1": "T2", "2": "ADC"}}, "channel_names"),
        ({"labels": None}, "labels are missing"),
        ({"labels": {"background": 0, "whole": [1, 2], "rim": 2}}, "regions are not supported: whole"),
        ({"labels": {"background": 0, "core": 1, "rim": 3}}, "not 0, 1, 2"),
        ({"labels": {"background": 0, "core": 1, "rim": 1}}, "core have the label 1"),
        ({"labels": {"background": 0, "core": -1}}, "whole number"),
        ({"labels": {"background": 0, "ignore": 1, "rim": 2}}, "not the highest"),
        ({"labels": {"background": 0, "ignore": 1}}, "background"),
        ({"labels": [0, 1]}, "labels are missing"),
        ({"file_ending": ".gif"}, "'.gif'"),
        ({"numTraining": 7}, "numTraining is 7"),
        ({"numTraining": "six"}, "numTraining is 'six'"),
        ({"dataset": {"a": {"images": []}}}, "`dataset`"),
    ],
)
def test_descriptions_that_are_refused(volumes: Path, changes: dict[str, Any], words: str) -> None:
    describe(volumes, **changes)
    assert words in refused(volumes)


def test_every_fault_of_a_description_is_reported_at_once(volumes: Path) -> None:
    describe(volumes, labels=None, file_ending=".xyz", channel_names=None)
    said = refused(volumes)
    assert not [word for word in ("labels", ".xyz", "channel_names") if word not in said]
    (volumes / "dataset.json").write_text("{")
    assert "Expecting property name" in refused(volumes)
    (volumes / "dataset.json").write_text(json.dumps([1]))
    assert "JSON object" in refused(volumes)


def spoil_rename(folder: Path) -> None:
    (folder / "imagesTr/scan1_0001.nii.gz").rename(folder / "imagesTr/scan1_0002.nii.gz")


def spoil_both_channels(folder: Path) -> None:
    for channel in range(2):
        (folder / f"imagesTr/scan1_000{channel}.nii.gz").rename(folder / f"imagesTr/scan_1_000{channel}.nii.gz")


def spoil_second_ending(folder: Path) -> None:
    save_nifti(folder / "labelsTr" / "scan1.nii", np.zeros((2, 2, 2), dtype=np.uint8))


def spoil_value(folder: Path) -> None:
    save_nifti(folder / "labelsTr" / "scan1.nii.gz", np.full((5, 32, 36), 9, dtype=np.uint8))


def spoil_channel_shape(folder: Path) -> None:
    save_nifti(folder / "imagesTr" / "scan1_0001.nii.gz", np.zeros((4, 32, 36), dtype=np.float32))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda folder: (folder / "imagesTr/scan1_0001.nii.gz").unlink(), "2 channels (T2, ADC) are declared"),
        (spoil_rename, "there is scan1_0000.nii.gz, scan1_0002.nii.gz"),
        (spoil_both_channels, "the label has no image"),
        (lambda folder: shutil.rmtree(folder / "labelsTr"), "the folder does not exist"),
        (lambda folder: (folder / "imagesTr/scan1_0000.nii.gz").write_bytes(b""), "empty"),
        (spoil_second_ending, "does not end in .nii.gz"),
        (spoil_value, "label values [9]"),
        (spoil_channel_shape, "grids differ"),
    ],
)
def test_faulty_files(volumes: Path, spoil: Callable[[Path], object], words: str) -> None:
    spoil(volumes)
    assert words in refused(volumes)


def test_255_means_what_the_description_says_and_following_the_remedy_helps(photos: Path) -> None:
    masks = sorted((photos / "labelsTr").iterdir())
    kept = {path: read_label(path)[0] for path in masks}

    def write(structure: int, spot: int) -> None:
        for path, label in kept.items():
            save_photo(path, np.choose(label, [0, structure, spot]))

    describe(photos, labels={"background": 0, "mole": 1})
    write(255, 0)
    said = refused(photos)
    assert "label values [255] are none of those declared: 0, 1; nothing declares 255" in said
    assert "write 1 where the label holds 255" in said
    write(1, 0)
    assert set(np.unique(np.asarray(prepare(photos).load("mole_03").label))) == {0, 1}
    write(1, 255)
    assert "declare `ignore` as the last label" in refused(photos)
    describe(photos, labels={"background": 0, "mole": 1, "ignore": 2})
    assert "label values [255]" in refused(photos)
    write(1, 2)
    assert set(np.unique(np.asarray(prepare(photos).load("mole_03").label))) == {0, 1, 255}
    write(0, 2)
    assert "all 6 are empty" in refused(photos)


def test_a_compressed_mask_is_refused_with_its_threshold_and_following_the_remedy_helps(photos: Path) -> None:
    describe(photos, labels={"background": 0, "mole": 1})
    masks = sorted((photos / "labelsTr").iterdir())
    truth = {path: read_label(path)[0] == 1 for path in masks}
    for path, mask in truth.items():
        save_photo(path.with_suffix(".jpg"), 255 * mask)
        path.with_suffix(".jpg").rename(path)  # readers go by content
    said = refused(photos)
    assert "write 1 where the mask is above 127 and 0 elsewhere" in said
    for path in masks:
        save_photo(path, read_label(path)[0] > 127)
    label = np.asarray(prepare(photos).load("mole_03").label)
    assert np.mean(label != truth[photos / "labelsTr" / "mole_03.png"]) < 0.01


def test_a_declared_class_keeps_its_value_where_no_other_occurs(volumes: Path) -> None:
    for path in (volumes / "labelsTr").iterdir():
        label, _, _ = read_label(path)
        save_nifti(path, np.where(label == 2, 2, 0).astype(np.uint8))
    assert set(np.unique(np.asarray(prepare(volumes).load("scan2").label))) == {0, 2}


def test_photographs_that_do_not_have_the_declared_channels(photos: Path) -> None:
    save_photo(photos / "imagesTr" / "mole_01_0000.png", np.zeros((40, 48)))
    assert "1 channels, dataset.json declares 3" in refused(photos)
    describe(photos, channel_names={"0": "grey"})
    assert "3 channels, dataset.json declares 1" in refused(photos)


def test_a_case_in_both_parts(tmp_path: Path) -> None:
    folder = make_photos(tmp_path / "Dataset004_Twice", cases=3, tests=1)
    for kind, name in (("images", "mole_03_0000.png"), ("labels", "mole_03.png")):
        twin = name.replace("03", "01")
        (folder / f"{kind}Ts" / name).rename(folder / f"{kind}Ts" / twin)
    assert "also as imagesTr" in refused(folder)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({"background": 0, "mean": 1}, "a class is called 'mean', which stands for the mean over classes"),
        ({"air": 0, "background": 1}, "a class is called 'background', which stands for the label 0"),
        ({"background": 0, " ": 1}, "a class has a blank name"),
        ({"0": "background", "1": "mean"}, "a class is called 'mean'"),
    ],
)
def test_reserved_names_of_classes_are_refused_at_the_door(photos: Path, labels: dict[str, Any], said: str) -> None:
    description = json.loads((photos / "dataset.json").read_text())
    written = description["labels"]
    (photos / "dataset.json").write_text(json.dumps(description | {"labels": labels}))
    assert said in refused(photos)
    # The remedy: another name, and the label files as they are.
    (photos / "dataset.json").write_text(json.dumps(description | {"labels": written}))
    assert prepare(photos).num_classes == 2
