"""One method for the full length of its suite: trained in slices of minutes, then predicted and scored.

Training goes on from the newest checkpoint, and stops at the last one before the deadline. Exit code 75 says that
something is left. `make gpu` calls this; `outcome.json` in the run's folder is what it reads.

Example: `python benchmarks/gpu/method.py supervised --device cuda --state results/gpu/state --minutes 5`
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _list import METHODS, SPEED
from _material import Material, of_checkout, of_pack

sys.path.insert(0, str(SPEED))

from _results import described

from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.splits.split_files import Split
from contrastseg.errors import ContrastsegError
from contrastseg.files import read_json, sha256, write_json

UNFINISHED = 75
OUTCOME = "outcome.json"
AFTER_S = 5.0
"""Kept back of a slice for the end of the process."""


class Stopped(Exception):
    """The next checkpoint would come after the deadline."""


def stopping(until: float, every: int, clock: Callable[[], float] = time.time) -> Callable[[int], None]:
    """A step's callback that stops the training right after a checkpoint when another would come too late.

    Args:
        until: The deadline, in seconds since the epoch.
        every: Steps between checkpoints.
        clock: Seconds since the epoch.
    """
    last: float | None = None

    def on_step(done: int) -> None:
        nonlocal last
        now = clock()
        if last is None:  # where it begins or goes on: loading says nothing about the next checkpoint
            last = now
        elif done % every == 0:
            if now + (now - last) > until:
                raise Stopped
            last = now
        elif now > until:
            raise Stopped

    return on_step


def run_config(material: Material, method: str, device: str) -> Any:
    """The run, resolved."""
    from contrastseg.fingerprints import stage_fingerprint
    from contrastseg.training.settings import RunConfig

    given = material.runs["methods"][method]
    return RunConfig(
        entry=material.runs["dataset"],
        method=method,
        labels=material.runs["labels"],
        seed=material.runs["seed"],
        data=str(material.prepared),
        split=str(material.split),
        inputs={
            "data": sha256(material.prepared / "manifest.json")[:16],
            "split": Split.from_file(material.split).hash,
        },
        fingerprint=stage_fingerprint("train", method=method),
        **{**given, "training": {**given["training"], "accelerator": device}},
    )


def finish(material: Material, config: Any, folder: Path) -> dict[str, Any]:
    """Predict and score a trained run: its row, its scores and its card."""
    from contrastseg.evaluation.scoring.scoring import score_folder
    from contrastseg.training.prediction import predict_prepared

    card, patients = read_json(folder / "run.json"), Split.from_file(material.split).test()
    started = time.perf_counter()
    predict_prepared(folder / "checkpoints" / "last.ckpt", material.prepared, patients, folder / "predictions")
    predicted = time.perf_counter()
    scores = score_folder(folder / "predictions", PreparedDataset(material.prepared), material.runs["metrics"])
    scored = time.perf_counter()
    axes = {"method": config.method, "labels": config.labels, "seed": config.seed, "pack": material.pack}
    means = scores.groupby(["metric", "class"], sort=False)["value"].mean().groupby("metric", sort=False).mean()
    per_step = card["seconds_per_step"]
    row = {
        **axes,
        "steps": card["steps"],
        "seconds_per_step": f"{per_step:.5g}",
        "training_s": round(per_step * card["steps"], 1),
        "minutes_per_30000_steps": round(per_step * 30000 / 60, 2),
        "predict_s": round(predicted - started, 1),
        "score_s": round(scored - predicted, 1),
        "cases": scores["case"].nunique(),
        "training_patients": card["training_patients"],
        "unlabelled_patients": card["unlabelled_count"],
        **{metric: f"{value:.4f}" for metric, value in means.items()},
        "precision": card["precision"],
        "peak_mib": round(card["peak_memory_bytes"] / 2**20),
        "device": card["hardware"]["device"],
        "torch": card["versions"]["torch"],
        "hardware": described(),
    }
    table = [{**axes, **score} for score in scores.to_dict("records")]
    return {"row": row, "scores": table, "card": {**card, "pack": material.pack}}


def main() -> None:
    """Train a slice; where it was the last, predict, score and write the outcome."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("method", choices=METHODS)
    parser.add_argument("--device", default="cuda", choices=("cpu", "cuda"))
    parser.add_argument("--state", type=Path, default=Path("results/gpu/state"), help="folder of the runs")
    parser.add_argument("--pack", type=Path, help="folder of a pack; the checkout's own data where left out")
    parser.add_argument("--minutes", type=float, default=8.0)
    given = parser.parse_args()
    until = time.time() + 60 * given.minutes - AFTER_S
    from contrastseg.training.run import train

    try:
        material = of_checkout() if given.pack is None else of_pack(given.pack, given.state)
    except ContrastsegError as error:
        sys.exit(f"{error}")
    config, folder = run_config(material, given.method, given.device), given.state / given.method
    if not (folder / "run.json").is_file():
        try:
            train(config, folder, on_step=stopping(until, config.training.checkpoint_every))
        except Stopped:
            sys.exit(UNFINISHED)
    write_json(folder / OUTCOME, finish(material, config, folder))


if __name__ == "__main__":
    main()
