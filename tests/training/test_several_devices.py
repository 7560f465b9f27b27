"""One run on several devices: here processes on the CPU, which talk through gloo."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.splits.split_files import Split
from contrastseg.errors import DeviceError, TrainingError
from contrastseg.methods import registry
from contrastseg.training import checkpoints, devices
from contrastseg.training.assembly import build_method
from contrastseg.training.batches import Batches, Source
from contrastseg.training.loop import learning_rate
from contrastseg.training.optimiser import build_optimiser
from contrastseg.training.run import train
from contrastseg.training.settings import RunConfig
from contrastseg.training.storage import Storage

SCRIPT = """
import sys
from pathlib import Path
from contrastseg.training.run import train
from contrastseg.training.settings import RunConfig
if __name__ == "__main__":
    train(RunConfig.model_validate_json(Path(sys.argv[1]).read_text()), sys.argv[2])
"""
STILL = {"flip_axes": [], "rotation_degrees": 0, "scale": [1, 1], "shift": 0, "brightness": 0, "noise": 0}
TRAINING = {
    "devices": 2,
    "batch_size": 4,
    "steps": 4,
    "checkpoint_every": 2,
    "optimiser": {"name": "sgd", "learning_rate": 0.1, "clip_norm": None},
    "augmentation": STILL,
}


def run(config: RunConfig, folder: Path) -> Path:
    """Train in processes of their own."""
    (folder / "train.py").write_text(SCRIPT)
    (folder / "config.json").write_text(config.model_dump_json())
    command = [sys.executable, str(folder / "train.py"), str(folder / "config.json"), str(folder / "run")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / "run"


def by_hand(config: RunConfig) -> dict[str, torch.Tensor]:
    """The same steps in one process: the mean of the gradients that the shares of the batch have."""
    training, dataset = config.training, PreparedDataset(config.data)
    cases = dataset.cases_of(Split.from_file(config.split).labelled(config.labels))
    data = Storage(dataset, cases, with_labels=True, spatial_dims=2, device=torch.device("cpu"))
    method = build_method(config, dataset.in_channels, dataset.num_classes)
    views = dict(registry.get(config.method).stage("train").views)
    shares = []
    for rank in range(2):
        rest = (config.seed, training.augmentation, training.foreground_fraction, rank, 2)
        source = Source("labelled", data, 2, training.patch_size, *rest)
        shares.append(Batches({"labelled": source}, views))
    method.modules.train()
    optimiser = build_optimiser(list(method.modules.parameters()), training.optimiser)
    for step in range(training.steps):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, training.steps, training.optimiser)
        optimiser.zero_grad()
        for share in shares:
            (torch.stack(list(method.training_step(share(step), step).values())).sum() / 2).backward()
        optimiser.step()
    return method.modules.state_dict()


@pytest.mark.learns
def test_two_processes_share_the_batch_and_step_together(phantoms: dict[int, Any], tmp_path: Path) -> None:
    config = phantoms[2].config("supervised", training=TRAINING)
    folder = run(config, tmp_path)
    found = checkpoints.load(folder / "checkpoints" / "last.ckpt")["modules"]
    expected = by_hand(config)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=1e-5, rtol=1e-4)
    assert json.loads((folder / "run.json").read_text())["training"]["devices"] == 2
    with open(folder / "log.csv", newline="") as file:
        assert [int(row["step"]) for row in csv.DictReader(file)] == [1, 2, 3, 4]
    assert len(list((folder / "tensorboard").iterdir())) == 1, "one process writes"


def test_together_they_draw_the_units_of_one_process(phantoms: dict[int, Any]) -> None:
    dataset = PreparedDataset(phantoms[2].data)
    data = Storage(dataset, dataset.cases, with_labels=False, spatial_dims=2, device=torch.device("cpu"))
    settings = phantoms[2].config("supervised").training.augmentation
    whole = Source("labelled", data, 4, (32, 32), 0, settings)
    shares = [Source("labelled", data, 2, (32, 32), 0, settings, rank=rank, world=2) for rank in range(2)]
    for step in range(5):
        assert whole.units(step) == [unit for share in shares for unit in share.units(step)]


def test_what_cannot_be_shared_is_refused(phantoms: dict[int, Any], tmp_path: Path) -> None:
    config = phantoms[2].config("supervised", training={**TRAINING, "batch_size": 3})
    with pytest.raises(AssertionError, match="a batch of 3 labelled samples cannot be shared out to 2 devices"):
        run(config, tmp_path)
    with pytest.raises(TrainingError, match="on one device"):
        train(phantoms[2].config("nnunet", training={"devices": 2}), tmp_path / "own")


def test_all_devices_of_a_run_are_claimed_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONTRASTSEG_CLAIMED", raising=False)
    three = {devices.PRETENDED: "3"}
    both = devices.allocate(count=2, folder=tmp_path, environment=three)
    assert len({device.uuid for device in both.devices}) == 2
    with pytest.raises(DeviceError, match="2 of 3 devices"):
        devices.allocate(count=2, folder=tmp_path, environment=three, timeout_s=0.1)
    last = devices.allocate(count=1, folder=tmp_path, environment=three, timeout_s=0.1)
    assert not {*last.devices} & {*both.devices}, "what the one that gave up had taken is free again"
    with pytest.raises(DeviceError, match="4 devices; visible: 3"):
        devices.allocate(count=4, folder=tmp_path, environment=three)
    for allocation in (both, last):
        allocation.release()
