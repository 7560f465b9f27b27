"""Images from outside the benchmark, a folder at a time: every one is labelled, or it is said which cannot be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image

from contrastseg.errors import DataError, FileError
from contrastseg.evaluation.scoring.scoring import score_folder
from contrastseg.training import prediction
from contrastseg.training.prediction import predict_files
from contrastseg.training.run import train

SPACING = (4.0, 1.0, 1.5)
PLACE = (-12.0, 7.0, 30.0)


@pytest.fixture(scope="module")
def checkpoint(phantoms: dict[int, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a network that saw volumes."""
    folder = tmp_path_factory.mktemp("run")
    train(phantoms[3].config("supervised"), folder)
    return folder / "checkpoints" / "last.ckpt"


def write_volumes(folder: Path) -> None:
    """The same volume in every format, with its step and place in the world."""
    import SimpleITK

    folder.mkdir()
    array = np.random.default_rng(0).normal(100, 20, (6, 40, 36)).astype(np.float32)
    image = SimpleITK.GetImageFromArray(array)
    image.SetSpacing(SPACING[::-1])
    image.SetOrigin(PLACE)
    image.SetDirection((0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, -1.0))
    for name in ("one.nii.gz", "two.nrrd", "three.mha", "four.b.nii"):
        SimpleITK.WriteImage(image, str(folder / name))
    (folder / "notes.txt").write_text("no image")


def test_every_format_of_volumes_gets_the_same_label_on_the_same_grid(checkpoint: Path, tmp_path: Path) -> None:
    write_volumes(tmp_path / "images")
    index = json.loads(predict_files(checkpoint, tmp_path / "images", tmp_path / "out").read_text())
    assert index["cases"] == {name: f"{name}.nii.gz" for name in ("four.b", "one", "three", "two")}
    labels: dict[str, Any] = {name: nibabel.load(tmp_path / "out" / file) for name, file in index["cases"].items()}
    for label in labels.values():
        assert label.shape == (36, 40, 6)
        assert np.array_equal(label.get_fdata(), labels["one"].get_fdata())
        assert np.allclose(label.affine, nibabel.load(tmp_path / "images" / "one.nii.gz").affine, atol=1e-5)
        assert np.allclose(label.header.get_zooms(), SPACING[::-1])


def test_predictions_of_a_folder_in_nnunet_s_layout_can_be_scored_against_its_labels(
    checkpoint: Path, tmp_path: Path
) -> None:
    write_volumes(tmp_path / "all")
    for folder, name in (("imagesTr", "case_0000.nii.gz"), ("labelsTr", "case.nii.gz")):
        (tmp_path / folder).mkdir()
        image = nibabel.load(tmp_path / "all" / "one.nii.gz")
        values = (image.get_fdata() > 110).astype(np.uint8) if folder == "labelsTr" else image.get_fdata()
        nibabel.save(nibabel.Nifti1Image(values, image.affine), tmp_path / folder / name)
    index = json.loads(predict_files(checkpoint, tmp_path / "imagesTr", tmp_path / "out").read_text())
    assert index["cases"] == {"case": "case.nii.gz"}
    scores = score_folder(tmp_path / "out", tmp_path / "labelsTr")
    assert set(scores["case"]) == {"case"}
    assert "hole" not in set(scores["outcome"])


def test_files_of_the_images_before_a_faulty_one_are_there(checkpoint: Path, tmp_path: Path) -> None:
    write_volumes(tmp_path / "images")
    (tmp_path / "images" / "zero.nii").write_bytes(b"no volume")
    done: list[int] = []
    with pytest.raises(DataError, match="cannot be read") as caught:
        predict_files(checkpoint, tmp_path / "images", tmp_path / "out", on_case=lambda n, total: done.append(n))
    assert caught.value.file == tmp_path / "images" / "zero.nii"
    names = ("four.b", "one", "three", "two")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"{name}.nii.gz" for name in names]
    assert done == [1, 2, 3, 4]


def test_a_disk_that_is_full_ends_the_prediction(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_volumes(tmp_path / "images")
    whole = prediction.write_label

    def write(path: Path, *rest: Any) -> None:
        if path.name.startswith("three"):
            raise FileError("no space left on the disk", file=path)
        whole(path, *rest)

    monkeypatch.setattr(prediction, "write_label", write)
    with pytest.raises(FileError, match="no space left"):
        predict_files(checkpoint, tmp_path / "images", tmp_path / "out")
    assert {"four.b.nii.gz", "one.nii.gz"} == {path.name for path in (tmp_path / "out").iterdir()} - {"two.nii.gz"}


def test_predictions_have_their_image_s_forms_unit_and_axes(checkpoint: Path, tmp_path: Path) -> None:
    array = np.random.default_rng(0).normal(100, 20, (12, 40, 36)).astype(np.float32)
    (tmp_path / "images").mkdir()
    for name, codes, unit in (("bare", (0, 0), 3), ("both", (1, 2), 2)):
        image: Any = nibabel.Nifti1Image(array, None)  # thick along x, the file's first axis
        image.header.set_zooms(SPACING)
        image.header.set_qform(np.diag([*SPACING, 1.0]), code=1)
        image.header.set_sform(np.diag([-SPACING[0], *SPACING[1:], 1.0]), code=1)
        image.header["qform_code"], image.header["sform_code"] = codes
        image.header["xyzt_units"] = unit
        nibabel.save(image, tmp_path / "images" / f"{name}.nii.gz")
    notes: list[str] = []
    predict_files(checkpoint, tmp_path / "images", tmp_path / "out", on_note=notes.append)
    assert [note.partition(":")[0] for note in notes] == ["bare", "both"]
    for name in ("bare", "both"):
        source, label = (nibabel.load(tmp_path / folder / f"{name}.nii.gz") for folder in ("images", "out"))
        assert label.shape == source.shape
        for field in ("qform_code", "sform_code", "xyzt_units", "srow_x", "qoffset_x", "quatern_b"):
            assert np.array_equal(label.header[field], source.header[field]), field
        assert np.array_equal(label.header.get_zooms(), source.header.get_zooms())
        assert np.array_equal(label.affine, source.affine)


@pytest.mark.parametrize("name", ["scan.MHD", "scan.dcm", "scan.npy", "phone.heic", "phone.webp"])
def test_an_image_that_is_not_read_is_named_not_skipped(checkpoint: Path, tmp_path: Path, name: str) -> None:
    write_volumes(tmp_path / "images")
    (tmp_path / "images" / name).write_bytes(b"0")
    with pytest.raises(DataError, match="unsupported image format") as caught:
        predict_files(checkpoint, tmp_path / "images", tmp_path / "out")
    assert caught.value.file == tmp_path / "images" / name
    assert ".nrrd" in str(caught.value.remedy)
    assert not (tmp_path / "out").exists()


def test_two_images_of_one_name_would_have_one_label_map(checkpoint: Path, tmp_path: Path) -> None:
    write_volumes(tmp_path / "images")
    Image.fromarray(np.zeros((8, 8), dtype=np.uint8)).save(tmp_path / "images" / "two.png")
    with pytest.raises(DataError, match=r"two images of one name: two\.nrrd and two\.png"):
        predict_files(checkpoint, tmp_path / "images", tmp_path / "out")


def test_one_file_of_a_format_that_is_not_read(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "scan.MHD").write_bytes(b"0")
    with pytest.raises(DataError, match="unsupported image format"):
        predict_files(checkpoint, tmp_path / "scan.MHD", tmp_path / "out")
