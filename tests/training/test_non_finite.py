"""A loss or a weight that is not finite stops a run, and nothing of it is saved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from contrastseg.errors import TrainingError
from contrastseg.training import checkpoints, loop
from contrastseg.training.non_finite import DUMP
from contrastseg.training.run import train


def break_at(monkeypatch: pytest.MonkeyPatch, step: int, rate: float = float("inf")) -> None:
    """The update after this many steps spoils the weights; the loss it was made of is fine."""
    whole = loop.learning_rate
    monkeypatch.setattr(loop, "learning_rate", lambda at, *rest: rate if at == step - 1 else whole(at, *rest))


def test_weights_that_are_no_numbers_are_not_saved(
    phantoms: dict[int, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_at(monkeypatch, 4)
    with pytest.raises(TrainingError, match="weights are not finite after step 4") as caught:
        train(phantoms[2].config("supervised"), tmp_path)
    saved = tmp_path / "checkpoints"
    assert caught.value.file == saved / DUMP
    assert sorted(path.name for path in saved.iterdir()) == [DUMP, checkpoints.RESUME]
    resumable = checkpoints.load(saved / checkpoints.RESUME)
    assert resumable["step"] == 2
    assert not checkpoints.not_finite(resumable["modules"])
    dump = json.loads((saved / DUMP).read_text())
    assert dump["step"] == 4
    assert dump["last_finite_step"] == 3
    assert set(dump["terms"]) == {"loss", "segmentation"}
    assert dump["learning_rate"] == float("inf")
    assert dump["gradient_norm"] > 0
    assert dump["weights"]
    assert all(name in str(caught.value.case) for names in dump["cases"].values() for name in names)


def test_a_loss_that_broke_between_two_looks_is_found_at_the_next(
    phantoms: dict[int, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_at(monkeypatch, 2)
    config = phantoms[2].config("supervised", training={"log_every": 100, "checkpoint_every": 4})
    with pytest.raises(TrainingError, match=r"the loss is not finite at step 4 \(they were at step 0\)"):
        train(config, tmp_path)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == [DUMP]
    assert json.loads((tmp_path / "checkpoints" / DUMP).read_text())["terms"]["loss"] in ("nan", "inf")
    monkeypatch.undo()
    train(config, tmp_path)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["last.ckpt"]


def test_no_checkpoint_of_any_kind_holds_what_is_no_number(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    checkpoints.save(path, {"modules": {"a": torch.ones(3), "n": torch.tensor(1)}, "config": {}})
    whole = path.read_bytes()
    for wrong in (float("nan"), float("inf")):
        with pytest.raises(TrainingError, match=r"not saved: b"):
            checkpoints.save(path, {"modules": {"a": torch.ones(3), "b": torch.tensor([1, wrong])}, "config": {}})
    assert path.read_bytes() == whole


def test_validation_between_two_rows_of_the_log_gets_a_row(phantoms: dict[int, Any], tmp_path: Path) -> None:
    training = {"log_every": 4, "validate_every": 3, "checkpoint_every": 6}
    record = train(phantoms[2].config("supervised", training=training), tmp_path)
    rows = (tmp_path / "log.csv").read_text().splitlines()
    scored = [row.split(",")[0] for row in rows[1:] if row.split(",")[-1]]
    assert scored == ["3", "6"]
    assert record["best_val_step"] in (3, 6)
