"""Data of one's own that is edited between two runs of the same command."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.miniatures._nnunet import make_photos
from tests.workflow.conftest import Workspace

OWN = {"name": "own", "datasets": [{"name": "moles", "nnunet": "raw/Dataset001_Moles"}], "methods": ["supervised"]}


@pytest.fixture(scope="module")
def own(shared: Workspace) -> Workspace:
    """A workspace in which a suite on data of one's own was run."""
    make_photos(shared.work / "raw" / "Dataset001_Moles", cases=10)
    shared.write_suite(**OWN, figures=[{"name": "box", "kind": "box"}])
    shared.run(suite="own")
    return shared


def trained(space: Workspace) -> dict:
    """The record of the one run."""
    (card,) = space.work.glob("results/own/runs/**/run.json")
    return json.loads(card.read_text())


def files(folder: Path) -> dict[Path, tuple[int, bytes]]:
    """Everything in a folder, with its time."""
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}


def test_a_touch_plans_nothing_an_edit_prepares_again_and_a_dry_run_writes_nothing(own: Workspace) -> None:
    raw = own.work / "raw" / "Dataset001_Moles"
    for path in raw.rglob("*"):
        os.utime(path)
    image = raw / "imagesTr" / "mole_00_0000.png"
    before, pixels = files(own.work / "resources"), np.array(Image.open(image))
    assert own.planned(suite="own") == {}
    Image.fromarray(255 - pixels).save(image)
    assert own.planned(suite="own") == {"prepare": 1, "split": 1}
    assert files(own.work / "resources") == before
    Image.fromarray(pixels).save(image, compress_level=0)
    card = trained(own)
    output = own.run(suite="own")
    assert "rule prepare" in output
    assert "rule train_" not in output, "another file of the same pixels"
    assert (trained(own), own.planned(suite="own")) == (card, {})


@pytest.mark.long
def test_names_of_classes_and_patients_are_corrected(own: Workspace) -> None:
    """New names are scored under, and train nothing; other patients are split and trained on again."""
    raw = own.work / "raw" / "Dataset001_Moles"
    description = raw / "dataset.json"
    said, card = json.loads(description.read_text()), trained(own)
    said["labels"] = {"spot" if name == "mole" else name: value for name, value in said["labels"].items()}
    description.write_text(json.dumps(said))
    output = own.run(suite="own")
    assert "rule train_" not in output
    assert trained(own) == card
    assert set(pd.read_parquet(own.work / "results/own/scores.parquet")["class"]) == {"spot"}
    pairs = "".join(f"mole_{case:02d},p{case // 2}\n" for case in range(10))
    (raw / "patients.csv").write_text("case,patient\n" + pairs)
    own.run(suite="own")
    assert trained(own)["training_patients"] == 3 < card["training_patients"]
    assert set(pd.read_parquet(own.work / "results/own/scores.parquet")["patient"]) <= {f"p{n}" for n in range(5)}
    assert own.planned(suite="own") == {}


def test_results_outlive_the_folder(own: Workspace) -> None:
    shutil.rmtree(own.work / "raw")
    assert own.planned(suite="own") == {}
    (own.work / "results/own/tables/main.md").unlink()
    own.run("--", "tables", suite="own")
    assert (own.work / "results/own/tables/main.md").is_file()
