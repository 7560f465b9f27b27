"""A split as a file: who trains, validates and tests, who gets labels first, and the hash it is cited by."""

from __future__ import annotations

import dataclasses
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

from pydantic import TypeAdapter

from contrastseg.errors import SplitError
from contrastseg.files import digest, read_json, wrap_parse_errors

PARTS = ("train", "val", "test")


def labelled_count(labels: str, n_train: int) -> int:
    """How many training patients a label budget means.

    Args:
        labels: ``r<ratio>`` (``r0.25``: max(1, floor(ratio * n_train))) or ``n<count>`` (``n7``).
        n_train: Number of training patients.

    Raises:
        SplitError: The budget is malformed, or there are not as many training patients.
    """
    if not re.fullmatch(r"r(0?\.\d+|[01](\.\d*)?)|n\d+", labels) or Fraction(labels[1:]) <= 0:
        raise SplitError(
            f"label budget {labels!r}", remedy="write r0.25 for a ratio in (0, 1], n7 for a count of patients"
        )
    # Fraction reads decimals as written: floor(0.29 * 100) is 28 in binary floating point.
    number = Fraction(labels[1:])
    if labels[0] == "n" and number > n_train:
        raise SplitError(
            f"{number} labelled patients are asked for, the training part has {n_train}",
            remedy=f"ask for at most n{n_train}",
        )
    if labels[0] == "n":
        return int(number)
    if number > 1:
        raise SplitError(f"label ratio {labels[1:]}", remedy="ask for at most r1")
    return min(n_train, max(1, math.floor(number * n_train)))


@dataclasses.dataclass(frozen=True)
class Split:
    """A split of one prepared data set.

    Attributes:
        entry: The suite's name for the data set.
        name: ``random``, ``official`` or the published split's name.
        source: Where it comes from.
        folds: Per fold the patients of ``train``, ``val`` and ``test``.
        orders: Per fold and draw the training patients in the order in which they get labels; no draw where a fold
            trains on nobody.
        complete_counts: Patients per part of the published split's first fold, whether present or not.
        subset: Whether patients of the published split are absent.
        unused: Prepared patients with labels that the split does not name.
        hash: Of folds and orders.
        unlabelled: Patients without any label. They train in every fold, and are in no part of it.
    """

    entry: str
    name: str
    source: str
    folds: tuple[Mapping[str, Sequence[str]], ...]
    orders: Mapping[str, Mapping[str, Sequence[str]]]
    complete_counts: Mapping[str, int]
    subset: bool
    unused: tuple[str, ...]
    hash: str
    unlabelled: tuple[str, ...] = ()

    @classmethod
    def from_file(cls, path: str | Path) -> Split:
        """Read and check a split file.

        Raises:
            SplitError: It is no split, a patient is in two parts, an order is not one of the training patients, or the
                hash is wrong.
        """
        with wrap_parse_errors(path, SplitError, "make the split again"):
            split = TypeAdapter(cls).validate_python(read_json(path))
            check_folds(split.folds, Path(path))
            if absent := [number for number in range(len(split.folds)) if str(number) not in split.orders]:
                raise ValueError(f"folds {absent} have no orders")
            if wrong := [fold for fold in split.orders if fold not in map(str, range(len(split.folds)))]:
                raise ValueError(f"orders of folds {wrong}, which are none")
            named = {patient for fold in split.folds for part in PARTS for patient in fold[part]}
            if both := sorted(named & set(split.unlabelled)):
                raise ValueError(f"patients without a label are in a part: {', '.join(both)}")
        for fold, orders in split.orders.items():
            for draw, order in orders.items():
                if sorted(order) != sorted(split.train(int(fold))):
                    raise SplitError(
                        f"fold {fold}, draw {draw} does not order the training patients",
                        file=path,
                        remedy="delete the file and run `contrastseg split` again",
                    )
        if split_hash(split.folds, split.orders) != split.hash:
            raise SplitError(
                "the hash does not fit the patients",
                file=path,
                remedy="delete the file and run `contrastseg split` again",
            )
        return split

    def train(self, fold: int = 0) -> list[str]:
        """Training patients."""
        return list(self._fold(fold)["train"])

    def val(self, fold: int = 0) -> list[str]:
        """Validation patients; may be empty."""
        return list(self._fold(fold)["val"])

    def test(self, fold: int = 0) -> list[str]:
        """Test patients."""
        return list(self._fold(fold)["test"])

    def labelled(self, labels: str, draw: int = 0, fold: int = 0) -> list[str]:
        """The training patients whose labels may be used: the first of the draw's order.

        Raises:
            SplitError: No such draw or fold, or a budget that cannot be met.
        """
        self._fold(fold)
        draws = self.orders[str(fold)]
        if not self.train(fold):
            raise SplitError(
                f"the split of {self.entry} has no training patients with labels",
                remedy="set `evaluate_on: []` for this entry, or name it in the pool of another",
            )
        if str(draw) not in draws:
            raise SplitError(
                f"the split of {self.entry} has no draw {draw}",
                remedy=f"choose a draw from 0 to {len(draws) - 1}, or raise split.draws",
            )
        return list(draws[str(draw)][: labelled_count(labels, len(self.train(fold)))])

    def _fold(self, fold: int) -> Mapping[str, Sequence[str]]:
        if not 0 <= fold < len(self.folds):
            raise SplitError(
                f"the split of {self.entry} has no fold {fold}", remedy=f"choose a fold from 0 to {len(self.folds) - 1}"
            )
        return self.folds[fold]


def split_hash(folds: Sequence[Mapping[str, Sequence[str]]], orders: Mapping[str, Mapping[str, Sequence[str]]]) -> str:
    """16 hex digits over who is where and who gets labels first."""
    parts = [{part: sorted(fold[part]) for part in PARTS} for fold in folds]
    return digest({"folds": parts, "orders": orders})


def check_folds(folds: Sequence[Mapping[str, Sequence[str]]], file: Path | None = None) -> None:
    """Check that no patient is named twice in a fold.

    Raises:
        SplitError: Names the patients.
    """
    for number, fold in enumerate(folds):
        counts = Counter(patient for part in PARTS for patient in fold[part])
        if twice := sorted(patient for patient, count in counts.items() if count > 1):
            raise SplitError(
                f"fold {number} names patients more than once: {', '.join(twice)}",
                case=twice[0],
                file=file,
                remedy="keep each patient in one part",
            )
