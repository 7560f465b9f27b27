"""TIFF files: the values nnU-Net's own readers give, photographs and volumes, and where both are refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from contrastseg.data.files.formats import read_label
from contrastseg.data.files.photographs import open_photo
from contrastseg.data.files.tiff import read_spacing, read_tiff, read_tiff_label
from contrastseg.data.inspect.dataset_check import check_dataset
from contrastseg.data.prepare.cases import DatasetJson, PreparedDataset
from contrastseg.data.prepare.inference_inputs import inference_cases, prepare_inference_image
from contrastseg.data.prepare.preparation import prepare_dataset
from contrastseg.data.registry import registry
from contrastseg.errors import DataError
from contrastseg.evaluation.scoring.scoring import score_folder
from tests.miniatures._files import boxes
from tests.miniatures._nnunet import describe

SPACING = (4.0, 1.5, 1.25)


def photographs(folder: Path, ending: str = ".tif", dtype: type = np.uint8, colours: bool = True) -> Path:
    names = ("R", "G", "B") if colours else ("grey",)
    described = {"channel_names": dict(enumerate(names)), "labels": {"background": 0, "cell": 1}, "numTraining": 4}
    describe(folder, **described, file_ending=ending)
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir()
    for number in range(4):
        image, label = boxes((24, 30), number, values=(1,), channels=len(names))
        stored = (image * 100 * (200 if dtype is np.uint16 else 1)).astype(dtype)
        stored = stored.transpose(1, 2, 0) if colours else stored[0]
        tifffile.imwrite(folder / f"imagesTr/c{number}_0000{ending}", stored)
        tifffile.imwrite(folder / f"labelsTr/c{number}{ending}", label.astype(np.uint8))
    return folder


def volumes(folder: Path, ending: str = ".tif", spacing: bool = True) -> Path:
    labels = {"background": 0, "core": 1, "rim": 2}
    describe(folder, channel_names={"0": "a", "1": "b"}, labels=labels, numTraining=4, file_ending=ending)
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir()
    for number in range(4):
        image, label = boxes((5, 24, 30), number, values=(1, 2), channels=2)
        for channel, array in enumerate(image):
            tifffile.imwrite(folder / f"imagesTr/v{number}_{channel:04d}{ending}", (array * 5000).astype(np.uint16))
        tifffile.imwrite(folder / f"labelsTr/v{number}{ending}", label.astype(np.uint16))
        if spacing:
            for part in ("imagesTr", "labelsTr"):
                (folder / part / f"v{number}.json").write_text(json.dumps({"spacing": SPACING}))
    return folder


def prepared(folder: Path) -> PreparedDataset:
    output = folder.parent / f"{folder.name}-prepared"
    prepare_dataset("mine", "nnunet", {"path": str(folder)}, {"intensity": "none"}, folder, output)
    return PreparedDataset(output)


@pytest.mark.parametrize(
    ("dtype", "colours"), [(np.uint8, True), (np.uint8, False), (np.uint16, False), (np.uint16, True)]
)
def test_photographs_have_the_values_nnunet_reads(tmp_path: Path, dtype: type, colours: bool) -> None:
    from nnunetv2.imageio.natural_image_reader_writer import NaturalImage2DIO

    folder = photographs(tmp_path / "Dataset001_Cells", dtype=dtype, colours=colours)
    spec = registry.get("nnunet", {"path": str(folder)})
    assert (spec.spatial_dims, spec.native_format) == (2, "png")
    dataset = prepared(folder)
    for case in dataset.cases:
        theirs = NaturalImage2DIO().read_images((str(folder / f"imagesTr/{case}_0000.tif"),))[0]
        found = dataset.load(case)
        assert np.array_equal(found.image, theirs[:, 0])
        assert np.array_equal(np.asarray(found.label), tifffile.imread(folder / f"labelsTr/{case}.tif"))
    assert dataset.info.unit == "pixel"


@pytest.mark.parametrize("ending", [".tif", ".tiff"])
def test_volumes_have_the_values_and_the_spacing_nnunet_reads(tmp_path: Path, ending: str) -> None:
    from nnunetv2.imageio.tif_reader_writer import Tiff3DIO

    folder = volumes(tmp_path / "Dataset002_Stacks", ending)
    spec = registry.get("nnunet", {"path": str(folder)})
    assert (spec.spatial_dims, spec.native_format) == (3, "nifti")
    dataset = prepared(folder)
    for case in dataset.cases:
        files = tuple(str(folder / f"imagesTr/{case}_{channel:04d}{ending}") for channel in range(2))
        theirs, properties = Tiff3DIO().read_images(files)
        found = dataset.load(case)
        assert np.array_equal(found.image, theirs)
        assert list(found.geometry.native_spacing or ()) == properties["spacing"] == list(SPACING)
        reference, spacing, _ = read_label(dataset.reference_path(case))
        assert np.array_equal(reference, tifffile.imread(folder / f"labelsTr/{case}{ending}"))
        assert spacing == SPACING
    assert dataset.info.unit == "mm"
    assert [one for one in check_dataset(folder).warnings if one.kind == "not read"] == [
        one for one in check_dataset(folder).warnings if "labelsTr/v0.json" in one.cases
    ]


def test_volumes_without_a_spacing_are_measured_in_voxels(tmp_path: Path) -> None:
    dataset = prepared(volumes(tmp_path / "Dataset002_Stacks", spacing=False))
    assert dataset.info.unit == "voxel"
    assert dataset.load("v1").image.shape == (2, 5, 24, 30)


def test_a_changed_spacing_prepares_its_case_again(tmp_path: Path) -> None:
    folder = volumes(tmp_path / "Dataset002_Stacks")
    prepared(folder)
    (folder / "imagesTr/v1.json").write_text('{"spacing": [8, 1, 1]}')
    assert prepared(folder).geometry("v1").native_spacing == (8, 1, 1)


@pytest.mark.parametrize("text", ["{}", '{"spacing": [1, 1]}', '{"spacing": [1, 0, 1]}', '{"spacing": "x"}', "[1]"])
def test_a_spacing_that_is_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "v1.json"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        read_spacing(path)
    assert "[z, y, x]" in str(caught.value.remedy)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((2, 5, 8, 9), dtype=np.uint8), "axes"),
        (np.zeros((8, 9), dtype=np.complex64), "type complex64"),
    ],
)
def test_other_contents_are_refused(tmp_path: Path, array: np.ndarray, words: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", array)
    with pytest.raises(DataError, match=words) as caught:
        read_tiff(tmp_path / "a.tif", "a")
    assert caught.value.remedy


def test_transparency_is_dropped_and_photographs_are_turned_upright(tmp_path: Path) -> None:
    image = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb", extrasamples=["unassalpha"])
    assert np.array_equal(read_tiff(tmp_path / "a.tif"), image[..., :3].transpose(2, 0, 1))
    for orientation in range(1, 9):
        path = tmp_path / f"{orientation}.tif"
        tifffile.imwrite(path, image[..., 0], extratags=[(274, "H", 1, orientation, True)])
        with open_photo(path) as opened:
            assert np.array_equal(read_tiff(path)[0], np.asarray(opened))


def test_a_truncated_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.ones((300, 300), dtype=np.uint16))
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(DataError, match="cannot be read"):
        read_tiff(path, "a")


def test_a_photograph_among_volumes(tmp_path: Path) -> None:
    folder = volumes(tmp_path / "Dataset002_Stacks")
    tifffile.imwrite(folder / "imagesTr/v2_0000.tif", np.zeros((24, 30), dtype=np.uint16))
    (fault,) = check_dataset(folder).faults
    assert (fault.case, "do not fit together" in fault.reason) == ("v2", True)


def test_images_from_outside_are_read_alike(tmp_path: Path) -> None:
    folder = volumes(tmp_path / "Dataset002_Stacks")
    dataset = prepared(folder)
    info: DatasetJson = dataset.info
    files = inference_cases(folder / "imagesTr", info)
    found = prepare_inference_image(files["v3"], "v3", info)
    assert np.array_equal(found.image, dataset.load("v3").image)
    assert found.geometry.native_spacing == SPACING


def test_coloured_photographs_in_nnunet_s_names_are_called_by_the_case(tmp_path: Path) -> None:
    folder = photographs(tmp_path / "Dataset001_Cells")
    found = inference_cases(folder / "imagesTr", prepared(folder).info)
    assert found == {f"c{number}": (folder / f"imagesTr/c{number}_0000.tif",) for number in range(4)}


@pytest.mark.parametrize("ending", [".tif", ".TIFF"])
@pytest.mark.parametrize("stored", ["0/255", "one bit"])
def test_masks_in_tiff_are_scored(tmp_path: Path, ending: str, stored: str) -> None:
    truth = np.zeros((20, 24), np.uint8)
    truth[4:12, 6:18] = 1
    for name, mask in (("p", np.roll(truth, 2, axis=0)), ("r", truth)):
        (tmp_path / name).mkdir()
        written = mask * np.uint8(255) if stored == "0/255" else mask.astype(bool)
        tifffile.imwrite(tmp_path / name / f"a{ending}", written, photometric="minisblack")
    rows = score_folder(tmp_path / "p", tmp_path / "r", ("dice", "hd95"), announce=lambda _: None)
    assert rows[["metric", "value", "unit"]].to_numpy().tolist() == [["dice", 0.75, "1"], ["hd95", 2.0, "pixel"]]


@pytest.mark.parametrize(("spacing", "distance", "unit"), [(True, 3.0, "mm"), (False, 2.0, "voxel")])
def test_volumes_in_tiff_are_scored_with_the_spacing_beside_them(
    tmp_path: Path, spacing: bool, distance: float, unit: str
) -> None:
    truth = np.zeros((5, 20, 24), np.uint8)
    truth[1:4, 4:12, 6:18] = 1
    for name, mask in (("p", np.roll(truth, 2, axis=1)), ("r", truth)):
        (tmp_path / name).mkdir()
        tifffile.imwrite(tmp_path / name / "a.tif", mask, photometric="minisblack")
        if spacing:
            (tmp_path / name / "a.json").write_text(json.dumps({"spacing": SPACING}))
    rows = score_folder(tmp_path / "p", tmp_path / "r", ("dice", "hd"), announce=lambda _: None)
    assert rows[["metric", "value", "unit"]].to_numpy().tolist() == [["dice", 0.75, "1"], ["hd", distance, unit]]


def test_a_palette_that_falls_is_no_label(tmp_path: Path) -> None:
    indices = np.zeros((6, 8), np.uint8)
    indices[2:, 2:] = 1
    rising = np.repeat(np.arange(256, dtype=np.uint16)[None] * 257, 3, axis=0)
    for name, colours in (("rising", rising), ("falling", rising[:, ::-1])):
        tifffile.imwrite(tmp_path / f"{name}.tif", indices, photometric="palette", colormap=colours)
    assert np.array_equal(read_tiff_label(tmp_path / "rising.tif"), indices)
    with pytest.raises(DataError, match="palette"):
        read_tiff_label(tmp_path / "falling.tif")
