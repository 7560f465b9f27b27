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

from contrastseg.methods.contract import Batch, Sample
from contrastseg.training import checkpoints, run, torch_optimisers
from contrastseg.training.settings import TrainingSettings
from contrastseg.training.single_device import SingleDevice

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
def test_a_step_sees_and_gives_what_it_does_with_fabric(precision: Any) -> None:
    image, coordinates = torch.rand(2, 1, 4, 4), 200 * torch.rand(2, 4, 4, 2)
    label, unit = torch.randint(0, 3, (2, 4, 4)), torch.arange(2)
    batch = {"view": Sample(image, label, coordinates, unit, unit, torch.rand(2))}
    seen = []

    class Step(torch.nn.Linear):
        def forward(self, batch: Batch, step: int) -> dict[str, torch.Tensor]:  # type: ignore[override]
            seen.append((step, torch.is_autocast_enabled("cpu"), vars(batch["view"])))
            return {"loss": super().forward(batch["view"].image.flatten(1)).sum()}

    for device in (Fabric(accelerator="cpu", devices=1, precision=precision), SingleDevice("cpu", precision)):
        module = Step(16, 2)
        wrapped, _ = device.setup(module, torch.optim.SGD(module.parameters(), lr=0.1))
        assert wrapped(batch, 3)["loss"].dtype == torch.float32
    (step, mixed, theirs), (our_step, ours_mixed, ours) = seen
    assert (our_step, ours_mixed) == (step, mixed) == (3, precision == "bf16-mixed")
    assert theirs.keys() == ours.keys()
    for name, value in theirs.items():
        assert ours[name] is value is None or (ours[name].dtype == value.dtype and torch.equal(ours[name], value)), name


def test_scaled_gradients_stay_with_fabric() -> None:
    claim = run.devices.Claim()
    with pytest.warns(UserWarning, match="fp16 is not supported on CPU"):
        assert isinstance(run._fabric(claim, TrainingSettings(precision="16-mixed")), Fabric)
    assert isinstance(run._fabric(claim, TrainingSettings(precision="bf16-mixed")), SingleDevice)


@pytest.mark.parametrize(("name", "options"), [("SGD", {"momentum": 0.9, "nesterov": True}), ("AdamW", {})])
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
    arguments = ["train", "--dataset", "phantom", "--method", "mean_teacher", "--labels", "n2"]
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
