"""Faults of one's own data: each remedy is followed as it is printed, and the data can then be prepared."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from PIL import Image

from contrastseg.data.faults import Faults, FaultyCasesError, group_faults
from contrastseg.data.files.itk import keeping_locale
from contrastseg.data.inspect.dataset_check import check_dataset
from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.prepare.preparation import prepare_dataset
from contrastseg.data.readers.layouts import find
from contrastseg.errors import DataError
from tests.miniatures._files import save_nifti, save_photo
from tests.miniatures._nnunet import describe, make_photos, make_volumes

STRAIGHT = np.diag([-1.5, -1.5, 9.75, 1.0])  # ITK knows no sheared grids


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return make_photos(tmp_path / "Dataset001_Moles")


@pytest.fixture
def volumes(tmp_path: Path) -> Path:
    folder = make_volumes(tmp_path / "Dataset002_Scans")
    for path in folder.rglob("*.nii.gz"):
        save_nifti(path, np.asarray(nibabel.load(path).dataobj).transpose(), STRAIGHT)
    return folder


def prepared(folder: Path) -> PreparedDataset:
    output = folder.parent / "prepared"
    prepare_dataset("mine", "nnunet", {"path": str(folder)}, None, folder, output)
    return PreparedDataset(output)


def fault(folder: Path) -> DataError:
    """The only fault of a folder."""
    (found,) = check_dataset(folder).faults
    assert found.remedy
    assert "published" not in found.remedy.replace("made or published", "").replace("published or exported", "")
    return found


def snippets(text: str | None) -> list[str]:
    return re.findall(r"`([^`]*)`", str(text))


def run(code: str) -> None:
    with keeping_locale():
        exec(code, {"sitk": SimpleITK})


def not_read(folder: Path) -> dict[str, tuple[str, ...]]:
    found = check_dataset(folder).warnings
    return {one.text.partition(": ")[2]: one.cases for one in found if one.kind == "not read"}


def test_a_cropped_label_is_resampled_onto_its_image(volumes: Path) -> None:
    path = volumes / "labelsTr/scan2.nii.gz"
    whole = SimpleITK.ReadImage(str(path))
    SimpleITK.WriteImage(whole[1:35, 1:31, 1:5], str(path))
    found = fault(volumes)
    assert "shape" in found.reason
    run(snippets(found.remedy)[0])
    label = prepared(volumes).load("scan2").label
    assert np.array_equal(np.asarray(label), SimpleITK.GetArrayFromImage(whole))


@pytest.mark.parametrize("moved", [(0.0, 40.0, 0.0), (500.0, 0.0, 0.0)])
def test_a_label_with_a_wrong_header_gets_its_image_s(volumes: Path, moved: tuple[float, ...]) -> None:
    path = volumes / "labelsTr/scan2.nii.gz"
    whole = SimpleITK.ReadImage(str(path))
    whole.SetOrigin([here + there for here, there in zip(whole.GetOrigin(), moved, strict=True)])
    SimpleITK.WriteImage(whole, str(path))
    resample, copy = snippets(fault(volumes).remedy)
    reading = resample.partition("sitk.WriteImage")[0]
    run(f"{reading}{copy}")
    label = prepared(volumes).load("scan2").label
    assert np.array_equal(np.asarray(label), SimpleITK.GetArrayFromImage(whole))


def test_channels_on_different_grids(volumes: Path) -> None:
    path = volumes / "imagesTr/scan2_0001.nii.gz"
    SimpleITK.WriteImage(SimpleITK.ReadImage(str(path))[:, 2:, :], str(path))
    run(snippets(fault(volumes).remedy)[0])
    assert prepared(volumes).load("scan2").image.shape == (2, 5, 32, 36)


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd"])
def test_a_segmentation_of_slicer(volumes: Path, ending: str) -> None:
    if ending == ".nrrd":
        describe(volumes, file_ending=ending)
        for path in volumes.rglob("*.nii.gz"):
            SimpleITK.WriteImage(SimpleITK.ReadImage(str(path)), str(path).replace(".nii.gz", ending))
            path.unlink()
    label = volumes / f"labelsTr/scan3{ending}"
    whole = SimpleITK.ReadImage(str(label))
    SimpleITK.WriteImage(whole[1:35, 1:31, 1:], str(volumes / "labelsTr/scan3.seg.nrrd"))
    label.unlink()
    found = fault(volumes)
    assert (found.case, "3D Slicer" in found.reason) == ("scan3", True)
    image = volumes / f"imagesTr/scan3_0000{ending}"
    run(snippets(found.remedy)[0].replace("IMAGE", repr(str(image))))
    (volumes / "labelsTr/scan3.seg.nrrd").unlink()
    assert np.array_equal(np.asarray(prepared(volumes).load("scan3").label), SimpleITK.GetArrayFromImage(whole))


def test_endings_in_capitals_are_the_same_ending(photos: Path) -> None:
    (photos / "imagesTr/mole_02_0000.png").rename(photos / "imagesTr/mole_02_0000.PNG")
    (photos / "labelsTr/mole_02.png").rename(photos / "labelsTr/mole_02.Png")
    assert prepared(photos).load("mole_02").label is not None
    for path in [*photos.glob("imagesTr/*"), *photos.glob("labelsTr/*")]:
        path.rename(path.with_suffix(".PNG"))
    describe(photos, file_ending=".PNG")
    assert len(prepared(photos).cases) == 6


def test_two_files_whose_endings_differ_in_case_are_not_one(photos: Path) -> None:
    shutil.copy(photos / "imagesTr/mole_02_0000.png", photos / "imagesTr/mole_02_0000.PNG")
    found = fault(photos)
    assert "two files of one name" in found.reason
    Path(str(found.file)).unlink()
    assert len(prepared(photos).cases) == 6


def test_jpeg_images_have_png_labels(photos: Path) -> None:
    for path in photos.glob("imagesTr/*.png"):
        Image.open(path).save(path.with_suffix(".jpg"))
        path.unlink()
    said = check_dataset(photos).faults  # dataset.json declares .png
    assert len({one.reason for one in said if str(one.file).endswith(".jpg")}) == 1
    (remedy,) = snippets(next(one.remedy for one in said if str(one.file).endswith(".jpg")))
    describe(photos, file_ending=remedy.removeprefix("file_ending: "))
    assert len(prepared(photos).cases) == 6
    label = photos / "labelsTr/mole_01.png"
    mole = np.asarray(Image.open(label)) == 1
    Image.fromarray(mole[..., None] * np.array([255, 0, 0], dtype=np.uint8)).save(label.with_suffix(".jpg"))
    label.unlink()
    assert "PNG" in str(fault(photos).remedy)
    Image.fromarray(mole.astype(np.uint8)).save(label)
    label.with_suffix(".jpg").unlink()
    assert check_dataset(photos).faults == ()


def test_the_number_of_cases(volumes: Path) -> None:
    describe(volumes, numTraining=9)
    assert snippets(fault(volumes).remedy) == ['"numTraining": 6']
    describe(volumes, numTraining=6)
    assert len(prepared(volumes).cases) == 6


ROWS = [f"scan{number},p{number // 2}" for number in range(6)]


def table_of(rows: list[str], header: str = "case,patient") -> str:
    return "\n".join([header, *rows]) + "\n"


@pytest.mark.parametrize(
    "content",
    [
        table_of(ROWS).encode("utf-8-sig"),
        table_of(ROWS).encode("utf-16"),
        b"\xfe\xff" + table_of(ROWS).encode("utf-16-be"),
        table_of(ROWS).replace(",", ";").encode(),
        table_of(ROWS).replace(",", "\t").encode("utf-16"),
        ("sep=;\r\n" + table_of(ROWS).replace(",", ";").replace("\n", "\r\n")).encode(),
        table_of([f"{row},0.5" for row in ROWS], "Case , PATIENT,score").encode(),
        table_of([",".join(reversed(row.split(","))) for row in ROWS], "patient,case").encode(),
        (table_of(ROWS) + ",\n\n").encode(),
    ],
    ids=["bom", "utf-16", "big endian", "semicolons", "tabs", "excel", "more columns", "order", "empty lines"],
)
def test_tables_of_patients_as_programs_write_them(volumes: Path, content: bytes) -> None:
    (volumes / "patients.csv").write_bytes(content)
    assert prepared(volumes).patients == ["p0", "p1", "p2"]


def test_a_table_in_another_encoding_is_saved_as_utf_8(volumes: Path) -> None:
    text = table_of(ROWS).replace("p0", "Müller")
    (volumes / "patients.csv").write_bytes(text.encode("latin-1"))
    assert "UTF-8" in str(fault(volumes).remedy)
    (volumes / "patients.csv").write_text(text, encoding="utf-8")
    assert prepared(volumes).patients == ["Müller", "p1", "p2"]


def test_numbers_that_a_spreadsheet_shortened(tmp_path: Path) -> None:
    folder = make_volumes(tmp_path / "Dataset003_Numbers", cases=3)
    for path in [*folder.glob("imagesTr/*"), *folder.glob("labelsTr/*")]:
        path.rename(path.with_name(path.name.replace("scan", "00")))
    (folder / "patients.csv").write_text(table_of(["0,7", "1,7", "002,8"]))
    found = check_dataset(folder).faults
    assert [one.case for one in found] == ["000", "001"]
    assert all("leading zeros" in one.reason for one in found)
    text = (folder / "patients.csv").read_text()
    for right, wrong in (re.match(r"write (\d+) instead of (\d+)", str(one.remedy)).groups() for one in found):  # type: ignore[union-attr]
        text = text.replace(f"\n{wrong},", f"\n{right},")
    (folder / "patients.csv").write_text(text)
    assert prepared(folder).patients == ["7", "8"]


def test_files_in_the_place_of_cases_and_rows_that_lack(volumes: Path) -> None:
    (volumes / "patients.csv").write_text(table_of(["scan0_0000.nii.gz,p0", *ROWS[1:5]]))
    first, second = check_dataset(volumes).faults
    assert "write scan0" in str(first.remedy)
    assert "scan5,scan5" in str(second.remedy)
    (volumes / "patients.csv").write_text(table_of(["scan0,p0", *ROWS[1:5], "scan5,scan5"]))
    assert prepared(volumes).patients == ["p0", "p1", "p2", "scan5"]


def test_a_thousand_faults_of_a_kind_are_one_line(volumes: Path) -> None:
    rows = [f"other{number},p{number}" for number in range(1000)]
    (volumes / "patients.csv").write_text(table_of([*ROWS, *rows]))
    found = check_dataset(volumes)
    assert len(found.faults) == len(found.to_json()["faults"]) == 1000
    (group,) = group_faults(found.faults)
    assert (group.count, group.cases) == (1000, "other0, other1, other10 and 997 more")
    with pytest.raises(FaultyCasesError) as caught:
        prepared(volumes)
    assert len(str(caught.value).splitlines()) == 5


def test_lists_of_other_lengths_are_one_kind() -> None:
    found = [DataError(f"label values {list(range(2, 2 + n))} are unknown", case=f"c{n}") for n in range(1, 6)]
    assert [group.count for group in group_faults(found)] == [5]


def test_labels_that_number_their_objects_are_one_structure_once_written_so(tmp_path: Path) -> None:
    folder = tmp_path / "Dataset001_Glands"
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
    for case in range(6):
        image = np.random.default_rng(case).integers(0, 255, (24, 24), dtype=np.uint8)
        objects = np.zeros((24, 24), np.uint8)
        for number in range(1, 4 + case):
            objects[2 * number : 2 * number + 1, 4:20] = number
        Image.fromarray(image).save(folder / f"imagesTr/c{case}_0000.png")
        Image.fromarray(objects).save(folder / f"labelsTr/c{case}.png")
    card = {"channel_names": {"0": "H&E"}, "labels": {"background": 0, "gland": 1}, "file_ending": ".png"}
    (folder / "dataset.json").write_text(json.dumps({**card, "numTraining": 6}))
    faults = check_dataset(folder).faults
    assert len(faults) == 6
    assert len(group_faults(faults)) == 1
    assert "above 0" in str(faults[0].remedy)
    for file in (folder / "labelsTr").iterdir():
        Image.fromarray((np.asarray(Image.open(file)) > 0).astype(np.uint8)).save(file)
    assert not check_dataset(folder).faults


def test_three_of_a_kind_and_those_of_other_kinds_stand_alone() -> None:
    alike = [DataError(f"label values [{n}] are unknown", case=f"c{n}", file=f"c{n}.png") for n in range(3)]
    other = DataError("the file is empty", case="c1", file="c1.png")
    assert [group.count for group in group_faults([*alike, other])] == [1, 1, 1, 1]
    more = DataError("label values [77] are unknown", case="c9", file="c9.png")
    assert [(group.count, group.cases) for group in group_faults([*alike, other, more])] == [
        (4, "c0, c1, c2 and 1 more"),
        (1, "c1"),
    ]


@pytest.mark.parametrize("count", [6, None])
@pytest.mark.parametrize("place", ["imagesTr/scan9_0000.nii.gz", "labelsTr/scan9.nii.gz", "patients.csv", "imagesUn"])
def test_a_link_that_leads_nowhere_is_a_fault(volumes: Path, place: str, count: int | None) -> None:
    describe(volumes, numTraining=count)
    (volumes / place).symlink_to(volumes / "gone")
    found = fault(volumes)
    assert (found.reason, found.file) == ("the link leads nowhere", volumes / place)
    (volumes / place).unlink()
    assert len(prepared(volumes).cases) == 6


def test_a_lost_label_does_not_make_an_image_unlabelled(volumes: Path) -> None:
    describe(volumes, numTraining=None)
    (volumes / "labelsTr/scan1.nii.gz").unlink()
    (volumes / "labelsTr/scan1.nii.gz").symlink_to(volumes / "gone")
    assert fault(volumes).reason == "the link leads nowhere"


def test_links_that_lead_somewhere_are_followed(volumes: Path, tmp_path: Path) -> None:
    for part in ("imagesTr", "labelsTr"):
        (volumes / part).rename(tmp_path / part)
        (volumes / part).symlink_to(tmp_path / part)
    path = tmp_path / "labelsTr/scan1.nii.gz"
    path.rename(tmp_path / "elsewhere.nii.gz")
    path.symlink_to(tmp_path / "elsewhere.nii.gz")
    assert len(prepared(volumes).cases) == 6
    (tmp_path / "imagesTr/notes.txt").write_text("notes")
    assert not_read(volumes) == {"no image by its name": ("imagesTr/notes.txt",)}


def test_a_folder_called_like_its_file_is_read(volumes: Path) -> None:
    for name in ("imagesTr/scan1_0001.nii.gz", "labelsTr/scan4.nii.gz"):
        path = volumes / name
        path.rename(volumes / "moving")
        path.mkdir()
        (volumes / "moving").rename(path / path.name)
    assert len(prepared(volumes).cases) == 6
    assert not_read(volumes) == {}
    save_nifti(volumes / "imagesTr/scan1_0001.nii.gz/second.nii.gz", np.zeros((2, 2, 2), dtype=np.uint8))
    assert "holds 2 images" in " ".join(one.reason for one in check_dataset(volumes).faults)


def test_a_folder_called_like_its_file_is_read_in_published_layouts(tmp_path: Path) -> None:
    save_nifti(tmp_path / "a/p1.nii/p1.nii", np.zeros((2, 2, 2), dtype=np.uint8))
    faults = Faults()
    assert find(tmp_path, r"(?P<case>p\d)\.nii", faults) == {"p1": tmp_path / "a/p1.nii/p1.nii"}
    assert not faults.found


def test_every_entry_that_is_not_read_is_named(volumes: Path) -> None:
    (volumes / "README.md").write_text("mine")
    (volumes / "imagesTs").mkdir()
    save_nifti(volumes / "imagesTs/scan7_0000.nii.gz", np.zeros((2, 2, 2), dtype=np.uint8))
    (volumes / "labelsTr/readers.xlsx").write_bytes(b"PK")
    (volumes / "imagesTr/empty").mkdir()
    (volumes / "imagesUN").mkdir()
    (volumes / ".DS_Store").write_bytes(b"")
    assert not_read(volumes) == {
        "a folder without images inside imagesTr": ("imagesTr/empty",),
        "imagesTs has no labelsTs, so nothing can be scored there": ("imagesTs",),
        "no image by its name": ("labelsTr/readers.xlsx",),
        "no part of nnU-Net's layout": ("README.md",),
        "no part of nnU-Net's layout; did you mean imagesUn?": ("imagesUN",),
    }


def test_images_in_a_folder_of_their_own_are_not_lost(volumes: Path) -> None:
    for path in volumes.glob("imagesTr/scan5_*"):
        (volumes / "imagesTr/scan5").mkdir(exist_ok=True)
        path.rename(volumes / "imagesTr/scan5" / path.name)
    reasons = {one.reason: one for one in check_dataset(volumes).faults}
    (inside,) = [one for reason, one in reasons.items() if "holds 2 images" in reason]
    for path in Path(str(inside.file)).iterdir():
        path.rename(volumes / "imagesTr" / path.name)
    Path(str(inside.file)).rmdir()
    assert len(prepared(volumes).cases) == 6


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_the_right_to_read_it(volumes: Path) -> None:
    path = volumes / "imagesTr/scan1_0000.nii.gz"
    path.chmod(0)
    assert "chmod u+r" in str(fault(volumes).remedy)
    path.chmod(0o600)
    assert len(prepared(volumes).cases) == 6


def test_an_image_of_other_channels_says_where_they_are_declared(photos: Path) -> None:
    save_photo(photos / "imagesTr/mole_01_0000.png", np.zeros((40, 48)))
    assert "channel_names" in str(fault(photos).remedy)
