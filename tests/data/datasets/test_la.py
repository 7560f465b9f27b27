"""LA in both its layouts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from contrastseg.data.files.formats import read_label
from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.prepare.preparation import prepare_dataset
from contrastseg.data.registry import registry
from contrastseg.errors import DataError
from tests.miniatures import la

PATIENT = la.PATIENTS[1]


def prepare(raw: Path, **options: Any) -> PreparedDataset:
    prepare_dataset("entry", "la", options, {"intensity": "none"}, raw, raw.parent / "out")
    return PreparedDataset(raw.parent / "out")


def test_h5_crops_become_array_order(tmp_path: Path) -> None:
    la.make_h5(tmp_path / "raw")
    prepared = prepare(tmp_path / "raw")
    assert prepared.cases == prepared.patients == sorted(la.PATIENTS)
    assert prepared.info.unit == "voxel"
    assert "voxels" in prepared.info.notes[0]
    case = prepared.load(PATIENT)
    with h5py.File(next((tmp_path / "raw").rglob(f"{PATIENT}/mri_norm2.h5"))) as file:
        for z in range(5):
            assert np.array_equal(case.image[0, z], file["image"][:, :, z].T)
            assert np.array_equal(np.asarray(case.label)[z], file["label"][:, :, z].T)
    assert case.geometry.native_spacing is None


def test_both_layouts_hold_the_same_labels(tmp_path: Path) -> None:
    for part, make in (("h5", la.make_h5), ("nrrd", la.make)):
        make(tmp_path / part / "raw")
        prepared = prepare(tmp_path / part / "raw", layout=part)
        assert prepared.info.unit == ("mm" if part == "nrrd" else "voxel")
    first, second = (
        read_label(PreparedDataset(tmp_path / part / "out").reference_path(PATIENT))[0] for part in ("h5", "nrrd")
    )
    assert np.array_equal(first, second)


def test_h5_wins_where_both_lie(tmp_path: Path) -> None:
    la.make(tmp_path)
    la.make_h5(tmp_path)
    spec = registry.get("la")
    for layout, suffix in (("auto", ".h5"), ("h5", ".h5"), ("nrrd", ".nrrd")):
        found = spec.discover(tmp_path, spec.parse_options({"layout": layout}), None)
        assert {file.suffix for raw in found for file in raw.files} == {suffix}


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("empty", "empty"), ("cut", "cannot be read"), ("shape", "shape"), ("value", "2"), ("key", "no label")],
)
def test_faulty_h5(tmp_path: Path, fault: str, reason: str) -> None:
    la.make_h5(tmp_path / "raw")
    path = next((tmp_path / "raw").rglob(f"{PATIENT}/mri_norm2.h5"))
    content = path.read_bytes()
    if fault in ("empty", "cut"):
        path.write_bytes(content[: len(content) // 2] if fault == "cut" else b"")
    else:
        with h5py.File(path, "r+") as file:
            label = file["label"][()]
            del file["label"]
            if fault != "key":
                label[0, 0, 0] = 2 if fault == "value" else 0
                file["label"] = label[1:] if fault == "shape" else label
    with pytest.raises(DataError, match=reason) as caught:
        prepare(tmp_path / "raw")
    assert caught.value.case == PATIENT
    assert caught.value.file == path


def test_the_real_crops(test_data: Path, tmp_path: Path) -> None:
    raw = test_data / "LA"
    if not raw.is_dir():
        pytest.skip("no real sample of la")
    prepare_dataset("entry", "la", None, {"size": [24, 24]}, raw, tmp_path / "out")
    prepared = PreparedDataset(tmp_path / "out")
    listed = {line for name in ("train", "test") for line in (raw / f"{name}.list").read_text().split()}
    assert set(prepared.patients) <= listed
    for case in map(prepared.load, prepared.cases):
        assert case.geometry.native_shape[0] == 88, "the challenge's images have 88 slices"
        assert set(np.unique(case.label)) == {0, 1}  # type: ignore[arg-type]
