"""Prepared images in 8 bits: a part of a prepared data set as one small archive, and back.

The values of a channel are mapped to 0...255 from its smallest to its largest, which is no longer what was prepared:
whatever is measured on restored data says so. Neighbours are stored as differences, which compresses better.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.splits.split_files import PARTS, Split, split_hash
from contrastseg.files import read_json, write_json

MARK = "8-bit subset"
_CODES, _RANGE = "image.8bit.npy", "image.8bit.json"


def encode(image: np.ndarray) -> tuple[np.ndarray, list[float], list[float]]:
    """An image (C, *spatial) as differences of its codes, uint8, with the value of code 0 and the step per channel."""
    values = image.astype(np.float64)
    axes = tuple(range(1, image.ndim))
    low, high = values.min(axis=axes), values.max(axis=axes)
    step = np.where(high > low, (high - low) / 255, 1.0)
    shape = (-1,) + (1,) * len(axes)
    codes = np.rint((values - low.reshape(shape)) / step.reshape(shape)).astype(np.uint8)
    codes[..., 1:] = np.diff(codes, axis=-1)  # modulo 256
    return codes, low.tolist(), step.tolist()


def decode(codes: np.ndarray, low: Sequence[float], step: Sequence[float], dtype: str) -> np.ndarray:
    """The image that `encode` was given, to half a step."""
    shape = (-1,) + (1,) * (codes.ndim - 1)
    whole = np.cumsum(codes, axis=-1, dtype=np.uint8)
    values = whole * np.reshape(step, shape) + np.reshape(low, shape)
    return values.astype(dtype)


def chosen(split: Split, labels: str, unlabelled: int) -> dict[str, list[str]]:
    """Whom a pack holds: those with labels, the next of the training patients without, and who is tested."""
    order = split.orders["0"]["0"]
    labelled = split.labelled(labels)
    return {
        "labelled": labelled,
        "unlabelled": list(order[len(labelled) : len(labelled) + unlabelled]),
        "test": split.test(),
    }


def restricted(split: Split, patients: dict[str, list[str]]) -> dict[str, Any]:
    """The split's first fold with these patients alone, as a file's content; labels go to the same ones first."""
    kept = {*patients["labelled"], *patients["unlabelled"]}
    order = [patient for patient in split.orders["0"]["0"] if patient in kept]
    folds = [{"train": sorted(order), "val": [], "test": patients["test"]}]
    assert set(folds[0]) == set(PARTS)
    orders = {"0": {"0": order}}
    return {
        "entry": split.entry,
        "name": split.name,
        "source": f"{split.source}; the patients of a pack alone",
        "folds": folds,
        "orders": orders,
        "complete_counts": dict(split.complete_counts),
        "subset": True,
        "unused": [],
        "hash": split_hash(folds, orders),
        "unlabelled": [],
    }


def store_dataset(dataset: PreparedDataset, split: Split, patients: dict[str, list[str]], folder: Path) -> None:
    """Write the patients' cases in 8 bits and the restricted split into a folder."""
    prepared = folder / "prepared"
    everyone = [patient for part in patients.values() for patient in part]
    cases = sorted(dataset.cases_of(everyone))
    tested = set(dataset.cases_of(patients["test"], labelled=True))
    manifest = {}
    for name in cases:
        case, place = dataset.load(name), prepared / "cases" / name
        place.mkdir(parents=True)
        codes, low, step = encode(case.image)
        np.save(place / _CODES, codes)
        write_json(place / _RANGE, {"low": low, "step": step, "dtype": str(case.image.dtype)})
        case.geometry.to_json(place / "geometry.json")
        if case.label is not None:
            np.save(place / "label.npy", case.label)
        if name in tested:
            (prepared / "references").mkdir(exist_ok=True)
            shutil.copy(dataset.reference_path(name), prepared / "references")
        content = b"".join((place / file).read_bytes() for file in sorted(os.listdir(place)))
        manifest[name] = hashlib.sha256(content).hexdigest()
    # Super-pixels stay behind: the methods of the list do not look at them.
    rule = dataset.info.preparation.model_copy(update={"superpixels": None})
    source = {**dataset.info.source, "cases": len(cases), "patients": len(set(everyone))}
    notes = [*dataset.info.notes, f"{MARK}: {len(set(everyone))} of {len(dataset.patients)} patients"]
    info = dataset.info.model_copy(update={"preparation": rule, "source": source, "notes": notes})
    write_json(prepared / "dataset.json", info.model_dump(mode="json"))
    table = pd.read_csv(dataset.folder / "cases.csv", dtype=str, keep_default_na=False)
    table[table["case"].isin(cases)].to_csv(prepared / "cases.csv", index=False)
    write_json(prepared / "manifest.json", manifest)
    write_json(folder / "split.json", restricted(split, patients))


def restore_dataset(archive: Path, folder: Path) -> Path:
    """Unpack what `store_dataset` wrote and give the images their type back; once, whole or not at all."""
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as place:
        made = Path(place) / "made"
        with tarfile.open(archive) as packed:
            packed.extractall(made, filter="data")
        for codes in (made / "prepared" / "cases").glob(f"*/{_CODES}"):
            said = read_json(codes.with_name(_RANGE))
            image = decode(np.load(codes), said["low"], said["step"], said["dtype"])
            np.save(codes.with_name("image.npy"), image)
            codes.unlink()
        os.replace(made, folder)
    return folder
