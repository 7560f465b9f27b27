"""What each method's step costs: `OMP_NUM_THREADS=1 python benchmarks/speed/methods.py`.

Every stage of every method is trained for a few steps on the same phantom, in 2D and 3D, with the default network;
methods take turns, and the median over the rounds counts. `results/methods-<hardware>.csv` holds a row per stage: the
trainable parameters, the median time of a step and the labelled pixels it had. `contrastseg methods` shows the first
two, the time as a multiple of `supervised`'s; `contrastseg plan` estimates hours with them. A stage that fails is a row
with its error and no numbers. nnU-Net plans network, patch and batch of its own. On a CPU the seconds are those of the
process's one thread.
"""

from __future__ import annotations

import argparse
import itertools
import math
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
from _results import RESULTS, clock, described, results_path, write

from contrastseg.data.prepare.preparation import prepare_dataset
from contrastseg.data.splits.splits import split_dataset
from contrastseg.methods import registry
from contrastseg.training.run import train
from contrastseg.training.settings import RunConfig

COLUMNS = (
    *("method", "stage", "spatial_dims", "parameters", "seconds_per_step", "pixels_per_step"),
    *("device", "torch", "hardware", "error"),
)
# Its step is that of `supervised`, and it has no default: it needs a file.
FROM_A_FILE = {"pretrained"}
# A volume has many pixels: patches as deep as the phantom, two at a time.
BUDGETS: dict[int, dict[str, Any]] = {
    2: {"patch_size": [96, 96], "batch_size": 8},
    3: {"patch_size": [16, 64, 64], "batch_size": 2},
}


def phantom(folder: Path) -> dict[str, str]:
    """Volumes, cut into slices in 2D, so that methods which ask for slice positions run too."""
    prepare_dataset("phantom", "phantom_organs", {"cases": 8}, {"superpixels": {}}, None, folder / "prepared")
    fractions = {"train": 0.75, "val": 0.0, "test": 0.25}
    split_dataset("phantom", folder / "prepared", {"fractions": fractions}, folder / "split.json")
    return {"data": str(folder / "prepared"), "split": str(folder / "split.json")}


def settings_of(method: str, steps: int) -> dict[str, Any]:
    """The method's defaults; one that has a schedule of its own gets one epoch of these steps."""
    found = registry.get(method)
    own = {"epochs": 1, "iterations_per_epoch": steps, "augmentation_workers": 0}
    return found.resolve("default", {name: value for name, value in own.items() if name in found.defaults})


def measure(
    method: str, dims: int, steps: int, training: dict[str, Any], data: dict[str, str], now: Callable[[], float]
) -> list[dict[str, Any]]:
    """A row per stage of the method, as far as it runs; the first half of the steps warms up and is not counted."""
    rows: list[dict[str, Any]] = []
    initial: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for stage in registry.get(method).stages:
            row: dict[str, Any] = {"method": method, "stage": stage.name, "spatial_dims": dims, "hardware": described()}
            rows.append(row)
            times: list[float] = []
            try:
                config = RunConfig(
                    entry="phantom",
                    spatial_dims=dims,
                    method=method,
                    settings=settings_of(method, steps),
                    labels="n2",
                    stage=stage.name,
                    # A logged step has waited for its loss, so the clock sees what a GPU did.
                    stage_training={**training, "steps": steps, "log_every": 1},
                    initial={item.stage: initial[item.stage] for item in stage.init_from},
                    **data,
                )
                record = train(config, Path(folder) / stage.name, on_step=lambda _, to=times: to.append(now()))
            # Whatever it is: the other methods are still worth measuring, and the row says what it was.
            except Exception as error:
                row["error"] = " ".join(f"{type(error).__name__}: {error}".split())[:300]
                break
            initial[stage.name] = str(Path(folder) / stage.name / "checkpoints" / "last.ckpt")
            lasted = [after - before for before, after in itertools.pairwise(times)]
            asked = record["training"]
            row["parameters"] = record["parameters"]
            row["seconds_per_step"] = f"{median(lasted[len(lasted) // 2 :]):.4g}"
            row["pixels_per_step"] = asked["batch_size"] * math.prod(asked["patch_size"])
            row["device"], row["torch"] = record["hardware"]["device"], record["versions"]["torch"]
    return rows


def together(rounds: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The rows of one method, each with the median time of its rounds; one that failed once has failed."""
    rows = []
    for stage in zip(*rounds, strict=False):
        failed = [row for row in stage if "error" in row]
        row = dict((failed or stage)[0])
        if not failed:
            row["seconds_per_step"] = f"{median(float(each['seconds_per_step']) for each in stage):.4g}"
        rows.append(row)
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="*", default=sorted({*registry.names()} - FROM_A_FILE))
    parser.add_argument("--dims", type=int, nargs="*", default=[2, 3], choices=(2, 3))
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--patch", type=int, nargs="*", help="instead of the budget's, in its dimensions")
    parser.add_argument("--output", type=Path, default=RESULTS)
    asked = parser.parse_args(arguments)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    file = results_path(asked.output, "methods", device)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        data = phantom(Path(folder))
        for dims in asked.dims:
            training = {**BUDGETS[dims], **({"patch_size": asked.patch} if len(asked.patch or []) == dims else {})}
            methods = [name for name in asked.methods if dims in registry.get(name).spatial_dims]
            measured: dict[str, list[list[dict[str, Any]]]] = {name: [] for name in methods}
            here: list[dict[str, Any]] = []
            for _, method in itertools.product(range(asked.rounds), methods):
                measured[method].append(measure(method, dims, asked.steps, training, data, clock(device)))
                for row in measured[method][-1]:
                    print(*row.values(), flush=True)
                # As far as it has come: a run that is stopped leaves what it has.
                here = [row for name in methods for row in together(measured[name])]
                write(file, COLUMNS, [*rows, *here])
            rows += here
    print(f"wrote {file}")


if __name__ == "__main__":
    main()
