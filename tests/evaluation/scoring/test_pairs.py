"""Any two files or folders: formats that agree are compared, what does not fit is said with case, file and remedy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from contrastseg.data.files.formats import write_label
from contrastseg.data.files.geometry import Geometry
from contrastseg.data.files.itk import ITK_SUFFIXES
from contrastseg.errors import ContrastsegError, ScoringError
from contrastseg.evaluation.scoring.predictions import SUFFIXES
from contrastseg.evaluation.scoring.scoring import score_file, score_folder

SHAPE, SPACING = (4, 6, 8), (5.0, 1.5, 1.25)
AFFINE = [[-1.25, 0, 0, 7], [0, -1.5, 0, -3], [0, 0, 5, 11], [0, 0, 0, 1]]


def volume(shift: int = 0) -> NDArray:
    array = np.zeros(SHAPE, np.uint8)
    array[1:3, 2:4, 2 + shift : 5 + shift] = 1
    return array


def nifti(path: Path, array: NDArray, spacing: tuple[float, ...] = SPACING, affine: list | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_label(path, array, Geometry(array.shape, spacing, "mm", affine or AFFINE, "nifti", array.shape))
    return path


def nrrd(path: Path, array: NDArray, spacing: tuple[float, ...] = SPACING) -> Path:
    """The same place in ITK's world, whose x and y point the other way."""
    import SimpleITK

    from contrastseg.data.files.itk import keeping_locale

    path.parent.mkdir(parents=True, exist_ok=True)
    with keeping_locale():
        image = SimpleITK.GetImageFromArray(array)
        image.SetSpacing(spacing[::-1])
        image.SetOrigin((-7.0, 3.0, 11.0))
        SimpleITK.WriteImage(image, str(path))
    return path


def png(path: Path, array: NDArray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


def test_every_format_that_is_read_is_listed() -> None:
    assert set(ITK_SUFFIXES) < set(SUFFIXES)


@pytest.mark.parametrize("suffix", ["nrrd", "mha", "nii", "nii.gz"])
@pytest.mark.parametrize("other", ["nrrd", "nii.gz"])
def test_volumes_of_any_format_are_scored_in_the_references_unit(tmp_path: Path, suffix: str, other: str) -> None:
    writers: dict[str, Callable[..., Path]] = {"nrrd": nrrd, "mha": nrrd, "nii": nifti, "nii.gz": nifti}
    prediction = writers[suffix](tmp_path / "p" / f"a.{suffix}", volume(1))
    reference = writers[other](tmp_path / "r" / f"b.{other}", volume())
    scores = score_file(prediction, reference, ("dice", "hd")).set_index("metric")
    assert scores["value"]["dice"] == pytest.approx(2 / 3)
    assert (scores["value"]["hd"], scores["unit"]["hd"]) == (1.25, "mm")
    assert set(scores["case"]) == {"a"}
    nifti(tmp_path / "r" / "a.nii.gz", volume())
    (tmp_path / "r" / f"b.{other}").unlink()
    folders = score_folder(tmp_path / "p", tmp_path / "r", ("dice", "hd")).set_index("metric")
    assert folders["value"].to_dict() == scores["value"].to_dict()


def test_pictures_against_two_dimensional_volumes(tmp_path: Path) -> None:
    """What a PNG does not say, spacing and place, the reference does; nothing else has to agree."""
    import nibabel

    reference = tmp_path / "a.nii.gz"
    nibabel.save(nibabel.Nifti1Image(volume()[1].T, np.diag([2.0, 2.0, 1.0, 1.0])), reference)
    scores = score_file(png(tmp_path / "a.png", volume(1)[1]), reference, ("hd",))
    assert scores[["value", "unit"]].to_numpy().tolist() == [[2.0, "mm"]]
    scores = score_file(reference, tmp_path / "a.png", ("hd",))
    assert scores[["value", "unit"]].to_numpy().tolist() == [[1.0, "pixel"]]


def wrong_shape(folder: Path) -> tuple[Path, Path]:
    return nrrd(folder / "a.nrrd", volume()[:, :5]), nifti(folder / "r.nii.gz", volume())


def a_slice_against_a_volume(folder: Path) -> tuple[Path, Path]:
    return png(folder / "a.png", volume()[1]), nifti(folder / "r.nii.gz", volume())


def wrong_spacing(folder: Path) -> tuple[Path, Path]:
    return nrrd(folder / "a.nrrd", volume(), (5.0, 1.0, 1.0)), nifti(folder / "r.nii.gz", volume())


def wrong_place(folder: Path) -> tuple[Path, Path]:
    moved = [*AFFINE[:2], [0, 0, 5, 12], AFFINE[3]]
    return nifti(folder / "a.nii.gz", volume(), affine=moved), nrrd(folder / "r.nrrd", volume())


def colours(folder: Path) -> tuple[Path, Path]:
    coloured = np.zeros((6, 8, 3), np.uint8)
    coloured[0, 0] = 1, 2, 3
    return png(folder / "a.png", coloured), png(folder / "r.png", volume()[1])


def no_image(folder: Path) -> tuple[Path, Path]:
    (folder / "a.nrrd").write_text("no image")
    return folder / "a.nrrd", nrrd(folder / "r.nrrd", volume())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (wrong_shape, r"prediction of shape \(4, 5, 8\), reference of shape \(4, 6, 8\)"),
        (a_slice_against_a_volume, r"prediction of shape \(6, 8\), reference of shape \(4, 6, 8\)"),
        (wrong_spacing, r"prediction of spacing 5 x 1 x 1 mm, reference of spacing 5 x 1.5 x 1.25 mm"),
        (wrong_place, "different places"),
        (colours, "RGB"),
        (no_image, "cannot be read"),
    ],
)
def test_files_that_cannot_be_compared_are_refused(
    tmp_path: Path, make: Callable[[Path], tuple[Path, Path]], message: str
) -> None:
    prediction, reference = make(tmp_path)
    with pytest.raises(ContrastsegError, match=message) as error:
        score_file(prediction, reference, classes=("background", "organ"))
    assert (error.value.case, error.value.file) == ("a", prediction)
    assert error.value.remedy


def test_a_file_against_a_folder_or_of_another_kind_is_refused(tmp_path: Path) -> None:
    file = png(tmp_path / "a.png", volume()[1])
    with pytest.raises(ScoringError, match="the reference is a folder, the other a file"):
        score_file(file, tmp_path)
    (tmp_path / "a.npy").touch()
    with pytest.raises(ScoringError, match="format of the prediction") as error:
        score_file(tmp_path / "a.npy", file)
    assert ".nrrd" in str(error.value.remedy)


def test_what_nnunet_writes_beside_its_predictions_is_passed_over(tmp_path: Path) -> None:
    for name in ("p", "r"):
        nifti(tmp_path / name / "a.b.nii.gz", volume())
    for name in ("a.b.npz", "a.b.pkl", "dataset.json", "plans.json", "predict_from_raw_data_args.json", "summary.json"):
        (tmp_path / "p" / name).write_bytes(b"{")
    scores = score_folder(tmp_path / "p", tmp_path / "r", ("dice",))
    assert scores[["case", "value"]].to_numpy().tolist() == [["a.b", 1.0]]
    alone = tmp_path / "p" / "c.npz"
    alone.touch()
    with pytest.raises(ScoringError, match="unsupported format") as error:
        score_folder(tmp_path / "p", tmp_path / "r")
    assert error.value.file == alone, "probabilities without a label map are somebody's prediction"


def test_nothing_in_a_folder_is_skipped_in_silence(tmp_path: Path) -> None:
    for name in ("p", "r"):
        png(tmp_path / name / "a.png", volume()[1])
    (tmp_path / "p" / "notes.txt").touch()
    assert len(score_folder(tmp_path / "p", tmp_path / "r", ("dice",))) == 1
    other = tmp_path / "p" / "b.gif"
    other.touch()
    with pytest.raises(ScoringError, match="unsupported format") as error:
        score_folder(tmp_path / "p", tmp_path / "r")
    assert error.value.file == other
    other.unlink()
    twice = nifti(tmp_path / "p" / "a.nii.gz", volume())
    with pytest.raises(ScoringError, match=r"two label maps of one case: a.nii.gz and a.png") as error:
        score_folder(tmp_path / "p", tmp_path / "r")
    assert (error.value.case, error.value.file) == ("a", twice.with_name("a.png"))
