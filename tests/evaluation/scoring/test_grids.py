"""Whether two label maps lie on one grid is measured in voxels, at any scale and in files of two or three axes."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from contrastseg.errors import ScoringError
from contrastseg.evaluation.scoring.scoring import score_file

METRICS = ("dice", "hd", "assd", "nsd")


def mask(shift: int = 0) -> NDArray:
    """(x, y, z) as nibabel has it."""
    array = np.zeros((12, 10, 8), np.uint8)
    array[2 + shift : 6 + shift, 3:7, 2:5] = 1
    return array


def saved(path: Path, array: NDArray, steps: tuple[float, float, float], moved: float = 0.0) -> Path:
    """A NIfTI file, `moved` by a share of a voxel along every axis."""
    affine = np.diag([*steps, 1.0])
    affine[:3, 3] = moved * np.array(steps)
    nibabel.save(nibabel.Nifti1Image(array, affine), path)
    return path


@pytest.mark.parametrize("scale", [5e-4, 1.0, 2e3])
def test_a_grid_of_twice_the_voxels_is_another_at_any_scale(tmp_path: Path, scale: float) -> None:
    reference = saved(tmp_path / "r.nii", mask(), (scale, scale, scale))
    prediction = saved(tmp_path / "p.nii", mask(1), (2 * scale, 2 * scale, 2 * scale))
    with pytest.raises(ScoringError) as error:
        score_file(prediction, reference)
    assert "part by 11 voxels, 0.1 are allowed" in error.value.reason
    same = saved(tmp_path / "p.nii", mask(1), (scale, scale, scale))
    found = score_file(same, reference, ("hd",))["value"][0]
    assert found == pytest.approx(scale)


@pytest.mark.parametrize("scale", [5e-4, 1.0, 2e3])
def test_an_origin_may_be_rounded_and_not_be_elsewhere(tmp_path: Path, scale: float) -> None:
    steps = (scale, 0.5 * scale, 4 * scale)
    reference = saved(tmp_path / "r.nii", mask(), steps)
    score_file(saved(tmp_path / "p.nii", mask(), steps, 1 / 450), reference)
    with pytest.raises(ScoringError, match=r"affines differ by 0.866 voxels, 0.1 are allowed"):
        score_file(saved(tmp_path / "p.nii", mask(), steps, 0.5), reference)


def test_pictures_of_one_slice_are_scored_in_every_form(tmp_path: Path) -> None:
    """PNG, NIfTI of two axes and of three, of any thickness: one picture, with the same scores."""
    plane, moved = mask()[:, :, 3], mask(1)[:, :, 3]
    references = [
        saved(tmp_path / "r2.nii", plane, (2.0, 2.0, 1.0)),
        saved(tmp_path / "r3.nii", plane[:, :, None], (2.0, 2.0, 999.0)),
        saved(tmp_path / "r4.nii", plane[:, :, None, None], (2.0, 2.0, 1.0)),
    ]
    predictions = [
        saved(tmp_path / "p2.nii", moved, (2.0, 2.0, 5.0)),
        saved(tmp_path / "p3.nii", moved[:, :, None], (2.0, 2.0, 1.0)),
        tmp_path / "p.png",
    ]
    Image.fromarray(np.ascontiguousarray(moved.T)).save(predictions[2])
    for reference in references:
        for prediction in predictions:
            found = score_file(prediction, reference, METRICS).set_index("metric")
            assert found["value"]["hd"] == 2.0
            # Of 12 border pixels of each square, the 4 that stick out and 2 inside the other's border are 2 mm away.
            assert found["value"]["nsd"] == pytest.approx(1 - 12 / 24)
            assert found["value"]["assd"] == pytest.approx(2 * 12 / 24)
            assert found["diagonal"].to_numpy() == pytest.approx(2 * np.hypot(11, 9))


def test_a_slice_of_a_volume_is_no_volume(tmp_path: Path) -> None:
    reference = saved(tmp_path / "r.nii", mask(), (1.0, 1.0, 1.0))
    prediction = saved(tmp_path / "p.nii", mask()[:, :, 3], (1.0, 1.0, 1.0))
    with pytest.raises(ScoringError, match=r"shape \(10, 12\), reference of shape \(8, 10, 12\)"):
        score_file(prediction, reference)


def test_a_reference_without_voxel_size_is_refused_where_it_counts(tmp_path: Path) -> None:
    for shape, refused in (((12, 10, 8), True), ((12, 10, 1), False)):
        image = nibabel.Nifti1Image(np.ones(shape, np.uint8), np.eye(4))
        image.header["pixdim"][3] = np.nan
        nibabel.save(image, tmp_path / "r.nii")
        if refused:
            with pytest.raises(ScoringError, match="spacing nan x 1 x 1 mm") as error:
                score_file(tmp_path / "r.nii", tmp_path / "r.nii")
            assert error.value.file == tmp_path / "r.nii"
        else:
            assert score_file(tmp_path / "r.nii", tmp_path / "r.nii", ("hd",))["value"].tolist() == [0.0]
