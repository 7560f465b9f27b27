"""Which files in a folder from outside are one case, and what their channels come to."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from contrastseg.data.prepare.cases import DatasetJson, PreparedDataset
from contrastseg.data.prepare.inference_inputs import inference_cases, read_inference_image
from contrastseg.data.prepare.preparation import prepare_dataset
from contrastseg.errors import DataError

SHAPE = (5, 6, 4)


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> DatasetJson:
    """The card of a data set of volumes; tests give it other channels."""
    folder = tmp_path_factory.mktemp("volumes") / "out"
    prepare_dataset("x", "phantom_organs", {"cases": 1}, None, None, folder)
    return PreparedDataset(folder).info


def with_channels(info: DatasetJson, *names: str) -> DatasetJson:
    return info.model_copy(update={"channels": names})


def volume(path: Path, value: float, step: float = 2.0) -> None:
    nibabel.save(nibabel.Nifti1Image(np.full(SHAPE, value, np.float32), np.diag([step, 1.0, 1.0, 1.0])), path)


def folder_of(tmp_path: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        volume(tmp_path / name, number)
    return tmp_path


def test_one_channel_in_nnunet_s_names_is_called_by_the_case(volumes: DatasetJson, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "a_0000.nii.gz", "b.c_0000.nii.gz")
    found = inference_cases(folder, with_channels(volumes, "ct"))
    assert found == {"a": (folder / "a_0000.nii.gz",), "b.c": (folder / "b.c_0000.nii.gz",)}
    assert inference_cases(folder / "a_0000.nii.gz", with_channels(volumes, "ct")).keys() == {"a"}


def test_channels_are_put_together_in_the_order_of_their_numbers(volumes: DatasetJson, tmp_path: Path) -> None:
    info = with_channels(volumes, "t1", "t2")
    folder = folder_of(tmp_path, "a_0001.nii.gz", "a_0000.nii.gz")
    ((case, files),) = inference_cases(folder, info).items()
    read = read_inference_image(files, case, info)
    assert (read.case, read.image.shape) == ("a", (2, *SHAPE[::-1]))
    assert read.image[:, 0, 0, 0].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("names", "channels"),
    [
        (("frame_0000.nii", "frame_0001.nii"), ("ct",)),  # a series, and not two channels of one case
        (("scan_2019.nii", "scan_2020.nii"), ("ct",)),
        (("a_0000.nii", "b.nii"), ("ct",)),
        (("a_0000.nii", "a_0001.nii", "b_0000.nii"), ("t1", "t2")),  # read one by one, where it is said what b lacks
    ],
)
def test_other_numbers_belong_to_the_name(
    volumes: DatasetJson, tmp_path: Path, names: tuple[str, ...], channels: tuple[str, ...]
) -> None:
    found = inference_cases(folder_of(tmp_path, *names), with_channels(volumes, *channels))
    assert found == {name.removesuffix(".nii"): (tmp_path / name,) for name in names}


def test_too_few_channels_and_channels_apart_are_refused(volumes: DatasetJson, tmp_path: Path) -> None:
    info = with_channels(volumes, "t1", "t2")
    volume(tmp_path / "a_0000.nii", 0)
    volume(tmp_path / "a_0001.nii", 1, step=2.5)
    with pytest.raises(DataError, match="1 channels of 3 dimensions") as caught:
        read_inference_image([tmp_path / "a_0000.nii"], "a", info)
    assert "case_0000 to case_0001" in str(caught.value.remedy)
    with pytest.raises(DataError, match=r"grids differ: a_0000\.nii and a_0001\.nii"):
        read_inference_image([tmp_path / "a_0000.nii", tmp_path / "a_0001.nii"], "a", info)


def test_a_photograph_holds_three_channels_in_one_file(volumes: DatasetJson, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((4, 4, 3), dtype=np.uint8)).save(tmp_path / "a_0000.png")
    assert inference_cases(tmp_path, with_channels(volumes, "red", "green", "blue")).keys() == {"a"}
