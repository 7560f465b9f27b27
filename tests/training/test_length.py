"""A length in epochs: how many steps it is, and that it is nothing else than these steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.splits.split_files import Split
from contrastseg.errors import TrainingError
from contrastseg.training import checkpoints
from contrastseg.training.assembly import stage_training
from contrastseg.training.length import in_steps, stage_steps, steps_of_epochs
from contrastseg.training.run import train
from contrastseg.training.settings import TrainingSettings
from contrastseg.training.stages import merge
from contrastseg.training.training_cases import own_cases


@pytest.mark.parametrize(
    ("images", "steps"),
    [(900, 4200), (2000, 9300), (80, 300), (225, 900), (20, 300)],
    ids=["ISIC 2016", "ISIC 2017", "Montgomery", "a quarter of ISIC 2016", "less than a batch"],
)
def test_epochs_of_pdcr(images: int, steps: int) -> None:
    """300 epochs of batches of 64, the incomplete one dropped: train.py:52-57 there."""
    training = TrainingSettings(epochs=300, batch_size=64, unlabelled_batch_size=10)
    assert steps_of_epochs(training, images, "labelled") == steps
    assert steps_of_epochs(training, images, "unlabelled") == 300 * (images // 10)
    assert steps_of_epochs(TrainingSettings(steps=7), images, "labelled") == 7


def test_there_is_one_length() -> None:
    for wrong in ({"epochs": 3, "steps": 5}, {"steps": None}, {"epochs": 0}):
        with pytest.raises(ValidationError):
            TrainingSettings.model_validate(wrong)
    assert TrainingSettings().steps == 1000
    assert "steps" not in TrainingSettings().model_fields_set
    asked = TrainingSettings(epochs=3)
    assert asked.steps is None
    assert TrainingSettings.model_validate(asked.model_dump()) == asked
    with pytest.raises(TrainingError, match="3 epochs"):
        _ = asked.length
    for base, override, found in (
        (asked, {"steps": 5}, (5, None)),
        (asked, {"batch_size": 2}, (None, 3)),
        (TrainingSettings(steps=4), {"epochs": 2}, (None, 2)),
    ):
        merged = TrainingSettings.model_validate(merge(base.model_dump(), override))
        assert (merged.steps, merged.epochs) == found


def in_epochs(phantom: Any, method: str = "supervised", **more: Any) -> Any:
    return phantom.config(method, training={"steps": None, "epochs": 3, "checkpoint_every": 100}, **more)


def test_steps_of_stages(phantoms: dict[int, Any]) -> None:
    def steps(config: Any) -> int:
        return stage_steps(config, stage_training(config))

    flat, deep = phantoms[2], phantoms[3]
    assert steps(in_epochs(flat, labels="n3")) == 3 * (3 // 2)
    assert steps(in_epochs(flat, labels="n1")) == 3
    assert steps(in_epochs(flat, "mean_teacher", labels="n2")) == 3 * (2 // 2), "labelled images are counted"
    train_cases = len(Split.from_file(flat.split).train(0))
    assert steps(in_epochs(flat, "simclr", stage="pretrain")) == 3 * (train_cases // 2), "of all patients"
    assert steps(in_epochs(deep, labels="n3")) == 3 * (3 // 2)
    dataset, split = PreparedDataset(deep.data), Split.from_file(deep.split)
    slices = sum(dataset.geometry(case).shape[0] for case in dataset.cases_of(split.labelled("n3")))
    sliced = in_epochs(deep, labels="n3").model_copy(update={"spatial_dims": 2})
    assert steps(sliced) == 3 * (slices // 2) > 9


def test_a_warm_up_in_epochs_goes_by_the_budget(phantoms: dict[int, Any]) -> None:
    config = in_epochs(phantoms[2], labels="n4")
    optimiser = config.training.optimiser.model_copy(update={"warmup_epochs": 2})
    training = config.training.model_copy(update={"optimiser": optimiser})
    dataset, split = PreparedDataset(config.data), Split.from_file(config.split)
    for labels, warmup in (("n4", 4), ("n1", 2)):
        cases = own_cases(config.model_copy(update={"labels": labels}), dataset, split)
        assert in_steps(training, config, cases).optimiser.warmup_steps == warmup
    for wrong in ({"steps": 9}, {"epochs": 3, "optimiser": {"warmup_epochs": 1, "warmup_steps": 1}}):
        with pytest.raises(ValidationError, match="warmup_epochs"):
            TrainingSettings.model_validate({"optimiser": {"warmup_epochs": 1}, **wrong})


def test_a_run_in_epochs_is_the_run_in_steps(phantoms: dict[int, Any], tmp_path: Path) -> None:
    """Schedule, ramp and last checkpoint end where its steps do."""
    config = in_epochs(phantoms[2], "mean_teacher", labels="n2")
    other = phantoms[2].config("mean_teacher", training={"steps": 3, "checkpoint_every": 100}, labels="n2")
    records = [train(each, tmp_path / name) for name, each in (("epochs", config), ("steps", other))]
    assert [record["steps"] for record in records] == [3, 3]
    assert [(record["training"]["epochs"], record["training"]["steps"]) for record in records] == [(3, 3), (None, 3)]
    weights = [checkpoints.load(tmp_path / name / "checkpoints" / "last.ckpt") for name in ("epochs", "steps")]
    assert all(torch.equal(value, weights[1]["modules"][name]) for name, value in weights[0]["modules"].items())
