"""The paper suites as a test can run them: their own recipes on miniatures, with the lengths and sizes cut."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from contrastseg.data.registry import registry
from contrastseg.data.splits.folds import read_published
from tests import miniatures
from tests.miniatures import _msd, acdc, btcv, la, mmwhs, pancreas_ct
from tests.miniatures._files import boxes

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
SUBSET = "miniatures of the tests"
LABELS = re.compile(r"[nr]\d+(\.\d+)?")


@dataclass(frozen=True)
class Cut:
    """What of a suite runs.

    Attributes:
        entries: Its data sets; those that are not trained on stay too.
        labels: The one budget.
        patch: Patch size, and size of prepared images in 2D.
        network: Options of the network that make it small.
        variants: Of a method, beside its first.
    """

    entries: Sequence[str]
    labels: str
    patch: Sequence[int]
    network: Mapping[str, Any] = field(default_factory=dict)
    variants: Mapping[str, Sequence[str]] = field(default_factory=dict)


SMALL_VNET = {"width": 4}
SMALL_PARTNER = {"name": "monai", "model": "SwinUNETR", "feature_size": 12, "depths": [1, 1, 1, 1]}
CUTS = {
    "pdcr": Cut(["isic2016_512"], "r1", [64, 64], {"weights": "none"}),
    "pdcr_ablations": Cut(
        ["isic2016_512"],
        "r1",
        [64, 64],
        {"weights": "none"},
        {"pdcr": ["shares_first", "l2_rf", "dice_affinity"], "uafr": ["m5", "k7"]},
    ),
    "pdcr_3d": Cut(
        ["msd_prostate"],
        "r1",
        [16, 32, 32],
        {"channels": [4, 8, 16, 16, 16]},
        {"nnunet": ["no_augmentation", "pdcr_uafr_released"]},
    ),
    "acdc": Cut(["acdc_minmax"], "n1", [32, 32], {"channels": [4, 8, 16, 32, 64]}),
    "arco": Cut(["acdc_minmax", "mmwhs_ct_256"], "n1", [32, 32], {"channels": [4, 8, 16, 32, 64]}),
    "la": Cut(["la_crops"], "n1", [16, 32, 32], SMALL_VNET),
    "cvrl": Cut(["la", "pancreas_62_20"], "n1", [16, 32, 32], SMALL_VNET, {"cvrl": ["signed_distance"]}),
    "ideal": Cut(["acdc_ed", "mmwhs_mr"], "n1", [64, 64], {"channels": [4, 8, 16, 32, 32, 32]}),
    "semantic_aware": Cut(["btcv_2d_24_6", "voc2012"], "r1", [64, 64], {"encoder": "resnet18", "width": 32}),
    "lrc": Cut(["abdomenct1k", "amos22"], "r1", [32, 32], {"channels": [4, 8, 16, 32, 64]}),
}
# What a miniature may have otherwise than the suite, by place in `training`.
LENGTHS = {"steps", "epochs", "batch_size", "unlabelled_batch_size", "patch_size", "validate_every", "threads"}


def shipped(name: str) -> dict[str, Any]:
    """The suite as it is written."""
    value: dict[str, Any] = yaml.safe_load((BENCHMARKS / f"{name}.yaml").read_text(encoding="utf-8"))
    return value


def miniature(name: str) -> dict[str, Any]:
    """The suite with the cut of `CUTS`: seed 0, draw 0, fold 0, two steps of two images (or one epoch), one figure."""
    suite, cut = copy.deepcopy(shipped(name)), CUTS[name]
    suite |= {"labels": [cut.labels], "seeds": [0]}
    suite |= {axis: [0] for axis in ("draws", "folds") if axis in suite}
    suite["datasets"] = [_entry(entry, cut) for entry in suite["datasets"] if entry["name"] in cut.entries]
    suite["methods"] = [_method(method, cut) for method in suite["methods"]]
    training = suite["training"]
    training["network"] |= cut.network
    training |= {"batch_size": 2, "unlabelled_batch_size": 2, "patch_size": list(cut.patch), "log_every": 1}
    if training.get("validate_every"):
        training["validate_every"] = 1
    if "epochs" in training:
        training["epochs"] = 1
        training["optimiser"]["warmup_epochs"] = 0
    else:
        training["steps"] = 2
    kept = {method if isinstance(method, str) else method["name"]: method for method in suite["methods"]}
    entries = {entry["name"] for entry in suite["datasets"]}
    suite["tables"] = [_table(table, kept, entries, cut.labels) for table in suite.get("tables", [])]
    suite["tables"] = [table for table in suite["tables"] if table]
    if not suite["tables"]:
        del suite["tables"]
    suite["figures"] = [{"name": "box", "kind": "box"}]
    return suite


def _entry(entry: dict[str, Any], cut: Cut) -> dict[str, Any]:
    """An entry whose images are as small as its patches, and which takes the patients there are."""
    preparation = entry["preparation"]
    if len(cut.patch) == 2 and preparation.get("size") is not None:
        preparation["size"] = list(cut.patch)
    if (entry.get("split") or {}).get("name") not in (None, "random", "nnunet", "official"):
        entry["subset"] = SUBSET
    if "patch_size" in entry.get("training", {}):
        entry["training"]["patch_size"] = list(cut.patch)
    if "evaluate_on" in entry:
        entry["evaluate_on"] = [name for name in entry["evaluate_on"] if name in cut.entries]
    return entry


def _method(method: str | dict[str, Any], cut: Cut) -> str | dict[str, Any]:
    if method == "cross_teaching":
        method = {"name": method}
    if isinstance(method, str):
        return method
    if method["name"] == "cross_teaching":
        method["settings"] = {**method.get("settings", {}), "partner": SMALL_PARTNER}
    if "variants" in method:
        kept = [next(iter(method["variants"])), *cut.variants.get(method["name"], ())]
        found = method["variants"]
        method["variants"] = {n: found[n] for n in kept} if isinstance(found, dict) else kept
    if method["name"] == "nnunet":
        method["settings"] |= {"epochs": 1, "iterations_per_epoch": 2}
    if "batch_size" in method.get("training", {}):
        method["training"]["batch_size"] = 2
    return method


def _table(table: dict[str, Any], methods: Mapping[str, Any], entries: set[str], labels: str) -> dict[str, Any] | None:
    """A table of what is left; None where nothing is."""
    table = _with_labels(table, labels)
    if "datasets" in table:
        table["datasets"] = [name for name in table["datasets"] if name in entries]
        if not table["datasets"]:
            return None
    published = table.get("published")
    if published:
        if not {_entry_of(value) for value in published["datasets"].values()} <= entries:
            return None  # its rows and classes are those of all its data sets
        published["methods"] = {k: v for k, v in published["methods"].items() if _kept(v, methods)}
    return table


def _entry_of(value: str | dict[str, Any]) -> str:
    return value if isinstance(value, str) else str(value["entry"])


def _kept(run: str, methods: Mapping[str, Any]) -> bool:
    name, _, variant = run.partition("/")
    return not variant or variant in methods[name]["variants"]


def _with_labels(value: Any, labels: str, key: str = "") -> Any:
    """The same with the one budget wherever a budget stands."""
    if isinstance(value, dict):
        return {name: _with_labels(item, labels, "labels" if key == "labels" else name) for name, item in value.items()}
    if isinstance(value, list):
        changed = [_with_labels(item, labels, key) for item in value]
        return list(dict.fromkeys(changed)) if key == "labels" else changed
    return labels if key == "labels" and isinstance(value, str) and LABELS.fullmatch(value) else value


def write_data(root: Path, suite: Mapping[str, Any], patch: pytest.MonkeyPatch) -> None:
    """The miniature of every data set, with patients of the suite's splits, where CONTRASTSEG_DATA=root finds it."""
    for entry in suite["datasets"]:
        name = entry.get("dataset", entry["name"])
        split = (entry.get("split") or {}).get("name")
        patients = _patients(split) if "subset" in entry else []
        if name == "acdc":
            patch.setattr(acdc, "PATIENTS", [("training", patient) for patient in patients])
        elif name in ("btcv", "mmwhs", "pancreas_ct"):
            module = {"btcv": btcv, "mmwhs": mmwhs, "pancreas_ct": pancreas_ct}[name]
            patch.setattr(module, "NUMBERS", tuple(int(patient.rpartition("_")[2]) for patient in patients))
        elif name.startswith("msd_"):
            # nnU-Net halves an image as often as it is large: the terms of PDCR are at strides 4 and 8.
            patch.setattr(_msd, "boxes", lambda shape, *rest: boxes((shape[0], 96, 96), *rest))
        make = la.make_h5 if name == "la" else miniatures.get(name).make
        make(root / registry.get(name).folder_names[0])


def _patients(split: str) -> list[str]:
    """Three patients to train on, two of validation and two of test."""
    (fold,) = read_published(split)["folds"]
    return [*fold["train"][:3], *fold["val"][:2], *fold["test"][:2]]
