"""Splits by patient with nested labelled subsets; a split is a file, and can be cited by its hash."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from contrastseg.data.cases import PreparedDataset
from contrastseg.data.settings import SplitSettings
from contrastseg.errors import SplitError, unknown_name
from contrastseg.files import digest, read_json, write_if_changed

SPLITS_FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "splits"
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
        name: ``random`` or the published split's name.
        source: Where it comes from.
        folds: Per fold the patients of ``train``, ``val`` and ``test``.
        orders: Per fold and draw the training patients in the order in which they get labels.
        complete_counts: Patients per part of the published split's first fold, whether present or not.
        subset: Whether patients of the published split are absent.
        unused: Prepared patients the split does not name.
        hash: Of folds and orders.
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

    @classmethod
    def from_file(cls, path: str | Path) -> Split:
        """Read and check a split file.

        Raises:
            SplitError: A patient is in two parts, an order is not one of the training patients, or the hash is wrong.
        """
        value = read_json(path)
        value.pop("unit")
        split = cls(**{**value, "folds": tuple(value["folds"]), "unused": tuple(value["unused"])})
        check_folds(split.folds, Path(path))
        for fold, orders in split.orders.items():
            for draw, order in orders.items():
                if sorted(order) != sorted(split.train(int(fold))):
                    raise SplitError(f"fold {fold}, draw {draw} does not order the training patients", file=path)
        if split_hash(split.folds, split.orders) != split.hash:
            raise SplitError("the hash does not fit the patients", file=path, remedy="make the split again")
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
        if str(draw) not in draws:
            raise SplitError(
                f"the split of {self.entry} has no draw {draw}",
                remedy=f"it has 0 to {len(draws) - 1}; raise split.draws",
            )
        return list(draws[str(draw)][: labelled_count(labels, len(self.train(fold)))])

    def _fold(self, fold: int) -> Mapping[str, Sequence[str]]:
        if not 0 <= fold < len(self.folds):
            raise SplitError(
                f"the split of {self.entry} has no fold {fold}", remedy=f"it has 0 to {len(self.folds) - 1}"
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


def shuffled(patients: Iterable[str], *key: int | str) -> list[str]:
    """The patients in an order that depends on them and the key alone, not on platform, library or their order.

    Sorting by hashes rather than drawing a permutation also leaves the others' order as it is when a patient joins.
    """
    prefix = "/".join(map(str, key))
    return sorted(set(patients), key=lambda patient: hashlib.sha256(f"{prefix}/{patient}".encode()).hexdigest())


def random_folds(patients: Iterable[str], settings: SplitSettings) -> list[dict[str, list[str]]]:
    """Random folds by patient: one by the fractions, or k with disjoint tests that cover everybody.

    Raises:
        SplitError: Too few patients for a part that was asked for.
    """
    order = shuffled(patients, "split", settings.seed)
    total, shares = len(order), settings.fractions
    if settings.folds == 1:
        tests = [order[: _count(shares.test, total)]]
    else:
        tests = [order[fold :: settings.folds] for fold in range(settings.folds)]
    folds = []
    for test in tests:
        rest = [patient for patient in order if patient not in set(test)]
        val = _count(shares.val, total)
        fold = {"train": rest[val:], "val": rest[:val], "test": test}
        empty = [part for part in PARTS if getattr(shares, part) > 0 and not fold[part]]
        if empty:
            raise SplitError(f"{total} patients leave no one for {' and '.join(empty)}", remedy="give more patients")
        folds.append(fold)
    return folds


def _count(fraction: float, total: int) -> int:
    return max(1, round(fraction * total)) if fraction > 0 else 0


def read_published(name: str, splits_folder: Path = SPLITS_FOLDER) -> dict[str, Any]:
    """A published split: {name, dataset, source, folds, orders (per fold and draw; may be absent)}.

    Raises:
        SplitError: There is no such file, or a patient is in two parts of it.
    """
    path = splits_folder / f"{name}.json"
    if not path.is_file():
        known = [file.stem for file in splits_folder.glob("*.json")]
        raise SplitError(unknown_name("split", name, ["random", *known]), file=path)
    value = read_json(path)
    check_folds(value["folds"], path)
    return dict(value)


def split_dataset(
    entry: str,
    prepared_folder: str | Path,
    settings: SplitSettings | Mapping[str, Any],
    output_file: str | Path,
    splits_folder: str | Path | None = None,
    *,
    subset: bool = False,
) -> Path:
    """Write the split of a prepared data set; an unchanged one keeps its file.

    Args:
        entry: The suite's name for the data set.
        prepared_folder: The prepared data set.
        settings: Which split, and how many draws.
        output_file: The split's file.
        splits_folder: Where the published splits lie; None for the project's own.
        subset: Restrict a published split to the patients present, instead of failing when some are absent.

    Returns:
        `output_file`.

    Raises:
        SplitError: Patients of a published split are absent (all are named) and no subset is declared; a patient in
            two parts; a part without patients.
    """
    chosen = SplitSettings.model_validate(settings)
    patients = PreparedDataset(prepared_folder).patients
    folder = SPLITS_FOLDER if splits_folder is None else Path(splits_folder)
    value = make_split(entry, patients, chosen, folder, subset=subset)
    write_if_changed(output_file, json.dumps(value, indent=1, ensure_ascii=False) + "\n")
    return Path(output_file)


def make_split(
    entry: str,
    patients: Iterable[str],
    settings: SplitSettings,
    splits_folder: Path = SPLITS_FOLDER,
    *,
    subset: bool = False,
) -> dict[str, Any]:
    """The contents of a split file; see `split_dataset`."""
    present = sorted(set(patients))
    if settings.name == "random":
        folds, source = random_folds(present, settings), f"random by patient, seed {settings.seed}"
        complete, known = folds, {}
    else:
        published = read_published(settings.name, splits_folder)
        complete, source, known = published["folds"], published["source"], published.get("orders", {})
        folds = [restrict(fold, present, settings.name, subset) for fold in complete]
    orders = {
        str(fold): {str(draw): _order(parts["train"], known, settings, fold, draw) for draw in range(settings.draws)}
        for fold, parts in enumerate(folds)
    }
    named = {patient for parts in complete for part in PARTS for patient in parts[part]}
    return {
        "entry": entry,
        "name": settings.name,
        "source": source,
        "unit": "patient",
        "folds": folds,
        "orders": orders,
        "hash": split_hash(folds, orders),
        "complete_counts": {part: len(complete[0][part]) for part in PARTS},
        "subset": any(
            len(fold[part]) < len(whole[part]) for fold, whole in zip(folds, complete, strict=True) for part in PARTS
        ),
        "unused": [patient for patient in present if patient not in named],
    }


def restrict(
    fold: Mapping[str, Sequence[str]], present: Iterable[str], name: str, subset: bool
) -> dict[str, list[str]]:
    """A published fold's patients that are present, in its order.

    Raises:
        SplitError: Some are absent and no subset is declared, or a part of it has nobody left.
    """
    there = set(present)
    absent = [patient for part in PARTS for patient in fold[part] if patient not in there]
    if absent and not subset:
        raise SplitError(
            f"{len(absent)} patients of split {name!r} are absent: {', '.join(absent)}",
            remedy="complete the data, or declare `subset:` in the suite to go on with the patients present",
        )
    kept = {part: [patient for patient in fold[part] if patient in there] for part in PARTS}
    if empty := [part for part in ("train", "test") if fold[part] and not kept[part]]:
        raise SplitError(
            f"no patient of split {name!r} is present for {' and '.join(empty)}", remedy="complete the data"
        )
    return kept


def _order(
    train: Sequence[str],
    known: Mapping[str, Mapping[str, Sequence[str]]],
    settings: SplitSettings,
    fold: int,
    draw: int,
) -> list[str]:
    """Published order where there is one (draw 0: else the list itself, if published), the rest by hash."""
    first = known.get(str(fold), {}).get(str(draw), ())
    if draw == 0 and settings.name != "random" and not first:
        return list(train)
    head = [patient for patient in first if patient in set(train)]
    return head + shuffled(set(train) - set(head), "draw", settings.seed, fold, draw)


def train_patients(
    settings: SplitSettings,
    patients: Iterable[str] | None,
    splits_folder: Path = SPLITS_FOLDER,
    *,
    subset: bool = False,
) -> int | None:
    """How many training patients the first fold will have, without any prepared file.

    Args:
        settings: The split.
        patients: The patients that are there, None where nobody knows yet.
        splits_folder: Where the published splits lie.
        subset: Whether a published split may be restricted to the patients present.

    Returns:
        The count, None where it depends on patients nobody knows yet.
    """
    if patients is not None:
        return len(make_split("", patients, settings, splits_folder, subset=subset)["folds"][0]["train"])
    if settings.name == "random" or subset:
        return None
    return len(read_published(settings.name, splits_folder)["folds"][0]["train"])
