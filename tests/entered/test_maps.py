"""Label maps of every format and grid: as they are, brought back, or refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray

from contrastseg.data.files.formats import read_label
from contrastseg.data.files.itk import keeping_locale
from contrastseg.errors import EnterError
from contrastseg.files import read_json
from tests.entered.conftest import (
    collected,
    enter,
    expected_cases,
    maps,
    reference,
    refused,
)


def as_nnunet(folder: Path) -> None:
    """What nnU-Net leaves beside its label maps."""
    for file in list(folder.glob("*.nii.gz")):
        case = file.name.removesuffix(".nii.gz")
        np.savez(folder / f"{case}.npz", probabilities=np.zeros((2, 3), np.float16))
        (folder / f"{case}.pkl").write_bytes(b"x")
    for name in ("dataset.json", "plans.json", "predict_from_raw_data_args.json"):
        (folder / name).write_text("{}")


def as_itk(folder: Path) -> None:
    for file in list(folder.glob("*.nii.gz")):
        with keeping_locale():
            name = file.name.replace(".nii.gz", ".nrrd")
            SimpleITK.WriteImage(SimpleITK.ReadImage(str(file)), str(folder / name))
        file.unlink()


def as_numpy(folder: Path) -> None:
    for file in list(folder.glob("*.nii.gz")):
        np.savez(folder / file.name.replace(".nii.gz", ".npz"), label=read_label(file)[0])
        file.unlink()


def as_h5(folder: Path) -> None:
    """With axes as nibabel has them."""
    for file in list(folder.glob("*.nii.gz")):
        with h5py.File(folder / file.name.replace(".nii.gz", ".h5"), "w") as stored:
            stored["image"], stored["label"] = np.zeros(3), read_label(file)[0].transpose()
        file.unlink()


@pytest.mark.parametrize(
    ("convert", "more"),
    [(as_nnunet, ()), (as_itk, ()), (as_numpy, ("--format", "npz", "--axes", "zyx")), (as_h5, ("--format", "h5"))],
)
def test_every_format_gives_the_same_maps(work: Path, convert: Callable[[Path], None], more: tuple) -> None:
    folder = maps("organs")
    convert(folder)
    enter(folder, *more, entry="organs")
    (index,) = Path("results/tiny/entered").rglob("predictions.json")
    assert sorted(read_json(index)["cases"]) == sorted(expected_cases("organs"))
    for case in expected_cases("organs"):
        assert np.array_equal(read_label(index.parent / f"{case}.nii.gz")[0], reference("organs", case))


def test_arrays_are_taken_for_label_maps_only_where_they_are_named(work: Path) -> None:
    folder = maps("organs")
    as_numpy(folder)
    assert "--format npz" in str(refused(folder, entry="organs").remedy)


def test_a_cube_needs_the_order_of_its_axes(work: Path) -> None:
    from contrastseg.data.files.geometry import Geometry
    from contrastseg.evaluation.entered.grid import on_reference_grid

    array = np.arange(8, dtype=np.uint8).reshape(2, 2, 2)
    geometry = Geometry((2, 2, 2), None, "voxel", None, "nifti", (2, 2, 2))

    def placed(axes: str) -> NDArray:
        file = Path("a.npy")
        return on_reference_grid((array, None, None), geometry, case="a", file=file, reference=file, axes=axes).labels

    with pytest.raises(EnterError, match="either order"):
        placed("")
    assert np.array_equal(placed("zyx"), array)
    assert np.array_equal(placed("xyz"), array.transpose())


def test_masks_of_0_and_255_are_the_one_structure(work: Path) -> None:
    said = enter(maps("lesions", change=lambda labels: labels * 255))
    assert "255 is the structure" in said
    assert set(collected()[0]["value"]) == {1.0}


# Grids.

AWAY = np.zeros((4, 4))
AWAY[:3, 3] = 500


def rewritten(folder: Path, change: Callable[[NDArray, NDArray], tuple[NDArray, NDArray]]) -> Path:
    """The maps of a folder with other voxels and affines."""
    for file in folder.glob("*.nii.gz"):
        image = nibabel.load(file)
        values, affine = change(np.asarray(image.dataobj).astype(np.uint8), image.affine)
        nibabel.save(nibabel.Nifti1Image(values, affine), file)
    return folder


def flipped(values: NDArray, affine: NDArray) -> tuple[NDArray, NDArray]:
    turn = np.diag([-1.0, 1, 1, 1])
    turn[0, 3] = len(values) - 1
    return values[::-1], affine @ turn


def doubled(values: NDArray, affine: NDArray) -> tuple[NDArray, NDArray]:
    """Twice as many voxels along each axis, of half the size, over the same extent."""
    finer = np.diag([0.5, 0.5, 0.5, 1])
    finer[:3, 3] = -0.25
    return values.repeat(2, 0).repeat(2, 1).repeat(2, 2), affine @ finer


@pytest.mark.parametrize("change", [flipped, doubled])
def test_maps_on_another_grid_are_brought_back_where_the_affine_allows(work: Path, change: Callable) -> None:
    said = enter(rewritten(maps("organs"), change), entry="organs")
    assert "brought to the grid of the reference" in said
    scores, (record,) = collected()
    assert set(scores["value"]) == {1.0}
    assert record["moved_maps"] == len(expected_cases("organs"))


@pytest.mark.parametrize(
    "change",
    [
        lambda values, affine: (values[:, :, :-4], affine),  # a part of the image
        lambda values, affine: (values, affine + AWAY),
        lambda values, affine: (values[:-1], np.eye(4)),  # no place of its own
    ],
)
def test_maps_that_do_not_cover_their_image_are_refused(work: Path, change: Callable) -> None:
    error = refused(rewritten(maps("organs"), change), entry="organs")
    assert error.case in expected_cases("organs")
    assert error.file is not None
    assert "image" in str(error.remedy)


def test_a_photograph_of_another_size_is_refused(work: Path) -> None:
    error = refused(maps("lesions", change=lambda labels: labels[:-1]))
    assert "(31, 40)" in error.reason
    assert "(32, 40)" in error.reason
