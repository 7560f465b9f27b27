"""Native cases behind a prepared data set: the published arrays again, or an error that says what to do."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contrastseg.data.files.formats import read_label
from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.prepare.inference_inputs import read_inference_image
from contrastseg.data.prepare.native import NativeCases
from contrastseg.data.prepare.preparation import prepare_dataset
from contrastseg.data.registry import registry
from contrastseg.errors import DataError


@pytest.fixture
def prepared(tmp_path: Path) -> PreparedDataset:
    options = {"cases": 2, "size": [32, 40]}
    prepare_dataset("small", "phantom_lesions", options, {"size": [16, 16]}, None, tmp_path / "prepared")
    return PreparedDataset(tmp_path / "prepared")


def test_the_published_arrays_come_back_whatever_preparation_did(prepared: PreparedDataset) -> None:
    spec = registry.get("phantom_lesions")
    options = spec.parse_options(prepared.info.source["options"])
    native = NativeCases(prepared, None)
    for raw in spec.discover(None, options, Any):  # type: ignore[arg-type]
        case, published = native.load(raw.case), spec.load(raw, options)
        np.testing.assert_array_equal(case.image, published.image)
        assert published.label is not None
        np.testing.assert_array_equal(case.label, published.label)
        np.testing.assert_array_equal(case.label, read_label(prepared.reference_path(raw.case))[0])
        assert case.image.shape == (3, 32, 40)
        assert case.geometry.shape == case.geometry.native_shape == (32, 40)
        assert prepared.geometry(raw.case).shape == (16, 16)


def test_a_case_that_is_gone_or_changed_is_an_error(prepared: PreparedDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="case not found"):
        NativeCases(prepared, None).load("nobody")
    spec = registry.get("phantom_lesions")
    fewer = dataclasses.replace(spec, discover=lambda *given: spec.discover(*given)[:1])
    monkeypatch.setattr(registry, "get", lambda *given: fewer)
    with pytest.raises(DataError, match="not among the published files") as error:
        NativeCases(prepared, None).load("lesion0001")
    assert error.value.case == "lesion0001"
    other = dataclasses.replace(spec, load=lambda raw, options: _turned(spec.load(raw, options)))
    monkeypatch.setattr(registry, "get", lambda *given: other)
    with pytest.raises(DataError, match="the prepared one had"):
        NativeCases(prepared, None).load("lesion0000")
    other = dataclasses.replace(spec, load=lambda raw, options: _brighter(spec.load(raw, options)))
    monkeypatch.setattr(registry, "get", lambda *given: other)
    with pytest.raises(DataError, match="other values than the prepared one") as error:
        NativeCases(prepared, None).load("lesion0000")
    assert error.value.case == "lesion0000"


def _brighter(native: Any) -> Any:
    return dataclasses.replace(native, image=native.image // 2 + 1)


def _turned(native: Any) -> Any:
    return dataclasses.replace(native, image=native.image.transpose(0, 2, 1), label=native.label.T)


def test_real_volumes_come_back_too(test_data: Path, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    for case in ("patient011_frame01", "patient011_frame02"):
        (raw / "data").mkdir(parents=True, exist_ok=True)
        shutil.copy(test_data / "ACDC" / "data" / f"{case}.h5", raw / "data")
    prepare_dataset("acdc", "acdc", None, {"size": [32, 32]}, raw, tmp_path / "prepared")
    dataset = PreparedDataset(tmp_path / "prepared")
    native = NativeCases(dataset, raw)
    for name in dataset.cases:
        case = native.load(name)
        assert case.label is not None
        assert case.image.shape[1:] == case.label.shape == dataset.geometry(name).native_shape


def test_an_image_from_outside_keeps_its_grid_and_values(prepared: PreparedDataset, tmp_path: Path) -> None:
    from PIL import Image

    image = np.random.default_rng(0).integers(0, 255, (21, 30, 3), dtype=np.uint8)
    Image.fromarray(image).save(tmp_path / "one.png")
    case = read_inference_image([tmp_path / "one.png"], "one", prepared.info)
    np.testing.assert_array_equal(case.image, image.transpose(2, 0, 1))
    assert case.geometry.shape == case.geometry.native_shape == (21, 30)
