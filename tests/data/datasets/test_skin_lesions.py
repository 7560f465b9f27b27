"""ISIC 2016, ISIC 2017 and PH2: parts, odd files and the samples."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from contrastseg.data.faults import Faults, FaultyCasesError
from contrastseg.data.files.formats import read_label
from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.prepare.preparation import prepare_dataset
from contrastseg.data.readers.specs import RawCase
from contrastseg.data.registry import registry
from contrastseg.errors import DataError
from tests import miniatures

SMALL = {"size": [24, 24]}
# Of photographs with 4,000 pixels a side: the filter before resampling is as wide as a pixel of the result.
SAMPLE = {"size": [96, 96]}


@pytest.fixture
def make(tmp_path: Path):
    def make(name: str) -> Path:
        miniatures.get(name).make(tmp_path / name)
        return tmp_path / name

    return make


def discover(name: str, raw: Path) -> list[RawCase]:
    spec, faults = registry.get(name), Faults()
    cases = spec.discover(raw, spec.parse_options(None), faults)
    faults.raise_any()
    return cases


def test_parts_are_the_publishers(make) -> None:
    parts = {case.case: case.part for case in discover("isic2016", make("isic2016"))}
    assert parts == {**{f"ISIC_000000{n}": "train" for n in (0, 1, 2, 4)}, "ISIC_0000003": "test"}
    parts = [case.part for case in discover("isic2017", make("isic2017"))]
    assert parts == ["train"] * 3 + ["val"] + ["test"] * 2
    assert {case.part for case in discover("ph2", make("ph2"))} == {"test"}


def test_the_parts_reach_the_prepared_index(make, tmp_path: Path) -> None:
    prepare_dataset("isic2017", "isic2017", None, SMALL, make("isic2017"), tmp_path / "out")
    index = PreparedDataset(tmp_path / "out").index
    assert index.part.tolist() == ["train"] * 3 + ["val"] + ["test"] * 2
    assert index.patient.tolist() == index.case.tolist()


def test_a_grey_photograph_has_three_channels(make, tmp_path: Path) -> None:
    raw = make("isic2016")
    with Image.open(raw / "ISBI2016_ISIC_Part1_Training_Data/ISIC_0000002.jpg") as image:
        assert image.mode == "L"
    prepare_dataset("isic2016", "isic2016", None, SMALL, raw, tmp_path / "out")
    image = PreparedDataset(tmp_path / "out").load("ISIC_0000002").image
    assert image.shape == (3, 24, 24)
    assert image.dtype == np.uint8
    assert (image[0] == image[2]).all()


@pytest.mark.parametrize("name", ["isic2016", "isic2017"])
def test_a_case_in_two_parts(make, name: str) -> None:
    small, raw = miniatures.get(name), make(name)
    for file in (small.image, str(small.mask)):
        target = raw / file.replace("Training", "Test" if name == "isic2016" else "Validation")
        shutil.copy(raw / file, target)
    other = "test" if name == "isic2016" else "val"
    with pytest.raises(DataError, match=f"there twice, in the parts train and {other}") as caught:
        discover(name, raw)
    assert caught.value.case == small.victim
    assert caught.value.file is not None


def test_image_and_mask_in_different_parts_are_no_pair(make) -> None:
    raw = make("isic2016")
    mask = raw / str(miniatures.get("isic2016").mask)
    mask.rename(raw / "ISBI2016_ISIC_Part1_Test_GroundTruth" / mask.name)
    with pytest.raises(FaultyCasesError) as caught:
        discover("isic2016", raw)
    assert [fault.reason for fault in caught.value.faults] == ["the image has no mask", "the mask has no image"]


def test_super_pixels_are_skipped_and_strangers_are_not(make) -> None:
    raw = make("isic2017")
    assert len(list(raw.rglob("*_superpixels.png"))) == 6
    image = raw / miniatures.get("isic2017").image
    shutil.copy(image, image.with_name("ISIC_0000002 (copy).jpg"))
    with pytest.raises(DataError, match="none of this data set's") as caught:
        discover("isic2017", raw)
    assert caught.value.file == image.with_name("ISIC_0000002 (copy).jpg")


def test_images_of_isic_2017_without_masks_are_cases_without_labels(make, tmp_path: Path) -> None:
    raw, spec = make("isic2017"), registry.get("isic2017")
    (raw / str(miniatures.get("isic2017").mask)).unlink()
    shutil.rmtree(raw / "ISIC-2017_Test_v2_Part1_GroundTruth")
    with pytest.raises(FaultyCasesError) as caught:
        discover("isic2017", raw)
    bare = ["ISIC_0000002", "ISIC_0012086", "ISIC_0012092"]
    assert [fault.case for fault in caught.value.faults] == bare
    faults = Faults()
    cases = spec.discover(raw, spec.parse_options({"unlabelled": True}), faults)
    faults.raise_any()
    assert [case.case for case in cases if not case.labelled] == bare
    assert [case.part for case in cases] == ["train"] * 3 + ["val"] + ["test"] * 2
    prepare_dataset("pool", "isic2017", {"unlabelled": True}, SMALL, raw, tmp_path / "out")
    prepared = PreparedDataset(tmp_path / "out")
    assert prepared.load("ISIC_0012086").image.shape == (3, 24, 24)
    assert prepared.cases_of(prepared.index.patient.tolist(), labelled=False) == bare


def test_a_copy_of_the_images_alone_prepares(make, tmp_path: Path) -> None:
    raw = make("isic2017")
    for masks in raw.glob("*_GroundTruth"):
        shutil.rmtree(masks)
    prepare_dataset("pool", "isic2017", {"unlabelled": True}, SMALL, raw, tmp_path / "out")
    prepared = PreparedDataset(tmp_path / "out")
    assert len(prepared.cases_of(prepared.index.patient.tolist(), labelled=False)) == 6


def test_ph2_reads_bitmaps_only(make) -> None:
    raw = make("ph2")
    names = [path.name for case in discover("ph2", raw) for path in case.files]
    assert names == [f"IMD{n}{suffix}.bmp" for n in ("002", "003", "417") for suffix in ("", "_lesion")]
    (raw / str(miniatures.get("ph2").mask)).unlink()
    with pytest.raises(DataError, match="no mask"):  # the JPEG copy beside it does not stand in
        discover("ph2", raw)


@pytest.mark.parametrize("name", ["isic2016", "isic2017", "ph2"])
def test_a_folder_of_something_else(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no case"):
        discover(name, tmp_path)
    with pytest.raises(DataError, match="not on this machine"):
        discover(name, tmp_path / "nowhere")


def test_jpeg_masks_of_the_sample_have_the_areas_above_127(test_data: Path, tmp_path: Path) -> None:
    raw = test_data / "ISIC2016"
    prepare_dataset("isic2016", "isic2016", None, SAMPLE, raw, tmp_path / "out")
    prepared = PreparedDataset(tmp_path / "out")
    assert prepared.index.part.value_counts().to_dict() == {"train": 6, "test": 6}
    assert prepared.info.notes == ["greys in the mask, thresholded at 127 (12 of 12 cases)"]
    swollen = 0
    for case in prepared.cases:
        with Image.open(next(raw.rglob(f"{case}_Segmentation.jpg"))) as mask:
            grey = np.asarray(mask.convert("L"))
        assert read_label(prepared.reference_path(case))[0].sum() == (grey > 127).sum()
        swollen += int((grey > 0).sum() - (grey > 127).sum())
    assert swollen > 0  # what a threshold above 0 would have added


def test_the_other_samples(test_data: Path, tmp_path: Path) -> None:
    for name, folder, count, part in (("isic2017", "ISIC2017", 4, "train"), ("ph2", "PH2Dataset", 3, "test")):
        prepare_dataset(name, name, None, SAMPLE, test_data / folder, tmp_path / name)
        prepared = PreparedDataset(tmp_path / name)
        assert prepared.index.part.tolist() == [part] * count
        assert prepared.info.notes == []
    sizes = {PreparedDataset(tmp_path / "ph2").geometry(case).native_shape for case in ("IMD003", "IMD045", "IMD137")}
    assert sizes == {(574, 765), (573, 765), (576, 767)}
