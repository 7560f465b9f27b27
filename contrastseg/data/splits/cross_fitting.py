"""Validation that is paid for out of the labelled patients: folds in which each of them validates once."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from contrastseg.data.splits.split_files import Split, split_hash
from contrastseg.errors import SplitError

SMALLEST = 4
"""Fewer labelled patients cannot be divided."""


def validation_count(n_labelled: int) -> int:
    """How many of n labelled patients a fold holds out: max(1, ⌊n/4 + ½⌋).

    Raises:
        SplitError: There are fewer than 4.

    Example:
        >>> [validation_count(n) for n in (4, 5, 6, 7, 10)]
        [1, 1, 2, 2, 3]
    """
    if n_labelled < SMALLEST:
        raise SplitError(
            f"{n_labelled} labelled patients cannot pay for validation; expected {SMALLEST} or more",
            remedy="give more labels, or set `validation: free` in the suite's `tuning`",
        )
    return max(1, math.floor(n_labelled / 4 + 0.5))


def fold_count(n_labelled: int) -> int:
    """How many folds n labelled patients make: ⌈n / n_val⌉; errors are those of `validation_count`."""
    return math.ceil(n_labelled / validation_count(n_labelled))


def validating_patients(labelled: Sequence[str]) -> list[list[str]]:
    """The patients that each fold holds out, in the order in which patients get labels; each is in one fold.

    Raises:
        SplitError: There are fewer than 4.

    Example:
        >>> validating_patients(list("abcdefg"))
        [['a', 'b'], ['c', 'd'], ['e', 'f'], ['g']]
    """
    size = validation_count(len(labelled))
    return [list(labelled[first : first + size]) for first in range(0, len(labelled), size)]


def inner_split(split: Split, labels: str, draw: int, fold: int, inner: int) -> tuple[Split, str]:
    """The split that a trial trains on in one fold: the validating patients are no training patients of it.

    The test patients stay test patients, so that images of theirs are still left out where they lie under another name.

    Args:
        split: Of the entry.
        labels: Label budget that is tuned.
        draw: Which patients have labels.
        fold: Fold of the split.
        inner: Which of the folds of the labelled patients.

    Returns:
        The split, in which this fold has this draw alone, and the label budget that is left.

    Raises:
        SplitError: There are fewer than 4 labelled patients, or there is no such fold.
    """
    labelled = split.labelled(labels, draw, fold)
    held_out = validating_patients(labelled)
    if not 0 <= inner < len(held_out):
        raise SplitError(
            f"{len(labelled)} labelled patients make {len(held_out)} folds, and fold {inner} is asked for",
            remedy=f"choose a fold from 0 to {len(held_out) - 1}",
        )
    validating = set(held_out[inner])
    parts = {
        "train": [patient for patient in split.train(fold) if patient not in validating],
        "val": held_out[inner],
        "test": split.test(fold),
    }
    order = [patient for patient in split.orders[str(fold)][str(draw)] if patient not in validating]
    folds = tuple(parts if number == fold else dict(other) for number, other in enumerate(split.folds))
    orders = {**split.orders, str(fold): {str(draw): order}}
    changed = dataclasses.replace(split, folds=folds, orders=orders, hash=split_hash(folds, orders))
    return changed, f"n{len(labelled) - len(validating)}"
