"""Overlays from files: the slice, its geometry, and predictions that are no longer there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from contrastseg.data.files.formats import write_label
from contrastseg.data.files.geometry import Geometry
from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.evaluation.scoring.collect import COLUMNS
from contrastseg.files import write_json
from contrastseg.report.content.run_keys import run_key
from contrastseg.report.figures.overlay_cases import load_overlays
from contrastseg.report.settings import FigureSettings

CASES = ("a", "b", "c")
RUN = {"dataset": "tiny", "method": "pdcr", "variant": "rf", "labels": "n2", "draw": 0, "fold": 0, "seed": 0}
SETTINGS = [FigureSettings(name="overlays", kind="overlays"), FigureSettings(name="box", kind="box")]


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """Three volumes of four slices, prepared at half their native size in the plane."""
    folder = tmp_path / "prepared" / "tiny"
    geometry = Geometry(
        native_shape=(4, 20, 24),
        native_spacing=(8.0, 1.0, 2.0),
        unit="mm",
        affine=[[2.0, 0, 0, 0], [0, 1.0, 0, 0], [0, 0, 8.0, 0], [0, 0, 0, 1]],
        native_format="nifti",
        shape=(4, 10, 12),
    )
    card = {"entry": "tiny", "dataset": "tiny", "title": "Tiny", "modality": "none", "spatial_dims": 3, "slice_axis": 0}
    card |= {"channels": ["grey"], "classes": ["background", "disc"], "unit": "mm", "native_format": "nifti"}
    card |= {"licence": "", "citation": "", "scale": 1.0, "preparation": {}, "source": {}, "notes": []}
    write_json(folder / "dataset.json", card)
    lines = ["case,patient,frame,labelled,shape,spacing"]
    for place, case in enumerate(CASES):
        label = np.zeros((4, 20, 24), np.uint8)
        label[1, 5:9, 5:9] = 1
        label[2, 4:12, 4:12] = 1
        write_label(folder / "references" / f"{case}.nii.gz", label, geometry)
        (folder / "cases" / case).mkdir(parents=True)
        image = np.random.default_rng(place).normal(size=(1, 4, 10, 12)).astype(np.float16)
        np.save(folder / "cases" / case / "image.npy", image)
        geometry.to_json(folder / "cases" / case / "geometry.json")
        lines.append(f"{case},p{case},,true,4x10x12,8.0x2.0x4.0")
    (folder / "cases.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def run(tmp_path: Path, prepared: Path) -> Path:
    """A run's folder with a prediction for each case, each one row lower than the truth."""
    predictions = tmp_path / "run" / "predictions" / "tiny" / "last"
    data = PreparedDataset(prepared)
    for case in CASES:
        label = np.zeros((4, 20, 24), np.uint8)
        label[2, 5:13, 4:12] = 1
        write_label(predictions / f"{case}.nii.gz", label, data.geometry(case))
    write_json(predictions / "predictions.json", {"cases": {case: f"{case}.nii.gz" for case in CASES}})
    return tmp_path / "run"


def scores() -> pd.DataFrame:
    rows = [
        RUN
        | {"suite": "s", "split": "x", "label_ratio": 0.1, "labelled_patients": 2, "evaluated_on": "tiny"}
        | {"checkpoint": "last", "patient": f"p{case}", "case": case, "class": "disc", "metric": "dice"}
        | {"value": 0.5 + 0.1 * place, "unit": "1", "outcome": "scored"}
        for place, case in enumerate(CASES)
    ]
    return pd.DataFrame(rows).reindex(columns=list(COLUMNS)).astype(COLUMNS)


def test_the_slice_with_the_largest_area_on_the_native_grid(prepared, run):
    found = load_overlays(scores(), SETTINGS, prepared={"tiny": prepared}, run_folders={run_key(RUN): run})
    assert list(found) == ["overlays"]
    assert [(one.rank, one.case) for one in found["overlays"]] == [("worst", "a"), ("median", "b"), ("best", "c")]
    one = found["overlays"][0]
    assert one.image.shape == one.reference.shape == one.prediction.shape == (20, 24)
    assert (one.image.min(), one.image.max()) == (0, 1)
    assert one.reference.sum() == 64
    assert one.prediction[12, 4] == 1
    assert one.reference[12, 4] == 0
    assert one.aspect == 0.5
    assert one.place == "slice 3 of 4"


def test_a_prediction_that_is_gone_is_left_out(prepared, run):
    (run / "predictions" / "tiny" / "last" / "b.nii.gz").unlink()
    found = load_overlays(scores(), SETTINGS, prepared={"tiny": prepared}, run_folders={run_key(RUN): run})
    assert [one.rank for one in found["overlays"]] == ["worst", "best"]
    assert load_overlays(scores(), SETTINGS, prepared={"tiny": prepared}, run_folders={}) == {"overlays": []}
