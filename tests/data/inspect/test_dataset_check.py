"""What `contrastseg check` finds: all faults at once, and what a careful colleague would mention."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from typer.testing import CliRunner

from contrastseg.cli import app
from contrastseg.data.inspect.dataset_check import DatasetCheck, check_dataset
from contrastseg.errors import DataError
from tests import miniatures
from tests.miniatures._files import AFFINE, boxes, save_nifti, save_photo
from tests.miniatures._nnunet import describe, make_photos, make_volumes


def about(found: DatasetCheck, kind: str) -> list[tuple[str, ...]]:
    return [item.cases for item in found.warnings if item.kind == kind]


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    return make_volumes(tmp_path / "Dataset001_Sound", cases=12)


def replace(folder: Path, case: str, image: np.ndarray, label: np.ndarray, affine: np.ndarray = AFFINE) -> None:
    for channel, array in enumerate(image):
        save_nifti(folder / "imagesTr" / f"{case}_{channel:04d}.nii.gz", array, affine)
    save_nifti(folder / "labelsTr" / f"{case}.nii.gz", label.astype(np.uint8), affine)


def test_a_sound_folder(sound: Path) -> None:
    calls = []
    before = {path: path.stat().st_mtime_ns for path in sound.rglob("*")}
    found = check_dataset(sound, progress=lambda done, total: calls.append((done, total)))
    assert (found.dataset, found.cases, found.patients, found.faults) == ("nnunet", 12, 12, ())
    assert {item.kind for item in found.warnings} == {"trap", "slices", "determinant"} - (
        set() if np.linalg.det(AFFINE[:3, :3]) < 0 else {"determinant"}
    )
    assert calls == [(number, 12) for number in range(1, 13)]
    assert {path: path.stat().st_mtime_ns for path in sound.rglob("*")} == before


def test_a_header_whose_spacing_and_affine_disagree_is_named(sound: Path) -> None:
    file = sound / "imagesTr" / "scan3_0000.nii.gz"
    content = bytearray(gzip.decompress(file.read_bytes()))
    thickness = slice(76 + 3 * 4, 76 + 4 * 4)  # pixdim[3] of the NIfTI-1 header
    content[thickness] = (2 * np.frombuffer(content[thickness], "<f4")).tobytes()
    file.write_bytes(gzip.compress(content))
    assert about(check_dataset(sound), "pixdim") == [("scan3",)]


def test_every_fault_is_found_in_one_go(sound: Path) -> None:
    image, label = boxes((5, 32, 36), 1, values=(1, 2), channels=2)
    image[0, 0, 0, 0] = np.nan
    replace(sound, "scan1", image, label)
    (sound / "imagesTr" / "scan2_0001.nii.gz").unlink()
    (sound / "labelsTr" / "scan3.nii.gz").unlink()
    (sound / "imagesTr" / "scan4_0000.nii.gz").write_bytes(b"no image")
    image, label = boxes((5, 30, 36), 1, values=(1, 2), channels=2)
    save_nifti(sound / "labelsTr" / "scan5.nii.gz", label.astype(np.uint8))
    found = check_dataset(sound, options={"unlabelled": "require_labels"})
    assert [fault.case for fault in found.faults] == ["scan1", "scan2", "scan3", "scan4", "scan5"]
    assert all(fault.file is not None and fault.remedy for fault in found.faults)
    assert (found.cases, found.unlabelled) == (8, 0)
    found = check_dataset(sound)
    assert [fault.case for fault in found.faults] == ["scan1", "scan2", "scan4", "scan5"]
    assert (found.cases, found.unlabelled) == (9, 1)


def test_several_faults_of_one_case_are_all_named(tmp_path: Path) -> None:
    folder = tmp_path / "ACDC"
    miniatures.get("acdc").make(folder)
    small = miniatures.get("acdc")
    image, label = boxes((4, 20, 17), 3)
    image[1, 1, 1] = np.inf
    save_nifti(folder / small.image, image)
    save_nifti(folder / str(small.mask), (label * 70).astype(np.uint8))
    found = check_dataset(folder)
    assert found.dataset == "acdc"
    assert [fault.case for fault in found.faults] == [small.victim, small.victim]
    assert [fault.file for fault in found.faults] == [folder / small.image, folder / str(small.mask)]
    assert found.cases == len(small.cases)


def test_oddities_of_content(sound: Path) -> None:
    image, label = boxes((5, 32, 36), 1, values=(1, 2), channels=2)
    replace(sound, "scan1", image, np.zeros_like(label))
    for channel in range(2):
        first, second = (sound / "imagesTr" / f"scan{number}_{channel:04d}.nii.gz" for number in (2, 3))
        stored = nibabel.load(first)
        values = np.rint(100 * np.random.default_rng(0).random(stored.shape))
        # The same image as another type, and so in other bytes.
        for path, kind in ((first, np.float32), (second, np.int16)):
            nibabel.save(nibabel.Nifti1Image(values.astype(kind), stored.affine), path)
    replace(sound, "scan4", np.ones_like(image), label)
    describe(sound, labels={"background": 0, "core": 1, "rim": 2, "rare": 3})
    found = check_dataset(sound)
    assert found.faults == ()
    assert about(found, "empty") == [("scan1",)]
    assert about(found, "duplicate") == [("scan2", "scan3")]
    assert about(found, "constant") == [("scan4",), ("scan4",)]
    assert [item.text for item in found.warnings if item.kind == "absent class"] == ["no case has rare (3)"]


def test_oddities_of_geometry(sound: Path) -> None:
    image, label = boxes((20, 32, 36), 1, values=(1, 2), channels=2)
    replace(sound, "scan1", image, label)
    image, label = boxes((5, 32, 36), 2, values=(1, 2), channels=2)
    replace(sound, "scan2", image, label, AFFINE @ np.diag([1.0, 1.0, 4.0, 1.0]))
    replace(sound, "scan3", image + 1, label, AFFINE @ np.diag([-1.0, 1.0, 1.0, 1.0]))
    found = check_dataset(sound)
    assert found.faults == ()
    assert about(found, "size") == [("scan1",)]
    assert about(found, "spacing") == [("scan2",)]
    assert about(found, "orientation") == [("scan3",)]
    assert len(about(found, "resampling")) == 1
    mirrored = about(found, "determinant")[0]
    assert ("scan3" in mirrored) != (len(mirrored) > 1)


@pytest.mark.parametrize(("channel", "seen"), [("CT", True), ("T2", False), ("ct", True), ("Fact", False)])
def test_a_windowed_ct(sound: Path, channel: str, seen: bool) -> None:
    describe(sound, channel_names={"0": channel, "1": "PET"})
    assert bool(about(check_dataset(sound), "windowed")) == seen


@pytest.mark.parametrize(
    ("names", "seen"),
    [
        (["p01_visit1", "p01_visit2", "p02_visit1"], {"p01_visit1", "p01_visit2"}),
        (["p01_pre", "p01_post", "p02_pre", "p02_post"], {"p01_pre", "p01_post", "p02_pre", "p02_post"}),
        (["p01_1", "p01_2", "p02_1"], {"p01_1", "p01_2"}),
        (["liver_1", "liver_2", "liver_3"], set()),
        (["study2020_1", "study2020_2", "study2020_3"], set()),
        (["a", "b", "c"], set()),
    ],
)
def test_names_that_look_like_visits(tmp_path: Path, names: list[str], seen: set[str]) -> None:
    folder = make_photos(tmp_path / "Dataset005_Visits", cases=len(names))
    for number, name in enumerate(names):
        (folder / f"imagesTr/mole_{number:02d}_0000.png").rename(folder / f"imagesTr/{name}_0000.png")
        (folder / f"labelsTr/mole_{number:02d}.png").rename(folder / f"labelsTr/{name}.png")
    found = check_dataset(folder)
    assert {case for cases in about(found, "visits") for case in cases} == seen
    assert about(found, "few") == [()]
    (folder / "patients.csv").write_text("case,patient\n" + "".join(f"{name},{name[:3]}\n" for name in names))
    if seen:
        assert not about(check_dataset(folder), "visits")


def test_whose_layout_it_is(tmp_path: Path) -> None:
    (tmp_path / "stuff").mkdir()
    with pytest.raises(DataError, match="neither a data set's folder"):
        check_dataset(tmp_path / "stuff")
    with pytest.raises(DataError, match="folder not found"):
        check_dataset(tmp_path / "nowhere")
    with pytest.raises(DataError, match="unknown data set 'acdcc'"):
        check_dataset(tmp_path / "stuff", "acdcc")
    miniatures.get("acdc").make(tmp_path / "heart")
    assert check_dataset(tmp_path / "heart", "acdc").cases == len(miniatures.get("acdc").cases)
    (tmp_path / "broken" / "imagesTr").mkdir(parents=True)
    (fault,) = check_dataset(tmp_path / "broken").faults
    assert fault.file == tmp_path / "broken" / "dataset.json"


def test_the_command(sound: Path) -> None:
    done = CliRunner().invoke(app, ["check", str(sound)])
    assert done.exit_code == 0
    assert "12 cases of 12 patients" in done.stdout
    assert "no faults" in done.stdout
    assert "spacing: [z, y, x]" in done.stdout
    save_photo(sound / "imagesTr" / "stray.png", np.zeros((4, 4)))
    (sound / "labelsTr" / "scan1.nii.gz").unlink()
    strict = ["--config", '{"options": {"unlabelled": "require_labels"}}']
    done = CliRunner().invoke(app, ["check", str(sound), *strict])
    assert done.exit_code == 1
    assert "2 faults" in done.stdout
    done = CliRunner().invoke(app, ["check", str(sound), *strict, "--json"])
    assert done.exit_code == 1
    value = json.loads(done.stdout)
    assert {fault["case"] for fault in value["faults"]} == {None, "scan1"}
    assert all(fault["reason"] and fault["remedy"] and fault["file"] for fault in value["faults"])


def test_beside_faults_nothing_is_said_of_the_number_of_cases(tmp_path: Path) -> None:
    folder = make_photos(tmp_path / "Dataset001_Photos")
    assert {"few"} <= {item.kind for item in check_dataset(folder).warnings}
    for label in sorted((folder / "labelsTr").iterdir()):
        label.rename(label.with_suffix(".gif"))
    found = check_dataset(folder)
    assert found.faults
    assert not {"few", "unlabelled", "absent class"} & {item.kind for item in found.warnings}
