"""The default suite as a test can run it: the same data sets, methods and axes, with a budget of two steps."""

from __future__ import annotations

import copy
import functools
from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml

from contrastseg.data.registry import registry
from contrastseg.data.splits.folds import read_published
from tests import miniatures
from tests.miniatures._files import boxes, save_nifti

FULL = Path(__file__).resolve().parents[2] / "benchmarks" / "full.yaml"
SUBSET = "miniatures of the tests"
OPT_IN = {"cct", "cross_teaching", "dtc", "entropy", "mae", "mcnet", "ss_net", "u2pl", "urpc", "volume_fusion"}
"""Rivals that acdc.yaml and la.yaml have; whoever wants them in full.yaml adds their names there."""
FROM_A_FILE = {"pretrained"}
"""Methods that start from a file of weights of the user's: no committed suite can have them."""


@functools.cache
def _full() -> dict[str, Any]:
    return yaml.safe_load(FULL.read_text(encoding="utf-8"))


def full() -> dict[str, Any]:
    """The default suite as it is written."""
    return copy.deepcopy(_full())


def shortened(name: str, datasets: Collection[str] | None = None) -> dict[str, Any]:
    """The default suite with one seed, two steps per stage, small images and a small network; the rest as it is.

    Args:
        name: Its name.
        datasets: Only these entries; all where left out.
    """
    suite = full() | {"name": name, "seeds": [0], "budget": None}  # two steps are too few to divide over stages
    suite["training"] |= {
        "network": {"name": "unet", "channels": [4, 4, 8, 8, 8], "convolutions": 1},
        "steps": 2,
        "batch_size": 2,
        "patch_size": [32, 32],
        "log_every": 1,
    }
    suite["datasets"] = [entry for entry in suite["datasets"] if datasets is None or entry["name"] in datasets]
    for entry in suite["datasets"]:
        spec = registry.get(entry.get("dataset", entry["name"]))
        if "size" in entry["preparation"]:
            entry["preparation"]["size"] = [32, 32]
        if entry.get("spatial_dims", spec.spatial_dims) == 3:
            entry["training"] |= {"batch_size": 2, "patch_size": [16, 16, 32]}
        if "split" in entry:
            entry["subset"] = SUBSET
        if entry["name"] == "digestpath":
            # Of its four patients two have a lesion: one to train with, first, since nnU-Net plans from labelled
            # voxels, and one to test on.
            entry["split"] = {"fractions": {"train": 0.5, "val": 0, "test": 0.5}, "seed": 4}
    for method in suite["methods"]:
        if isinstance(method, dict):
            method.pop("stages", None)  # shares of the budget
        if isinstance(method, dict) and method["name"] == "nnunet":
            method["settings"] = {"epochs": 1, "iterations_per_epoch": 2}
    return suite


def write_data(root: Path, suite: dict[str, Any]) -> None:
    """The miniature of every data set of a suite, where CONTRASTSEG_DATA=root finds it."""
    for name in {entry.get("dataset", entry["name"]) for entry in suite["datasets"]}:
        miniatures.get(name).make(root / registry.get(name).folder_names[0])


def complete_lists(root: Path) -> None:
    """Give the miniatures of ACDC and BTCV all patients of their published splits, as plans ask for them."""
    image, label = boxes((3, 20, 17), 0)
    for patient in _patients("acdc_70_10_20"):
        folder = root / "ACDC" / "database" / "training" / patient
        if folder.exists():
            continue
        for frame in (1, 9):
            save_nifti(folder / f"{patient}_frame{frame:02d}.nii.gz", image)
            save_nifti(folder / f"{patient}_frame{frame:02d}_gt.nii.gz", label)
        (folder / "Info.cfg").write_text("ED: 1\nES: 9\nGroup: NOR\nNbFrame: 30\n")
    for patient in _patients("btcv_18_12"):
        training = root / "BTCV" / "RawData" / "Training"
        save_nifti(training / "img" / f"img{patient}.nii.gz", image)
        save_nifti(training / "label" / f"label{patient}.nii.gz", label)


def _patients(split: str) -> list[str]:
    (fold,) = read_published(split)["folds"]
    return [patient for part in ("train", "val", "test") for patient in fold[part]]
