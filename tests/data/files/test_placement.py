"""Units of length, qform and sform: millimetres inside, the file's own header outside, one place for every reader."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st

from contrastseg.data.files.formats import read_header, read_image, read_label, read_nifti, write_label
from contrastseg.data.files.geometry import Geometry
from contrastseg.data.files.placement import NiftiHeader, candidate_affines, grid_distance, shift
from contrastseg.data.inspect.dataset_check import check_dataset
from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.prepare.inference_inputs import prepare_inference_image
from contrastseg.data.prepare.preparation import prepare_dataset
from contrastseg.data.readers.layouts import OTHER_FORM
from contrastseg.errors import DataError, ScoringError
from contrastseg.evaluation.scoring.scoring import score_file
from tests.miniatures._files import boxes
from tests.miniatures._nnunet import describe

SHAPE = (6, 8, 9)  # z, y, x
STEPS = (1.5, 2.0, 4.0)  # x, y, z
MM = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
FIELDS = [
    *("qform_code", "sform_code", "xyzt_units", "quatern_b", "quatern_c", "quatern_d"),
    *("qoffset_x", "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z"),
]


def matrix(angle: float = 0.0, offset: tuple[float, float, float] = (0, 0, 0), mirrored: bool = False) -> np.ndarray:
    """An affine of `STEPS`, turned about z."""
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    return nibabel.affines.from_matvec(turn @ np.diag([-STEPS[0] if mirrored else STEPS[0], *STEPS[1:]]), offset)


QFORM = matrix(0.1, (10, 20, 30))
SFORM = matrix(0.0, (-5, 7, 9), mirrored=True)


def save(
    path: Path,
    array: np.ndarray,
    qform: np.ndarray = QFORM,
    sform: np.ndarray = QFORM,
    codes: tuple[int, int] = (1, 1),
    unit: int = 2,
) -> Path:
    """Write an array (z, y, x) with a header of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image: Any = nibabel.Nifti1Image(array.transpose(), None)
    image.header.set_zooms(STEPS)
    image.header.set_qform(qform, code=1)
    image.header.set_sform(sform, code=1)
    image.header["qform_code"], image.header["sform_code"] = codes
    image.header["xyzt_units"] = unit
    nibabel.save(image, path)
    return path


def label_of(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 3, SHAPE).astype(np.uint8)


def in_itk(path: Path) -> tuple[Any, ...]:
    image = SimpleITK.ReadImage(str(path))
    return image.GetSpacing(), image.GetOrigin(), image.GetDirection()


def drawn_in_itk(image: Path, label: Path, moved: tuple[int, int, int] = (0, 0, 0)) -> Path:
    """A label written as ITK-based viewers write it: on the grid they read of the image."""
    read = SimpleITK.ReadImage(str(image))
    mask = SimpleITK.GetImageFromArray(label_of())
    mask.CopyInformation(read)
    mask.SetOrigin(read.TransformIndexToPhysicalPoint(moved))
    label.parent.mkdir(parents=True, exist_ok=True)
    SimpleITK.WriteImage(mask, str(label))
    return label


def own_data(folder: Path, codes: tuple[int, int], cases: int = 2, unit: int = 2) -> Path:
    """Volumes whose qform and sform differ, with labels that nibabel wrote."""
    describe(folder, channel_names={"0": "MR"}, labels={"background": 0, "a": 1, "b": 2}, file_ending=".nii.gz")
    for number in range(cases):
        image, label = boxes(SHAPE, number, values=(1, 2))
        file = save(folder / "imagesTr" / f"scan{number}_0000.nii.gz", image, QFORM, SFORM, codes, unit)
        drawn = nibabel.Nifti1Image(label.astype(np.uint8).transpose(), nibabel.load(file).affine)
        drawn.header["xyzt_units"] = unit
        (folder / "labelsTr").mkdir(exist_ok=True)
        nibabel.save(drawn, folder / "labelsTr" / f"scan{number}.nii.gz")
    return folder


def prepare(folder: Path, **rule: Any) -> PreparedDataset:
    prepare_dataset("mine", "nnunet", {"path": str(folder)}, rule, folder, folder.parent / "prepared")
    return PreparedDataset(folder.parent / "prepared")


# Units


@pytest.mark.parametrize("codes", [(1, 1), (1, 0), (0, 2), (0, 0)])
@pytest.mark.parametrize("unit", MM)
def test_lengths_are_in_millimetres_as_itk_has_them(tmp_path: Path, unit: int, codes: tuple[int, int]) -> None:
    path = save(tmp_path / "a.nii.gz", label_of(), codes=codes, unit=unit)
    _, spacing, affine = read_nifti(path)
    itk_spacing, itk_origin, _ = in_itk(path)
    assert spacing == pytest.approx([step * MM[unit] for step in STEPS[::-1]])
    assert spacing == pytest.approx(itk_spacing[::-1])
    assert np.linalg.norm(np.array(affine)[:3, :3], axis=0) == pytest.approx(itk_spacing, rel=1e-5)
    if codes != (0, 0):
        assert np.array(affine)[:3, 3] == pytest.approx(np.array([10, 20, 30]) * MM[unit])
        assert np.array(affine)[:3, 3] == pytest.approx(np.array(itk_origin) * (-1, -1, 1), rel=1e-5)


@pytest.mark.parametrize(("unit", "expected"), [(3, 0.003 * 1.5), (1, 3000 * 1.5), (2, 4.5), (0, 4.5)])
def test_distances_are_scored_in_millimetres(tmp_path: Path, unit: int, expected: float) -> None:
    reference = np.zeros(SHAPE, dtype=np.uint8)
    reference[2:4, 2:5, 1:4] = 1
    files = [
        save(tmp_path / f"{name}.nii.gz", array, unit=unit)
        for name, array in (("a", np.roll(reference, 3, axis=2)), ("b", reference))
    ]
    rows = score_file(*files, ("hd95", "volume_error_ml")).set_index("metric")
    assert rows.loc["hd95", "value"] == pytest.approx(expected)
    assert rows.loc["hd95", "unit"] == "mm"


def test_an_image_in_micron_and_its_label_in_millimetres_lie_on_one_grid(tmp_path: Path) -> None:
    thin = matrix(0.1, (10, 20, 30))
    image = save(tmp_path / "image.nii.gz", label_of(), thin, thin, unit=3)
    label = drawn_in_itk(image, tmp_path / "label.nii.gz")
    assert nibabel.load(label).header.get_xyzt_units()[0] == "mm"
    assert score_file(label, image, ("dice",))["value"].tolist() == [1.0, 1.0]
    moved = drawn_in_itk(image, tmp_path / "moved.nii.gz", (1, 0, 0))
    with pytest.raises(ScoringError, match="1 voxel"):
        score_file(moved, image, ("dice",))


def test_a_rule_of_spacing_is_in_millimetres(tmp_path: Path) -> None:
    prepared = prepare(own_data(tmp_path / "Dataset001_Small", (1, 1), unit=3), spacing=[0.002, 0.002, 0.0015])
    case = prepared.load("scan0")
    assert case.geometry.native_spacing == pytest.approx((0.004, 0.002, 0.0015))
    assert case.geometry.shape == (12, 8, 9)
    assert case.image.shape == (1, 12, 8, 9)
    assert any("micron" in note for note in prepared.info.notes)
    _, spacing, _ = read_label(prepared.reference_path("scan0"))
    assert spacing == pytest.approx((0.004, 0.002, 0.0015))
    assert nibabel.load(prepared.reference_path("scan0")).header.get_xyzt_units()[0] == "micron"


# Forms


codes_strategy = st.tuples(st.integers(0, 4), st.integers(0, 4))


@settings(max_examples=60, deadline=None)
@given(
    codes=codes_strategy,
    unit=st.integers(0, 7),
    angles=st.tuples(st.floats(-3, 3), st.floats(-3, 3)),
    offset=st.tuples(*[st.floats(-500, 500, width=32)] * 3),
    mirrored=st.booleans(),
)
def test_predictions_have_the_header_of_their_image(
    tmp_path_factory: pytest.TempPathFactory,
    codes: tuple[int, int],
    unit: int,
    angles: tuple[float, float],
    offset: tuple[float, float, float],
    mirrored: bool,
) -> None:
    folder = tmp_path_factory.mktemp("forms")
    forms = matrix(angles[0], offset, mirrored), matrix(angles[1], (1, 2, 3))
    path = save(folder / "image.nii.gz", label_of().astype(np.float32), *forms, codes, unit)
    _, grid = read_image(path)
    grid = Geometry.from_dict(grid.to_dict())  # by way of what is stored
    write_label(folder / "label.nii.gz", label_of(), grid)
    image, label = nibabel.load(path), nibabel.load(folder / "label.nii.gz")
    assert np.array_equal(np.asarray(label.dataobj).transpose(), label_of())
    for name in FIELDS:
        assert np.array_equal(label.header[name], image.header[name]), name
    assert np.array_equal(label.header["pixdim"][:4], image.header["pixdim"][:4])
    assert np.array_equal(label.affine, image.affine)
    assert in_itk(folder / "label.nii.gz") == in_itk(path)


def test_what_is_prepared_carries_forms_and_codes_too(tmp_path: Path) -> None:
    for number, codes in enumerate([(1, 2), (0, 0), (2, 0), (0, 3)]):
        folder = own_data(tmp_path / str(number) / "Dataset001_Scans", codes)
        prepared = prepare(folder)
        write_label(tmp_path / f"{number}.nii.gz", label_of(), prepared.geometry("scan1"))
        outside = prepare_inference_image([folder / "imagesTr" / "scan1_0000.nii.gz"], "scan1", prepared.info)
        assert outside.geometry == prepared.geometry("scan1")
        source = folder / "imagesTr" / "scan1_0000.nii.gz"
        for written in (tmp_path / f"{number}.nii.gz", prepared.reference_path("scan1")):
            assert in_itk(written) == in_itk(source)
            assert np.array_equal(nibabel.load(written).affine, nibabel.load(source).affine)
            header = nibabel.load(written).header
            assert (int(header["qform_code"]), int(header["sform_code"])) == codes
        score_file(tmp_path / f"{number}.nii.gz", prepared.reference_path("scan1"), ("dice",))


def test_a_header_that_says_what_spacing_and_affine_say_is_not_stored_again(tmp_path: Path) -> None:
    affine = QFORM.astype(np.float32).astype(float)
    label = label_of()
    grid = Geometry(SHAPE, STEPS[::-1], "mm", affine.tolist(), "nifti", SHAPE)
    write_label(tmp_path / "a.nii.gz", label, grid)
    header = read_header(tmp_path / "a.nii.gz")
    assert header == NiftiHeader.plain(affine.tolist(), STEPS[::-1])
    assert "header" not in grid.to_dict()


@pytest.mark.parametrize("codes", list(itertools.product((0, 1, 2), (0, 1, 2))))
def test_a_label_drawn_in_itk_is_accepted_and_a_moved_one_is_not(tmp_path: Path, codes: tuple[int, int]) -> None:
    folder = own_data(tmp_path / "Dataset001_Scans", codes)
    image, label = folder / "imagesTr" / "scan0_0000.nii.gz", folder / "labelsTr" / "scan0.nii.gz"
    of_nibabel = np.asarray(nibabel.load(image).affine)
    drawn_in_itk(image, label)
    elsewhere = shift(of_nibabel.tolist(), nibabel.load(label).affine.tolist(), SHAPE) > 1
    prepared = prepare(folder)
    assert np.array_equal(np.asarray(prepared.load("scan0").label), label_of())
    assert any(note.startswith(OTHER_FORM) for note in prepared.info.notes) == elsewhere
    # A prediction with the image's header and one from a tool on ITK both lie on it.
    write_label(tmp_path / "ours.nii.gz", label_of(), prepared.geometry("scan0"))
    for one, other in itertools.permutations((label, tmp_path / "ours.nii.gz", prepared.reference_path("scan0")), 2):
        assert score_file(one, other, ("dice",))["value"].tolist() == [1.0, 1.0]
    for moved in ((1, 0, 0), (0, -1, 0), (0, 0, 1)):
        drawn_in_itk(image, label, moved)
        with pytest.raises(DataError, match="the affines of image and label differ") as caught:
            prepare(folder)
        assert caught.value.file == label
        with pytest.raises(ScoringError, match="in different places"):
            score_file(label, tmp_path / "ours.nii.gz", ("dice",))


def test_a_stale_qform_that_all_files_share_makes_no_grid(tmp_path: Path) -> None:
    folder = own_data(tmp_path / "Dataset001_Scans", (1, 1))
    stale = np.diag([*STEPS, 1.0])
    image, label = boxes(SHAPE, 0, values=(1, 2))
    moved = SFORM.copy()
    moved[0, 3] += 5 * STEPS[0]
    save(folder / "imagesTr" / "scan0_0000.nii.gz", image, stale, SFORM)
    save(folder / "labelsTr" / "scan0.nii.gz", label.astype(np.uint8), stale, moved)
    with pytest.raises(DataError, match="differ by 5 voxels"):
        prepare(folder)
    with pytest.raises(ScoringError, match="differ by 5 voxels"):
        score_file(
            save(tmp_path / "a.nii.gz", label_of(), stale, SFORM), save(tmp_path / "b.nii.gz", label_of(), stale, moved)
        )


def test_channels_may_lie_by_either_form(tmp_path: Path) -> None:
    folder = own_data(tmp_path / "Dataset001_Scans", (1, 2))
    describe(folder, channel_names={"0": "T1", "1": "T2"})
    for number in range(2):
        first = folder / "imagesTr" / f"scan{number}_0000.nii.gz"
        SimpleITK.WriteImage(SimpleITK.ReadImage(str(first)), str(first).replace("_0000", "_0001"))
    assert prepare(folder).load("scan0").image.shape == (2, *SHAPE)
    for number in range(2):  # a channel that lost the unit which the first one names
        first = nibabel.load(folder / "imagesTr" / f"scan{number}_0000.nii.gz")
        values = np.asarray(first.dataobj)
        second = folder / "imagesTr" / f"scan{number}_0001.nii.gz"
        nibabel.save(nibabel.Nifti1Image(values, first.affine), second)
        first.header["xyzt_units"] = 3
        label = folder / "labelsTr" / f"scan{number}.nii.gz"
        nibabel.save(nibabel.Nifti1Image(np.asarray(nibabel.load(label).dataobj), first.affine), label)
        nibabel.save(nibabel.Nifti1Image(values, None, first.header), folder / "imagesTr" / f"scan{number}_0000.nii.gz")
    ours = prepare(folder)
    assert ours.load("scan0").geometry.native_spacing == pytest.approx((0.004, 0.002, 0.0015))
    files = [folder / "imagesTr" / f"scan0_000{number}.nii.gz" for number in range(2)]
    assert prepare_inference_image(files, "scan0", ours.info).geometry == ours.geometry("scan0")
    image, _ = boxes(SHAPE, 0, values=(1, 2))
    save(folder / "imagesTr" / "scan0_0001.nii.gz", image, matrix(0.1, (99, 20, 30)), matrix(0.1, (99, 20, 30)))
    with pytest.raises(DataError, match="the channels' grids differ"):
        prepare(folder)


def test_check_reports_units_and_forms(tmp_path: Path) -> None:
    folder = own_data(tmp_path / "Dataset001_Scans", (1, 2), cases=4)
    image, _ = boxes(SHAPE, 1, values=(1, 2))
    for number, codes, unit in ((1, (0, 0), 2), (2, (1, 1), 3)):
        source = save(folder / "imagesTr" / f"scan{number}_0000.nii.gz", image, codes=codes, unit=unit)
        drawn_in_itk(source, folder / "labelsTr" / f"scan{number}.nii.gz")
    found = check_dataset(folder)
    assert found.faults == ()
    kinds = {item.kind: item for item in found.warnings}
    assert kinds["forms"].cases == ("scan0", "scan3")
    assert kinds["forms"].text.startswith("qform and sform place 2 of 4 volumes differently")
    assert kinds["position"].cases == ("scan1",)
    assert "scan1" not in kinds["determinant"].cases
    assert kinds["unit"].cases == ("scan2",)
    assert kinds["unit"].text.startswith("1 of 4 volumes store lengths in microns")


# How far grid_distance


@settings(max_examples=60, deadline=None)
@given(
    steps=st.tuples(*[st.floats(1e-4, 1e4)] * 3),
    moved=st.tuples(*[st.floats(-3, 3)] * 3),
    angle=st.floats(-3, 3),
)
def test_a_shift_is_measured_in_voxels_at_any_scale(
    steps: tuple[float, ...], moved: tuple[float, ...], angle: float
) -> None:
    here = matrix(angle)[:3, :3] / STEPS * steps
    one = nibabel.affines.from_matvec(here, (1, 2, 3))
    edge = min(steps)
    other = one.copy()
    other[:3, 3] += here @ moved
    expected = float(np.linalg.norm(moved))
    assert shift(one.tolist(), other.tolist(), SHAPE) == pytest.approx(expected, abs=1e-6 + 1e-11 / edge)
    assert grid_distance([one.tolist()], [other.tolist()], SHAPE) == pytest.approx(expected, abs=1e-6 + 1e-11 / edge)


def test_a_shift_counts_voxels_of_the_axis_it_goes_along() -> None:
    """A tenth of a thick slice is a tenth of a voxel, however fine its pixels; a step adds up over the whole axis."""
    here = np.diag([0.5, 0.5, 8.0, 1.0])
    moved, longer = here.copy(), here.copy()
    moved[2, 3], longer[2, 2] = 0.8, 8.016
    assert shift(here.tolist(), moved.tolist(), (51, 64, 64)) == pytest.approx(0.1)
    assert shift(here.tolist(), longer.tolist(), (51, 64, 64)) == pytest.approx(50 * 0.002)


def test_one_slice_has_a_place_and_no_thickness() -> None:
    """The step of an axis of one voxel says nothing; a slice elsewhere is another slice, on files of 2 axes too."""
    here, thick, above = (np.diag([0.5, 0.5, 999.0, 1.0]) for _ in range(3))
    thick[2, 2], above[2, 3] = 0.0, 2.0
    for shape in ((1, 40, 36), (40, 36)):
        assert shift(here.tolist(), thick.tolist(), shape) == 0
        assert shift(here.tolist(), above.tolist(), shape) == pytest.approx(4.0)
        assert shift(here.tolist(), (here + np.diag([0.05 / 35, 0, 0, 0])).tolist(), shape) == pytest.approx(0.1)


def test_shifts_of_affines_without_volume_are_infinite_unless_equal() -> None:
    flat = np.zeros((4, 4))
    assert shift(flat.tolist(), flat.tolist(), SHAPE) == 0
    assert shift(flat.tolist(), np.eye(4).tolist(), SHAPE) == np.inf
    assert shift(np.eye(4).tolist(), np.full((4, 4), np.nan).tolist(), SHAPE) == np.inf
    assert candidate_affines(np.eye(4).tolist(), None) == [np.eye(4).tolist()]


# A mask that lost its image's unit, and headers that are none


@pytest.mark.parametrize("unit", [1, 3])
def test_a_mask_without_a_unit_has_its_image_s(tmp_path: Path, unit: int) -> None:
    """What `Nifti1Image(mask, image.affine)` writes of an image in micron."""
    folder = own_data(tmp_path / "Dataset001_Scans", (1, 1), unit=unit)
    for number in range(2):
        image = nibabel.load(folder / "imagesTr" / f"scan{number}_0000.nii.gz")
        path = folder / "labelsTr" / f"scan{number}.nii.gz"
        nibabel.save(nibabel.Nifti1Image(label_of(number).transpose(), image.affine), path)
        assert nibabel.load(path).header.get_xyzt_units()[0] == "unknown"
    prepared = prepare(folder)
    assert np.array_equal(np.asarray(prepared.load("scan1").label), label_of(1))
    write_label(tmp_path / "out" / "scan1.nii.gz", label_of(0), prepared.geometry("scan1"))
    label = folder / "labelsTr" / "scan1.nii.gz"
    one = score_file(tmp_path / "out" / "scan1.nii.gz", label, ("hd95",))
    other = score_file(label, tmp_path / "out" / "scan1.nii.gz", ("hd95",))
    assert one["value"].tolist() == pytest.approx(other["value"].tolist())
    assert max(one["value"]) < 40 * MM[unit]
    moved = nibabel.load(label).affine.copy()
    moved[0, 3] += STEPS[0]
    nibabel.save(nibabel.Nifti1Image(label_of(1).transpose(), moved), label)
    with pytest.raises(DataError, match="differ by 1 voxels"):
        prepare(folder)
    with pytest.raises(ScoringError, match="differ by 1 voxels"):
        score_file(label, tmp_path / "out" / "scan1.nii.gz", ("dice",))


def test_a_qform_that_is_none_is_left_out(tmp_path: Path) -> None:
    folder = own_data(tmp_path / "Dataset001_Scans", (1, 1))
    image: Any = nibabel.Nifti1Image(boxes(SHAPE, 0, values=(1, 2))[0].transpose(), None)
    image.header.set_zooms(STEPS)
    image.header.set_sform(SFORM, code=1)
    image.header["qform_code"], image.header["xyzt_units"] = 1, 2
    image.header["quatern_b"] = image.header["quatern_c"] = 1.0
    nibabel.save(image, folder / "imagesTr" / "scan0_0000.nii.gz")
    prepared = prepare(folder)
    write_label(tmp_path / "a.nii.gz", label_of(), prepared.geometry("scan0"))
    assert float(nibabel.load(tmp_path / "a.nii.gz").header["quatern_c"]) == 1.0
    assert "forms" in {item.kind for item in check_dataset(folder).warnings}
