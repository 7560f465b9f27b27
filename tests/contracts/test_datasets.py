"""What every data set keeps, ours or added: whatever is registered is covered."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from contrastseg.data.download.download import locate
from contrastseg.data.download.table import DATA_TABLE, published_files
from contrastseg.data.faults import Faults
from contrastseg.data.files.formats import read_label
from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.prepare.preparation import prepare_dataset
from contrastseg.data.registry import registry
from contrastseg.data.settings import SplitSettings
from contrastseg.data.splits.cohort import Cohort
from contrastseg.data.splits.folds import SPLITS_FOLDER, read_published
from contrastseg.data.splits.splits import make_split, train_patients
from contrastseg.errors import DataError
from tests import miniatures

NAMES = registry.names()
GENERATED = [name for name in NAMES if registry.get(name).generated]
FEW = {"cases": 3}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("name", NAMES)
def test_the_card_is_complete(name: str) -> None:
    spec = registry.get(name)
    assert spec.name == name
    assert name.isidentifier()
    for field in ("title", "modality", "licence", "citation"):
        assert getattr(spec, field).strip(), field
    assert spec.classes[0] == "background"
    assert 2 <= len(set(spec.classes)) == len(spec.classes) <= 255
    assert len(set(spec.channels)) == len(spec.channels) >= 1
    assert (spec.native_format == "png") == (spec.spatial_dims == 2)
    assert spec.parse_options(None) == spec.options()
    assert spec.generated != bool(spec.folder_names)


@pytest.mark.parametrize("name", NAMES)
def test_it_says_how_to_get_it(name: str, tmp_path: Path) -> None:
    spec = registry.get(name)
    if spec.generated:
        assert locate(name, None, tmp_path) is None
        return
    with pytest.raises(DataError) as caught:
        locate(name, None, tmp_path)
    assert caught.value.remedy
    assert published_files(name, DATA_TABLE)


@pytest.mark.parametrize("name", NAMES)
def test_unknown_options_are_refused(name: str) -> None:
    with pytest.raises(DataError, match="there are"):
        registry.get(name).parse_options({"no_such_option": 1})


@pytest.mark.parametrize("name", NAMES)
def test_its_published_splits_exist(name: str, tmp_path: Path) -> None:
    spec = registry.get(name)
    files = set(spec.splits) - {"official"}
    for split in files:
        assert read_published(split)["dataset"] == name
        assert train_patients(SplitSettings(name=split), None)
    assert files == {path.stem for path in SPLITS_FOLDER.glob("*.json") if read_published(path.stem)["dataset"] == name}
    if "official" in spec.splits:
        small = miniatures.get(name)
        small.make(tmp_path / "raw")
        cohort = Cohort.of_raw(spec.discover(tmp_path / "raw", spec.parse_options(small.options), Faults()))
        assert make_split(name, cohort, SplitSettings(name="official"))["folds"]
    assert spec.split.name in ("random", *spec.splits), "its own split is one that a suite may name"


@pytest.mark.parametrize("name", [name for name in NAMES if set(registry.get(name).splits) - {"official"}])
def test_published_splits_name_patients_as_the_data_set_does(name: str, tmp_path: Path) -> None:
    spec, small = registry.get(name), miniatures.get(name)
    small.make(tmp_path / "raw")
    # A modality chooses among patients; a split is of one of them.
    modality = spec.options.model_fields.get("modality")
    modalities = get_args(modality.annotation) if modality else ()
    chosen = [small.options, *({**small.options, "modality": value} for value in modalities)]
    patients = {
        case.patient
        for options in chosen
        for case in spec.discover(tmp_path / "raw", spec.parse_options(options), Faults())
    }
    for split in set(spec.splits) - {"official"}:
        named = {patient for fold in read_published(split)["folds"] for part in fold.values() for patient in part}
        assert patients & named, f"{split} names {sorted(named)[:2]}, the data set {sorted(patients)[:2]}"


def test_every_published_split_has_its_data_set() -> None:
    assert {read_published(path.stem)["dataset"] for path in SPLITS_FOLDER.glob("*.json")} <= set(NAMES)


@pytest.mark.parametrize("name", GENERATED)
def test_generated_cases_keep_their_promises(name: str) -> None:
    spec = registry.get(name)
    options = spec.parse_options(FEW)
    found = spec.discover(None, options, Faults())
    assert spec.generated_cases is not None
    assert len(found) == spec.generated_cases(options) == 3
    assert len({raw.case for raw in found}) == 3
    assert train_patients(SplitSettings(), Cohort.of_raw(found)) == 1
    for raw in found:
        first, second = spec.load(raw, options), spec.load(raw, options)
        assert np.array_equal(first.image, second.image)
        assert np.array_equal(first.label, second.label)  # type: ignore[arg-type]
        assert np.isfinite(first.image).all()
        assert first.image.shape == (len(spec.channels), *np.shape(first.label))


@pytest.mark.parametrize("name", GENERATED)
def test_preparing_is_deterministic_and_quiet(name: str, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        prepare_dataset("entry", name, FEW, {"size": [32, 32]}, None, tmp_path / folder)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "one").rglob("*")}
    prepare_dataset("entry", name, FEW, {"size": [32, 32]}, None, tmp_path / "one")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "one").rglob("*")} == before


@pytest.mark.parametrize("name", GENERATED)
def test_the_prepared_label_brought_back_is_the_reference(name: str, tmp_path: Path) -> None:
    prepare_dataset("entry", name, FEW, None, None, tmp_path / "out")
    prepared = PreparedDataset(tmp_path / "out")
    for case in map(prepared.load, prepared.cases):
        reference, spacing, affine = read_label(prepared.reference_path(case.case))
        assert case.label is not None
        assert np.array_equal(case.geometry.to_native(case.label, 0), reference)
        assert reference.shape == case.geometry.native_shape
        assert spacing == case.geometry.native_spacing
        assert affine == case.geometry.affine
        assert set(np.unique(reference)) <= {*range(prepared.num_classes), 255}


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(GENERATED)))
def test_a_real_sample_prepares(name: str, test_data: Path, tmp_path: Path) -> None:
    spec = registry.get(name)
    if not any((test_data / folder).is_dir() for folder in spec.folder_names):
        pytest.skip(f"no sample of {name} in {test_data}")
    raw = locate(name, test_data, tmp_path)
    # Not smaller: the filter before resampling is as wide as a pixel of the result, and photographs have 4,000 a side.
    prepare_dataset("entry", name, None, {"size": [96, 96]}, raw, tmp_path / "out")
    prepared = PreparedDataset(tmp_path / "out")
    case = prepared.load(prepared.cases[0])
    assert case.image.shape[0] == prepared.in_channels
    reference, _, _ = read_label(prepared.reference_path(case.case))
    assert reference.shape == case.geometry.native_shape
    assert case.geometry.to_native(np.asarray(case.label), 0).shape == reference.shape


def test_the_data_room_never_imports_torch() -> None:
    code = (
        "import sys; from contrastseg.data.prepare import cases, preparation\n"
        "from contrastseg.data.splits import splits\n"
        "from contrastseg.data.download import download; from contrastseg.data.registry import registry;"
        "registry.specs();"
        "sys.exit(any(name in sys.modules for name in ('torch', 'matplotlib', 'skimage', 'nibabel', 'h5py')))"
    )
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
