"""What each method's step costs: `python benchmarks/speed/methods.py --hardware cpu-xeon-2.5GHz`.

Every stage of every method is trained for a few steps on the same phantom, with the default network and budget, one
after the other. `results/methods-<hardware>.csv` holds a row per stage: the trainable parameters, the median time of a
step and the labelled pixels it had. `contrastseg methods` shows the first two, the time as a multiple of
`supervised`'s; `contrastseg plan` estimates hours with them. Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import math
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from contrastseg.data.preparation import prepare_dataset
from contrastseg.data.splits import split_dataset
from contrastseg.files import atomic_path
from contrastseg.methods import registry
from contrastseg.training.assembly import stage_training
from contrastseg.training.run import train
from contrastseg.training.settings import RunConfig

RESULTS = Path(__file__).parent / "results"
COLUMNS = ("method", "stage", "spatial_dims", "parameters", "seconds_per_step", "pixels_per_step", "device", "torch")


def phantom(folder: Path) -> dict[str, str]:
    """Volumes, cut into slices in 2D, so that methods which ask for slice positions run too."""
    prepare_dataset("phantom", "phantom_organs", {"cases": 8}, None, None, folder / "prepared")
    fractions = {"train": 0.75, "val": 0.0, "test": 0.25}
    split_dataset("phantom", folder / "prepared", {"fractions": fractions}, folder / "split.json")
    return {"data": str(folder / "prepared"), "split": str(folder / "split.json")}


def measure(method: str, dims: int, steps: int, training: dict[str, Any], data: dict[str, str]) -> list[dict[str, Any]]:
    """A row per stage of the method; the first half of the steps warms up and is not counted."""
    rows, initial = [], {}
    with tempfile.TemporaryDirectory() as folder:
        for stage in registry.get(method).stages:
            config = RunConfig(
                dataset="phantom",
                spatial_dims=dims,
                method=method,
                settings=registry.get(method).resolve(),
                labels="n2",
                stage=stage.name,
                # A logged step has waited for its loss, so the clock sees what a GPU did.
                stage_training={**training, "steps": steps, "log_every": 1},
                initial={item.stage: initial[item.stage] for item in stage.takes},
                **data,
            )
            times: list[float] = []
            record = train(
                config, Path(folder) / stage.name, on_step=lambda _, to=times: to.append(time.perf_counter())
            )
            initial[stage.name] = str(Path(folder) / stage.name / "checkpoints" / "last.ckpt")
            lasted = [after - before for before, after in itertools.pairwise(times)]
            asked = stage_training(config)
            pixels = asked.batch_size * math.prod(asked.patch_size)
            described = (method, stage.name, dims, record["parameters"], f"{median(lasted[steps // 2 :]):.4g}", pixels)
            machine = (record["hardware"]["device"], record["versions"]["torch"])
            rows.append(dict(zip(COLUMNS, (*described, *machine), strict=True)))
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hardware", required=True, help="name of the machine, for the file's name")
    parser.add_argument("--methods", nargs="*", default=registry.names())
    parser.add_argument("--dims", type=int, default=2, choices=(2, 3))
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--patch", type=int, nargs="*", help="the default budget's if unset")
    parser.add_argument("--output", type=Path, default=RESULTS)
    asked = parser.parse_args(arguments)
    training = {"patch_size": asked.patch} if asked.patch else {}
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        data = phantom(Path(folder))
        for method in asked.methods:
            if asked.dims in registry.get(method).spatial_dims:
                rows += measure(method, asked.dims, asked.steps, training, data)
                print(*rows[-1].values(), flush=True)
    path = asked.output / f"methods-{asked.hardware}.csv"
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
