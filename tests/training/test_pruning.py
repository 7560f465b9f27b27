"""Snapshots that no selection needs are removed, and what needs them later says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from contrastseg.errors import CheckpointError
from contrastseg.training.pruning import PRUNED, prune, require_snapshots

NAMES = ("step2", "step4", "step10", "last", "best_val")


def selection(folder: Path, evaluated_on: str, checkpoint: str) -> Path:
    """A `best_test.json` that was selected from three snapshots and last."""
    path = folder / f"{evaluated_on}.json"
    means = dict.fromkeys(["step2", "step4", "step10", "last"], 0.5)
    path.write_text(json.dumps({"checkpoint": checkpoint, "mean_dice": means}))
    return path


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    folder = tmp_path / "run" / "checkpoints"
    folder.mkdir(parents=True)
    for name in NAMES:
        (folder / f"{name}.ckpt").write_text(name)
    return folder


def left(folder: Path) -> set[str]:
    return {path.stem for path in folder.glob("*.ckpt")}


def test_what_an_oracle_selected_stays_and_other_snapshots_go(weights: Path, tmp_path: Path) -> None:
    selections = [selection(tmp_path, "lesions", "step4"), selection(tmp_path, "organs", "last")]
    record = prune(weights, selections)
    assert left(weights) == {"step4", "last", "best_val"}
    assert record == {"kept": ["step4"], "removed": ["step2", "step10"], "lost": []}
    assert json.loads((weights / PRUNED).read_text()) == record
    assert prune(weights, selections) == record, "killed and started again it comes to the same"
    # An edited metric may select what is gone: that is said.
    assert prune(weights, [selection(tmp_path, "lesions", "step10")])["lost"] == ["step10"]
    assert left(weights) == {"last", "best_val"}


def test_a_prediction_that_needs_pruned_snapshots_names_them_and_the_way_back(weights: Path, tmp_path: Path) -> None:
    files = [weights / f"{name}.ckpt" for name in NAMES[:3]]
    require_snapshots(files)
    prune(weights, [selection(tmp_path, "lesions", "step4")])
    with pytest.raises(CheckpointError, match="step2, step10") as error:
        require_snapshots(files)
    assert str(weights.parent / "run.json") in str(error.value.remedy)
    (weights / PRUNED).unlink()
    with pytest.raises(CheckpointError, match="not found: step2, step10"):
        require_snapshots(files)
