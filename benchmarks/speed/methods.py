"""What each method's step costs: `OMP_NUM_THREADS=1 python benchmarks/speed/methods.py`.

Every stage of every method is trained for a few steps on the same phantom, in 2D and 3D, with the default network;
methods take turns, and the median over the rounds counts. `results/methods-<hardware>.csv` holds a row per stage: the
trainable parameters, the median time of a step, the labelled pixels it had, and

- `images_per_step`: the samples of the step, labelled and unlabelled together, each once however many views it has;
- `seconds_supervised`: a step of `supervised` on as many labelled images;
- `flops_per_step`: the arithmetic of convolutions and matrix products, forward and backward, which is that of the
  passes through networks; counted in a short run of its own;
- `peak_memory_bytes`: of the device on a GPU, else the largest size of the process, which is new for each method and
  goes through the method's stages in order.

`contrastseg methods` shows parameters and time, as a multiple of `supervised`'s; `contrastseg plan` estimates hours
with them; the page of costs has the rest. A stage that fails is a row with its error and no numbers. nnU-Net plans
network, patch and batch of its own, so that it is not set beside `supervised`. On a CPU the seconds are those of the
process's one thread.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import torch
from _method_steps import measure
from _results import RESULTS, results_path, write

from contrastseg.data.prepare.preparation import prepare_dataset
from contrastseg.data.splits.splits import split_dataset
from contrastseg.methods import registry
from contrastseg.planning.step_times import BASELINE

COLUMNS = (
    *("method", "stage", "spatial_dims", "parameters", "seconds_per_step", "pixels_per_step"),
    *("images_per_step", "seconds_supervised", "flops_per_step", "peak_memory_bytes"),
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


def apart(*arguments: Any) -> list[dict[str, Any]]:
    """`measure` in a process of its own, whose largest size is that of this method."""
    # Not forked: a child of a process with threads may wait for ever.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(measure, *arguments).result()


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
            # `supervised` by its images a step, a row of each round.
            baseline: dict[int, list[dict[str, Any]]] = {}
            here: list[dict[str, Any]] = []
            for turn, method in itertools.product(range(asked.rounds), methods):
                measured[method].append(apart(method, dims, asked.steps, training, data, device))
                for row in measured[method][-1]:
                    print(*row.values(), flush=True)
                    images = row.get("images_per_step")
                    if images is None or len(baseline.setdefault(images, [])) > turn:
                        continue
                    as_many = {**training, "batch_size": images}
                    same = method == BASELINE
                    baseline[images] += [row] if same else apart(BASELINE, dims, asked.steps, as_many, data, device)
                # As far as it has come: a run that is stopped leaves what it has.
                here = [beside(row, baseline) for name in methods for row in together(measured[name])]
                write(file, COLUMNS, [*rows, *here])
            rows += here
    print(f"wrote {file}")


def beside(row: dict[str, Any], baseline: Mapping[int, list[dict[str, Any]]]) -> dict[str, Any]:
    """The row with the time of `supervised` on as many images, where it was measured."""
    found = together([[each] for each in baseline.get(row.get("images_per_step", 0), [])])
    return {**row, "seconds_supervised": found[0].get("seconds_per_step", "")} if found else row


if __name__ == "__main__":
    main()
