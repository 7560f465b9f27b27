"""One process without Fabric trains as it does with Fabric, and the optimisers step as torch's own do."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from lightning_fabric import Fabric

from contrastseg.methods.contract import Batch, Sample, Task
from contrastseg.methods.supervised import Supervised
from contrastseg.training import checkpoints, run, torch_optimisers
from contrastseg.training.settings import TrainingSettings
from contrastseg.training.single_device import SingleDevice
from contrastseg.training.steps import MethodStep, OpaqueBatch

# A job on one device imports none of these up to its end.
UNNEEDED = (
    *("torch._dynamo", "torch._inductor", "sympy", "lightning_fabric", "monai", "pandas", "pyarrow", "scipy"),
    *("skimage", "nibabel", "matplotlib", "snakemake"),
)


def log(folder: Path) -> list[dict[str, str]]:
    """The rows of a run's log without the time they took."""
    with open(folder / "log.csv", newline="") as file:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_run_has_the_weights_that_fabric_gives_it(
    phantoms: dict[int, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    training = {"steps": 3, "precision": precision, "validate_every": 3, "optimiser": {"clip_norm": 0.1}}
    config = phantoms[2].config("mean_teacher", training=training)
    asked = []

    def with_fabric(accelerator: str, precision: Any) -> Fabric:
        asked.append((accelerator, precision))
        return Fabric(accelerator=accelerator, devices=1, precision=precision)

    run.train(config, tmp_path / "without")
    monkeypatch.setattr(run, "SingleDevice", with_fabric)
    run.train(config, tmp_path / "with")
    assert asked == [("cpu", precision)]
    found, wanted = (checkpoints.load(tmp_path / name / "checkpoints" / "last.ckpt") for name in ("without", "with"))
    assert list(found["modules"]) == list(wanted["modules"])
    assert all(torch.equal(found["modules"][name], value) for name, value in wanted["modules"].items())
    assert log(tmp_path / "without") == log(tmp_path / "with")
    assert all(float(row["val_dice"]) >= 0 for row in log(tmp_path / "with")[2:])


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_images_are_rounded_and_nothing_else_with_and_without_fabric(precision: Any) -> None:
    """bfloat16 has no 201.3 pixels: it would be 201, and 301.3 would be 302."""
    image, coordinates = torch.rand(2, 1, 4, 4), torch.tensor([201.3, 301.3]).expand(2, 4, 4, 2)
    label, unit = torch.randint(0, 3, (2, 4, 4)), torch.arange(2)
    given = Sample(image, label, coordinates, unit, unit, torch.tensor([0.1234567, 0.9]))
    seen = []

    class Seeing(Supervised):
        def training_step(self, batch: Batch, step: int) -> dict[str, torch.Tensor]:
            seen.append((step, torch.is_autocast_enabled("cpu"), vars(batch["view"])))
            return {"loss": self.modules["network"](batch["view"].image.flatten(1)).sum()}

    for device in (Fabric(accelerator="cpu", devices=1, precision=precision), SingleDevice("cpu", precision)):
        method = Seeing(Task(2, 1, 2, 1, "train", lambda **_: None), {})
        method.modules = torch.nn.ModuleDict({"network": torch.nn.Linear(16, 2)})
        wrapped, _ = device.setup(MethodStep(method), torch.optim.SGD(method.modules.parameters(), lr=0.1))
        assert wrapped(OpaqueBatch({"view": given}), 3)["loss"].dtype == torch.float32
    mixed = precision == "bf16-mixed"
    for step, autocast, sample in seen:
        assert (step, autocast) == (3, mixed)
        assert torch.equal(sample["image"], image.to(torch.bfloat16 if mixed else torch.float32))
        assert all(sample[name] is value for name, value in vars(given).items() if name != "image")
    assert len(seen) == 2


def test_scaled_gradients_stay_with_fabric() -> None:
    allocation = run.devices.DeviceAllocation()
    with pytest.warns(UserWarning, match="fp16 is not supported on CPU"):
        assert isinstance(run._fabric(allocation, TrainingSettings(precision="16-mixed")), Fabric)
    assert isinstance(run._fabric(allocation, TrainingSettings(precision="bf16-mixed")), SingleDevice)


@pytest.mark.parametrize(
    ("name", "options"), [("SGD", {"momentum": 0.9, "nesterov": True}), ("Adam", {}), ("AdamW", {})]
)
def test_optimisers_step_as_those_of_torch(name: str, options: dict[str, Any]) -> None:
    found = []
    for module in (torch.optim, torch_optimisers):
        torch.manual_seed(0)
        layer = torch.nn.Linear(5, 3)
        optimiser = getattr(module, name)(layer.parameters(), lr=0.1, weight_decay=0.01, **options)
        for step in range(4):
            optimiser.zero_grad(set_to_none=True)
            (layer(torch.randn(4, 5)) ** 2).mean().backward()
            optimiser.step()
            if step == 1:  # as a run that is resumed
                state = optimiser.state_dict()
                optimiser = getattr(module, name)(layer.parameters(), lr=0.1, weight_decay=0.01, **options)
                optimiser.load_state_dict(state)
        assert all(parameter.grad_fn is None and parameter.is_leaf for parameter in layer.parameters())
        found.append([*layer.parameters(), *(state for each in optimiser.state.values() for state in each.values())])
    theirs, ours = cast(list[list[torch.Tensor]], found)
    assert len(ours) > 2, "the optimiser has a state"
    assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))


def test_a_job_does_not_wait_for_what_it_does_not_use(phantoms: dict[int, Any], tmp_path: Path) -> None:
    phantom = phantoms[2]
    training = phantom.config("mean_teacher", training={"steps": 2}).training.model_dump(mode="json")
    (tmp_path / "config.json").write_text(json.dumps({"training": training}))
    arguments = ["train", "--entry", "phantom", "--method", "mean_teacher", "--labels", "n2"]
    arguments += ["--prepared", f"phantom={phantom.data}", "--split", str(phantom.split)]
    arguments += ["--config", str(tmp_path / "config.json"), "--output", str(tmp_path / "run")]
    code = (
        "import sys\nfrom contrastseg.cli import app\n"
        "app(sys.argv[1:], standalone_mode=False)\n"
        f"print(*({set(UNNEEDED)!r} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "2 steps" in done.stdout
    assert done.stderr.splitlines()[-1:] == [""], done.stderr
