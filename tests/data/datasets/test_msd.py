"""The Decathlon's tasks, in small and as real samples."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from contrastseg.data.faults import Faults, FaultyCasesError
from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.prepare.preparation import prepare_dataset
from contrastseg.data.registry import registry
from contrastseg.data.splits.split_files import Split
from contrastseg.data.splits.splits import split_dataset
from contrastseg.errors import DataError
from tests import miniatures

TASKS = ("msd_brain", "msd_heart", "msd_hippocampus", "msd_prostate")


def prepare(name: str, raw: Path) -> PreparedDataset:
    prepare_dataset("entry", name, None, {"intensity": "none"}, raw, raw.parent / "out")
    return PreparedDataset(raw.parent / "out")


@pytest.mark.parametrize("name", TASKS)
def test_arrays_are_those_of_the_files(name: str, tmp_path: Path) -> None:
    small = miniatures.get(name)
    small.make(tmp_path / "raw")
    case = prepare(name, tmp_path / "raw").load(small.victim)
    image = np.asarray(nibabel.load(tmp_path / "raw" / small.image).dataobj)
    assert np.array_equal(case.image, image.T if image.ndim == 4 else image.T[None])
    assert np.array_equal(case.label, np.asarray(nibabel.load(tmp_path / "raw" / str(small.mask)).dataobj).T)


def test_resource_forks_and_test_images_are_no_cases(tmp_path: Path) -> None:
    miniatures.get("msd_heart").make(tmp_path / "raw")
    faults = Faults()
    found = registry.get("msd_heart").discover(tmp_path, None, faults)  # a folder above the task's serves as well
    assert [raw.case for raw in found] == list(miniatures.get("msd_heart").cases)
    assert not faults.found


def test_another_task_s_folder_is_refused(tmp_path: Path) -> None:
    miniatures.get("msd_prostate").make(tmp_path / "raw")
    with pytest.raises(FaultyCasesError, match=r"called la_<number>\.nii\.gz"):
        prepare("msd_heart", tmp_path / "raw")


def test_an_image_of_too_few_channels(tmp_path: Path) -> None:
    small = miniatures.get("msd_brain")
    small.make(tmp_path / "raw")
    path = tmp_path / "raw" / small.image
    image = nibabel.load(path)
    nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj)[..., :3], image.affine), path)
    with pytest.raises(DataError, match="4 channels") as caught:
        prepare("msd_brain", tmp_path / "raw")
    assert caught.value.case == small.victim


def test_five_folds_test_every_patient_once(tmp_path: Path) -> None:
    miniatures.get("msd_heart").make(tmp_path / "raw")
    prepare("msd_heart", tmp_path / "raw")
    spec = registry.get("msd_heart")
    assert spec.split.folds == 5
    split = Split.from_file(split_dataset("entry", tmp_path / "out", spec.split, tmp_path / "split.json"))
    tested = [patient for fold in range(5) for patient in split.test(fold)]
    assert sorted(tested) == sorted(miniatures.get("msd_heart").cases)


def test_the_real_hippocampi_have_one_scale_after_preparation(test_data: Path, tmp_path: Path) -> None:
    raw = test_data / "Task04_Hippocampus"
    if not raw.is_dir():
        pytest.skip("no real sample of msd_hippocampus")
    stored = {nibabel.load(path).get_data_dtype().name for path in sorted(raw.glob("imagesTr/*.nii.gz"))}
    assert stored == {"uint8", "float32"}
    prepare_dataset("entry", "msd_hippocampus", None, None, raw, tmp_path / "out")
    prepared = PreparedDataset(tmp_path / "out")
    assert len(prepared.cases) == 40
    assert prepared.info.unit == "mm"
    for case in map(prepared.load, prepared.cases):
        assert case.geometry.native_spacing == (1, 1, 1)
        assert case.image.astype(np.float32).std() == pytest.approx(1, abs=0.01)
        assert set(np.unique(case.label)) == {0, 1, 2}  # type: ignore[arg-type]
