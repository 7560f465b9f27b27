"""The protocol of a row: the cases, references, patients and classes that its predictions were made for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.splits.split_files import Split
from contrastseg.files import digest, sha256

PARTS = {
    "classes": "the classes",
    "test": "the test cases",
    "references": "the references",
    "train": "the training and validation patients",
    "labelled": "the labelled patients",
}
"""What a protocol consists of, in words."""


@dataclass(frozen=True)
class RowProtocol:
    """What one row of the tables rests on beside its predictions.

    Attributes:
        dataset: The prepared data of the entry that is predicted.
        split: The split of the entry that the method is trained on.
        tested: The split of the entry that is predicted.
        labels: The label budget.
        draw: Which patients have labels.
        fold: The fold that is trained on.
        test_fold: The fold of `tested` whose test patients are predicted.
    """

    dataset: PreparedDataset
    split: Split
    tested: Split
    labels: str
    draw: int = 0
    fold: int = 0
    test_fold: int = 0

    @cached_property
    def cases(self) -> dict[str, str]:
        """The patient of each test case that has a reference."""
        cases = self.dataset.cases_of(self.tested.test(self.test_fold), labelled=True)
        return {case: self.dataset.patient(case) for case in cases}

    @property
    def labelled(self) -> list[str]:
        """The patients whose labels may be used for training."""
        return self.split.labelled(self.labels, self.draw, self.fold)

    @cached_property
    def parts(self) -> dict[str, str]:
        """A digest of each of PARTS."""
        train, val = self.split.train(self.fold), self.split.val(self.fold)
        contents: dict[str, Any] = {
            "classes": self.dataset.info.classes,
            "test": self.cases,
            "references": references_of(self.dataset, self.cases),
            "train": [sorted(train), sorted(val), sorted(self.split.unlabelled)],
            "labelled": sorted(self.labelled),
        }
        return {name: digest(contents[name]) for name in PARTS}

    def stored(self) -> dict[str, Any]:
        """What a row and an exported protocol keep of it: `digest` of all, and `parts`."""
        return {"digest": digest(self.parts), "parts": self.parts}


def references_of(dataset: PreparedDataset, cases: Iterable[str]) -> dict[str, str]:
    """SHA-256 of each case's reference file in native geometry; empty where there is no longer one.

    Preparation settings do not change these files: predictions lie on the native grid.
    """
    known = set(dataset.cases)
    return {case: _hash(dataset.reference_path(case)) if case in known else "" for case in sorted(cases)}


def _hash(path: Path) -> str:
    if not path.is_file():
        return ""
    status = path.stat()
    return _hash_at(path.resolve(), status.st_mtime_ns, status.st_size)


@cache
def _hash_at(path: Path, time: int, size: int) -> str:
    return sha256(path)


def differing_parts(stored: Mapping[str, Any], present: Mapping[str, Any]) -> list[str]:
    """The parts of two protocols that differ, in words.

    Args:
        stored: As `RowProtocol.stored` gave it.
        present: Likewise.
    """
    ours, theirs = stored.get("parts") or {}, present.get("parts") or {}
    return [words for name, words in PARTS.items() if ours.get(name) != theirs.get(name)]


def changed_references(entered: Mapping[str, Any], dataset: PreparedDataset) -> bool:
    """Whether classes or references are no longer those that predictions were entered for, so that none is scored.

    Args:
        entered: The part of their index that `enter` wrote.
        dataset: The references.
    """
    stored = entered["protocol"]["parts"]
    present = {
        "classes": digest(dataset.info.classes),
        "references": digest(references_of(dataset, entered["cases"])),
    }
    return any(stored[name] != value for name, value in present.items())
