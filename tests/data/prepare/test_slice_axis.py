"""The axis volumes are cut along: chosen once for a data set, said, and undone exactly on the way back."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from contrastseg.data.files.formats import read_label, write_label
from contrastseg.data.files.geometry import Geometry, slices_first
from contrastseg.data.inspect.dataset_check import check_dataset
from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.prepare.inference_inputs import prepare_inference_image, read_inference_image, slices_otherwise
from contrastseg.data.prepare.native import NativeCases
from contrastseg.data.prepare.preparation import prepare_dataset
from contrastseg.data.prepare.slicing import slice_axis, thick_axis
from contrastseg.data.settings import PreparationSettings
from contrastseg.errors import DataError, SuiteError
from contrastseg.report.figures.overlay_cases import Picked
from contrastseg.suite import parse_suite
from contrastseg.training.storage import Storage
from tests.miniatures._files import boxes, save_nrrd
from tests.miniatures._nnunet import describe, make_photos

PLANE = (12, 10)
SIZE = (8, 8, 8)
THICK = (5.0, 0.6, 0.7)  # of a volume with its slices first


def turned(array: np.ndarray, axis: int) -> np.ndarray:
    """A volume with its slices first, stored with them along another axis."""
    return np.moveaxis(array, 0, axis)


def steps_of(axis: int, spacing: Sequence[float] = THICK) -> tuple[float, ...]:
    """Its spacing, in array order."""
    first, *rest = spacing
    return (*rest[:axis], first, *rest[axis:])


def affine_of(spacing: Sequence[float]) -> np.ndarray:
    return nibabel.affines.from_matvec(np.diag(spacing[::-1]), (3, 2, 1))


def save(
    path: Path, array: np.ndarray, spacing: Sequence[float], unit: int = 2, codes: tuple[int, int] = (1, 1)
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image: Any = nibabel.Nifti1Image(array.transpose(), None)
    image.header.set_qform(affine_of(spacing), code=1)
    image.header.set_sform(affine_of(spacing), code=1)
    image.header["qform_code"], image.header["sform_code"] = codes
    image.header["xyzt_units"] = unit
    nibabel.save(image, path)
    return path


def own_data(folder: Path, axes: Sequence[int | None], spacing: Sequence[float] = THICK, **header: Any) -> Path:
    """A volume of 5 to 7 slices for each axis; None stores it isotropic."""
    describe(folder, channel_names={"0": "MR"}, labels={"background": 0, "a": 1, "b": 2}, file_ending=".nii.gz")
    for number, axis in enumerate(axes):
        image, label = boxes((5 + number % 3, *PLANE), number, values=(1, 2))
        steps = (1.0, 1.0, 1.0) if axis is None else steps_of(axis, spacing)
        for part, array in (("imagesTr", image), ("labelsTr", label.astype(np.uint8))):
            name = f"scan{number}_0000.nii.gz" if part == "imagesTr" else f"scan{number}.nii.gz"
            save(folder / part / name, turned(array, axis or 0), steps, **header)
    return folder


def prepare(folder: Path, output: str = "prepared", **rule: Any) -> PreparedDataset:
    prepare_dataset("mine", "nnunet", {"path": str(folder)}, rule, folder, folder.parent / output)
    return PreparedDataset(folder.parent / output)


spacings = st.tuples(*[st.floats(0.01, 20)] * 3)


@given(spacing=spacings, order=st.permutations(range(3)))
def test_the_thick_axis_goes_with_the_axes(spacing: tuple[float, ...], order: list[int]) -> None:
    axis = thick_axis(SIZE, spacing)
    moved = thick_axis(SIZE, [spacing[index] for index in order])
    assert moved == (None if axis is None else order.index(axis))
    if axis is not None:
        assert spacing[axis] == max(spacing)
        assert sorted(spacing)[1] < spacing[axis]


@pytest.mark.parametrize(
    ("spacing", "axis"),
    [
        ((5, 0.6, 0.6), 0),
        ((0.6, 5, 0.6), 1),
        ((0.6, 0.6, 5), 2),
        ((1, 1, 1.05), 2),
        ((1, 1, 1), None),
        ((0.8, 0.8, float(np.float32(0.8))), None),
        ((0.5, 1, 1), None),  # two axes share the largest
        ((1, 0.5, 1), None),
        ((0.005, 0.0006, 0.0006), 0),
        ((float("nan"), 1, 2), None),
        ((0, 1, 2), None),
        ((1, 2), None),
        (None, None),
    ],
)
def test_thick_axes(spacing: Any, axis: int | None) -> None:
    assert thick_axis(SIZE, spacing) == axis


@pytest.mark.parametrize(
    ("shape", "axis"), [((1, 9, 8), 0), ((9, 1, 8), 1), ((9, 8, 1), 2), ((1, 1, 8), 2), ((1, 1, 1), 2), ((9, 8, 7), 2)]
)
def test_a_volume_of_one_slice_is_that_slice(shape: tuple[int, ...], axis: int) -> None:
    assert thick_axis(shape, (1.0, 0.5, 2.0)) == axis
    if shape.count(1) == 1:
        assert "single voxel" in str(slice_axis([(shape, None)]))


@given(votes=st.lists(st.sampled_from([0, 1, 2, None]), max_size=12))
def test_most_cases_decide_and_isotropic_ones_do_not_vote(votes: list[int | None]) -> None:
    found = slice_axis([(SIZE, (1.0, 1.0, 1.0) if axis is None else steps_of(axis)) for axis in votes])
    counts = [votes.count(axis) for axis in range(3)]
    assert found.axis == min(range(3), key=lambda axis: (-counts[axis], axis))
    assert found.votes == tuple(counts)
    assert found.agreed == (len({axis for axis in votes if axis is not None}) < 2)
    assert (found.steps is None) == (not any(counts))


@settings(max_examples=80, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 7)] * 3),
    axis=st.integers(0, 2),
    seed=st.integers(0, 99),
)
def test_the_way_back_is_exact_for_every_axis(shape: tuple[int, int, int], axis: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    native = rng.integers(0, 3, shape).astype(np.uint8)
    spacing = tuple(rng.uniform(0.5, 5, 3).tolist())
    grid = Geometry(shape, spacing, "mm", None, "nifti", slices_first(shape, axis), slice_axis=axis)
    prepared = np.moveaxis(native, axis, 0)
    assert grid.shape == prepared.shape
    assert grid.spacing == pytest.approx(slices_first(spacing, axis))
    assert np.array_equal(grid.to_native(prepared, 0), native)
    logits = np.stack([(prepared == value).astype(np.float32) for value in range(3)])
    assert np.array_equal(grid.label_from_logits(logits), native)
    assert np.array_equal(grid.to_native(logits, 1).argmax(0), native)
    assert np.array_equal(grid.to_native(prepared.astype(np.float32), 1), native)
    assert Geometry.from_dict(grid.to_dict()) == grid
    assert ("slice_axis" in grid.to_dict()) == (axis > 0)  # what is cut along the first axis is stored as ever
    # On another size every axis is resampled by itself, so the order of axes makes no difference.
    smaller = tuple(rng.integers(1, 9, 3).tolist())
    coarse = rng.random((2, *smaller)).astype(np.float32)
    here = Geometry(shape, spacing, "mm", None, "nifti", slices_first(smaller, axis), slice_axis=axis)
    there = Geometry(shape, spacing, "mm", None, "nifti", smaller)
    cut = np.moveaxis(coarse, axis + 1, 1)
    assert np.allclose(here.to_native(cut, 1), there.to_native(coarse, 1), atol=1e-5)
    assert here.spacing == pytest.approx(slices_first(there.spacing or (), axis))


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize(("unit", "codes"), [(2, (1, 1)), (3, (0, 0)), (1, (2, 0)), (0, (1, 4))])
def test_label_to_prepared_to_prediction_to_native(
    tmp_path: Path, axis: int, unit: int, codes: tuple[int, int]
) -> None:
    folder = own_data(tmp_path / "Dataset001_Scans", [axis] * 3, unit=unit, codes=codes)
    prepared = prepare(folder)
    assert prepared.info.slice_axis == axis
    for number, name in enumerate(prepared.cases):
        case = prepared.load(name)
        image, label = boxes((5 + number % 3, *PLANE), number, values=(1, 2))
        assert case.geometry.shape == case.image.shape[1:] == label.shape
        assert np.array_equal(np.asarray(case.label), label)
        assert case.geometry.native_shape == turned(label, axis).shape
        logits = np.stack([(label == value).astype(np.float32) for value in range(3)])
        write_label(tmp_path / "out.nii.gz", case.geometry.label_from_logits(logits), case.geometry)
        source = folder / "labelsTr" / f"{name}.nii.gz"
        ours, theirs = nibabel.load(tmp_path / "out.nii.gz"), nibabel.load(source)
        assert np.array_equal(np.asarray(ours.dataobj), np.asarray(theirs.dataobj))
        assert np.array_equal(ours.affine, theirs.affine)
        assert ours.header["xyzt_units"] == theirs.header["xyzt_units"]
        assert np.array_equal(read_label(prepared.reference_path(name))[0], turned(label, axis))
        # What a method with a trainer of its own sees is as the files have it.
        native = NativeCases(prepared, folder).load(name)
        assert np.array_equal(native.image[0], turned(image, axis))
        assert (native.geometry.slice_axis, native.geometry.shape) == (0, native.geometry.native_shape)


@pytest.mark.parametrize("axis", [1, 2])
def test_networks_see_what_they_would_with_the_slices_first(tmp_path: Path, axis: int) -> None:
    rule = {"size": [8, 8], "superpixels": {"scale": 20, "min_size": 4}}
    first = prepare(own_data(tmp_path / "first" / "Dataset001_Scans", [0] * 3), **rule)
    other = prepare(own_data(tmp_path / "other" / "Dataset001_Scans", [axis] * 3), **rule)
    for name in first.cases:
        for file in ("image.npy", "label.npy", "superpixels.npy"):
            one, two = (data.folder / "cases" / name / file for data in (first, other))
            assert one.read_bytes() == two.read_bytes()
    units = [
        Storage(data, data.cases, with_labels=True, spatial_dims=2, device=torch.device("cpu")).units
        for data in (first, other)
    ]
    assert units[0] == units[1]
    assert len(units[0]) == 5 + 6 + 7
    assert [unit.position for unit in units[1][:5]] == [0, 0.25, 0.5, 0.75, 1]
    assert list(first.index["shape"]) == list(other.index["shape"])
    outside = prepare_inference_image([tmp_path / "other/Dataset001_Scans/imagesTr/scan1_0000.nii.gz"], "x", other.info)
    assert np.array_equal(outside.image, np.asarray(other.load("scan1").image))
    assert outside.geometry == other.geometry("scan1")


def test_a_spacing_is_named_in_the_order_of_the_arrays_whatever_the_axis(tmp_path: Path) -> None:
    folder = own_data(tmp_path / "Dataset001_Scans", [2] * 2)
    case = prepare(folder, spacing=[1.2, None, 2.5]).load("scan0")
    assert case.geometry.native_shape == (12, 10, 5)
    assert case.image.shape == (1, 10, 6, 10)  # x: 5 slices of 5 mm at 2.5 mm, z: 12 of 0.6 mm at 1.2 mm, y
    assert case.geometry.spacing == pytest.approx((2.5, 1.2, 0.7))


def test_the_axis_is_the_suite_s_to_choose(tmp_path: Path) -> None:
    folder = own_data(tmp_path / "Dataset001_Scans", [2] * 2)
    assert prepare(folder).info.slice_axis == 2
    found = check_dataset(folder, preparation={"slice_axis": 0}).warnings
    (said,) = (one.text for one in found if one.kind == "slices")
    assert said.startswith("slices are cut along axis 0 of (z, y, x), as the preparation says; by spacing alone, ")
    for axis in (0, 1, 2):
        chosen = prepare(folder, slice_axis=axis)
        assert chosen.info.slice_axis == axis
        assert chosen.info.preparation.slice_axis == axis
        reference = read_label(chosen.reference_path("scan0"))[0]
        case = chosen.load("scan0")
        assert np.array_equal(np.moveaxis(np.asarray(case.label), 0, axis), reference)
    prepare_dataset("organs", "phantom_organs", {"cases": 1}, {"slice_axis": 2}, None, tmp_path / "organs")
    organs = PreparedDataset(tmp_path / "organs")
    case = organs.load(organs.cases[0])
    assert case.image.shape[1] == case.geometry.native_shape[2] == 64
    prepare_dataset("organs", "phantom_organs", {"cases": 1}, {"slice_axis": "largest_spacing"}, None, tmp_path / "o2")
    assert PreparedDataset(tmp_path / "o2").info.slice_axis == 0


@pytest.mark.parametrize("wrong", [3, -1, True, "x", 1.5])
def test_other_axes_are_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match="slice_axis"):
        PreparationSettings(slice_axis=wrong)


def test_photographs_have_no_slice_axis(tmp_path: Path) -> None:
    folder = make_photos(tmp_path / "Dataset001_Moles", cases=2)
    with pytest.raises(DataError, match="slice_axis"):
        prepare(folder, slice_axis=0)
    entry = {"name": "mine", "nnunet": str(folder), "preparation": {"slice_axis": 0}}
    with pytest.raises(SuiteError, match="leave slice_axis out"):
        parse_suite({"name": "s", "datasets": [entry], "methods": ["supervised"], "labels": ["n1"]}, None)
    assert prepare(folder).info.slice_axis is None


def test_cases_that_disagree_are_cut_alike_and_it_is_said(tmp_path: Path) -> None:
    folder = own_data(tmp_path / "Dataset001_Scans", [2, 2, 0, None, 2])
    prepared = prepare(folder)
    assert prepared.info.slice_axis == 2
    assert {prepared.geometry(name).slice_axis for name in prepared.cases} == {2}
    (note,) = prepared.info.notes
    assert "x (2)" in note
    assert "3 of 5 cases" in note
    assert "1 along z, 3 along x" in note
    (seen,) = [item for item in check_dataset(folder).warnings if item.kind == "slices"]
    assert seen.cases == ("scan2",)
    assert note in seen.text
    assert "slice_axis" in seen.text
    for name in prepared.cases:
        label = np.asarray(prepared.load(name).label)
        assert np.array_equal(prepared.geometry(name).to_native(label, 0), read_label(prepared.reference_path(name))[0])


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.5, 1.0, 1.0)])
def test_volumes_without_a_thick_axis_are_cut_along_the_first(tmp_path: Path, spacing: tuple[float, ...]) -> None:
    folder = own_data(tmp_path / "Dataset001_Scans", [0] * 2, spacing=spacing)
    prepared = prepare(folder)
    assert prepared.info.slice_axis == 0
    assert prepared.load("scan0").image.shape == (1, 5, *PLANE)
    (seen,) = [item for item in check_dataset(folder).warnings if item.kind == "slices"]
    assert "no case has one axis of larger spacing" in seen.text


def test_a_case_that_turns_the_decision_prepares_all_again(tmp_path: Path) -> None:
    folder = own_data(tmp_path / "Dataset001_Scans", [0, 2])
    assert prepare(folder).info.slice_axis == 0  # as many of each: the first
    before = {name: prepare(folder).load(name).image.shape for name in ("scan0", "scan1")}
    own_data(folder, [0, 2, 2])
    again = prepare(folder)
    assert again.info.slice_axis == 2
    for name, shape in before.items():
        case = again.load(name)
        assert case.image.shape[1:] == (shape[3], *shape[1:3])
        assert case.geometry.slice_axis == 2


def test_nrrd_files_vote_too(tmp_path: Path) -> None:
    folder = tmp_path / "Dataset001_Scans"
    describe(folder, channel_names={"0": "MR"}, labels={"background": 0, "a": 1, "b": 2}, file_ending=".nrrd")
    image, label = boxes((5, *PLANE), 0, values=(1, 2))
    for part, name, array in (("imagesTr", "a_0000", image), ("labelsTr", "a", label.astype(np.uint8))):
        save_nrrd(folder / part / f"{name}.nrrd", np.ascontiguousarray(turned(array, 1)), affine_of(steps_of(1)))
    prepared = prepare(folder)
    assert prepared.info.slice_axis == 1
    assert np.array_equal(np.asarray(prepared.load("a").label), label)


def test_overlays_show_slices_along_the_axis(tmp_path: Path) -> None:
    prepared = prepare(own_data(tmp_path / "Dataset001_Scans", [2] * 2))
    path = prepared.reference_path("scan0")
    volume = Picked({"case": "scan0"}, prepared, path).volume()
    _, label = boxes((5, *PLANE), 0, values=(1, 2))
    assert np.array_equal(volume.reference, label)
    assert np.array_equal(volume.prediction, label)
    assert volume.image.shape == (1, 5, *PLANE)
    assert volume.aspect == pytest.approx(0.6 / 0.7)


def test_an_image_from_outside_that_is_thick_elsewhere_is_named(tmp_path: Path) -> None:
    info = prepare(own_data(tmp_path / "Dataset001_Scans", [0] * 2)).info
    image, _ = boxes((5, *PLANE), 0, values=(1, 2))
    notes = []
    for axis, read in itertools.product((0, 1, 2), (read_inference_image, prepare_inference_image)):
        path = save(tmp_path / f"{axis}.nii.gz", turned(image, axis), steps_of(axis))
        notes.append(slices_otherwise(read([path], f"case{axis}", info), info))
    assert [note is None for note in notes] == [True, True, False, False, False, False]
    assert str(notes[2]).startswith("case1: the largest spacing is along axis 1")


def test_built_in_data_keeps_its_first_axis_and_its_files(tmp_path: Path) -> None:
    prepare_dataset("organs", "phantom_organs", {"cases": 1, "size": [4, 4]}, None, None, tmp_path / "out")
    prepared = PreparedDataset(tmp_path / "out")
    assert (prepared.info.slice_axis, prepared.info.notes) == (0, [])
    for file in [tmp_path / "out" / "dataset.json", *(tmp_path / "out" / "cases").rglob("geometry.json")]:
        stored = file.read_text()
        assert '"header"' not in stored
        assert ("slice_axis" in stored) == (file.name == "dataset.json")
    assert "slice_axis" not in prepared.info.model_dump()["preparation"]
