"""What the values in masks mean: decided once, over all files of a set together.

Masks of one structure come as 0/1, 0/255 or 0/100, or as the greys of a compressed or resized image. One file cannot
say which: a value is the structure in one set, noise in another, and "leave this out" in a third. So the values of all
files are counted first, and one decision serves every file.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from contrastseg.data.readers.specs import RawCase
from contrastseg.errors import DataError
from contrastseg.labels import IGNORE

CODING = "masks"
"""Where `RawCase.details` holds the `Coding` of the case's masks."""
THRESHOLD = 127
# Compression and interpolation leave values this close to the two they started from, as a share of the higher one.
_NEAR = 1 / 8
# A value between the two that covers more than this share of what the higher one does is a third value, no blurred
# border; the second share is for many values, which a third one would not have brought along.
_THIRD = (0.05, 0.25)
_FEW_GREYS, _MANY_GREYS = 5, 9
_WHITE = 240
# A file whose only value lies below the threshold was written with other values when that value covers this much of it.
_SPECK = 1e-3
_LISTED = 6
_PART = 1 << 14


@dataclasses.dataclass(frozen=True)
class FileValues:
    """The values of one mask.

    Attributes:
        case: The case it belongs to.
        path: The file.
        counts: Pixels by value, of values that occur.
    """

    case: str
    path: Path
    counts: Mapping[int, int]

    @property
    def lone(self) -> int | None:
        """The only value beside 0; None where there is none or several."""
        above = [value for value in self.counts if value]
        return above[0] if len(above) == 1 else None


@dataclasses.dataclass(frozen=True)
class Coding:
    """What stored values mean: a table of values, or a threshold.

    Attributes:
        table: (stored value, label) of every value that may occur; of exceptions where there is a threshold.
        threshold: Values above it are the structure (label 1), others the background.
    """

    table: tuple[tuple[int, int], ...] = ()
    threshold: int | None = None

    def apply(self, array: np.ndarray, case: str | None, path: Path) -> np.ndarray:
        """The labels of an array of stored values.

        Args:
            array: uint8, any shape.
            case: For the message.
            path: For the message.

        Returns:
            uint8, same shape.

        Raises:
            DataError: A value is not in the table.
        """
        present = list(count_values(array))
        if unknown := self.unknown(present):
            raise DataError(
                f"the values {listed(unknown)} are not among those of the whole set: "
                f"{listed([value for value, _ in self.table])}",
                case=case,
                file=path,
                remedy="prepare the data set again: the file has changed since its values were counted",
            )
        return self.mapped(array, present)

    def mapped(self, array: np.ndarray, present: Iterable[int]) -> np.ndarray:
        """The labels of an array (uint8) that holds these values, which are known."""
        labels = np.zeros(256, dtype=np.uint8)
        if self.threshold is not None:
            labels[self.threshold + 1 :] = 1
        for value, label in self.table:
            labels[value] = label
        if all(labels[value] == value for value in present):
            return array
        structure = [value for value in present if labels[value]]
        if len(structure) == 1:  # much faster than looking every voxel up
            return (array == structure[0]).astype(np.uint8) * labels[structure[0]]
        return labels.take(array, mode="clip")

    def unknown(self, values: Iterable[int]) -> list[int]:
        """Those of the values that mean nothing."""
        known = {value for value, _ in self.table}
        return [] if self.threshold is not None else [value for value in values if value not in known]

    @property
    def unusual(self) -> bool:
        """Whether a reader of the tables should know it: the structure has another value than 1 and 255."""
        return any(label == 1 and value not in (1, IGNORE) for value, label in self.table)

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON-able values."""
        return {"table": [list(pair) for pair in self.table], "threshold": self.threshold}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Coding:
        """The coding that `to_json` gave."""
        return cls(tuple((int(value), int(label)) for value, label in fields["table"]), fields["threshold"])

    def __str__(self) -> str:
        if self.threshold is not None:
            return f"greys, thresholded at {self.threshold}: above it is the structure"
        structure = [value for value, label in self.table if label == 1]
        background = [value for value, label in self.table if label == 0]
        if not structure:
            return "every mask is empty"
        return f"{structure[0]} is the structure and {listed(background) or 'nothing'} the background"


def count_values(array: np.ndarray) -> dict[int, int]:
    """Pixels by value of a uint8 array of any shape, values that occur in rising order."""
    values = array.reshape(-1)
    counts = np.zeros(256, dtype=np.int64)
    # Part by part: most parts of a mask hold one value, which its lowest and highest show at once.
    for start in range(0, values.size, _PART):
        part = values[start : start + _PART]
        low = part.min()
        if low == part.max():
            counts[low] += part.size
        else:
            counts += np.bincount(part, minlength=256)
    return {int(value): int(counts[value]) for value in np.flatnonzero(counts)}


def pooled(files: Iterable[FileValues]) -> dict[int, int]:
    """Pixels by value over all files, values in rising order."""
    total: Counter[int] = Counter()
    for file in files:
        total.update(file.counts)
    return dict(sorted(total.items()))


def structure_coding(files: Sequence[FileValues]) -> Coding:
    """What the values of masks of one structure mean, where nothing declares it.

    Two values are background (the lower) and structure. More are greys of a compressed or resized mask if they gather
    around two values: above the middle of the two is the structure, above 127 where the higher one is white.

    Args:
        files: The values of every mask of the set.

    Raises:
        DataError: The values are not those of one structure, or files were written with different pairs of values.
    """
    counts = pooled(files)
    values = list(counts)
    if len(values) < 2 or (len(values) == 2 and (values[0] == 0 or 2 * values[0] <= values[1])):
        # One value beside 0 is the structure, even where no file has background.
        return Coding(tuple((value, int(value == values[-1] and value > 0)) for value in values))
    threshold = grey_threshold(counts)
    if threshold is None:
        raise _unclear(files, values)
    for file in files:
        lone, size = file.lone, sum(file.counts.values())
        if lone is not None and lone <= threshold and file.counts[lone] > _SPECK * size:
            raise _unclear(files, values, file)
    return Coding(threshold=threshold)


def plain_coding(array: np.ndarray, case: str, path: Path) -> Coding:
    """The coding of one mask of 0 and 1, of 0 and 255 or of greys up to white, which mean the same in most sets.

    Raises:
        DataError: It has other values, whose meaning one file cannot tell.
    """
    counts = count_values(array)
    values = list(counts)
    if set(values) <= {0, 1} or set(values) <= {0, IGNORE} or grey_threshold(counts) == THRESHOLD:
        return structure_coding([FileValues(case, path, counts)])
    raise DataError(
        f"the mask holds {listed(values)}, and what they mean was not decided over all masks of the data set",
        case=case,
        file=path,
        remedy="name the masks in the data set's `DatasetSpec.undeclared_masks` (`photo_masks` serves most)",
    )


def coding_of(raw: RawCase) -> Coding | None:
    """What the values of the case's masks mean; None where the layout itself says it, or where nothing was decided."""
    coding = raw.details.get(CODING)
    return coding if isinstance(coding, Coding) else None


def with_coding(raw: RawCase, coding: Coding) -> RawCase:
    """The case with what the values of its masks mean, for `DatasetSpec.load`."""
    return dataclasses.replace(raw, details={**raw.details, CODING: coding})


def grey_notes(array: np.ndarray, coding: Coding) -> tuple[str, ...]:
    """A note where a mask (uint8) had to be thresholded."""
    blurred = coding.threshold is not None and len(count_values(array)) > 2
    return (f"greys in the mask, thresholded at {coding.threshold}",) if blurred else ()


def grey_threshold(counts: Mapping[int, int], whitest: int = 32) -> int | None:
    """The threshold of greys that compression or interpolation made of two values; None where they are other values.

    Args:
        counts: Pixels by value, over all files.
        whitest: The lowest maximum that greys may have: labels of classes are small numbers.
    """
    top = max(counts, default=0)
    low = {value: count for value, count in counts.items() if 2 * value <= top}
    high = {value: count for value, count in counts.items() if 2 * value > top}
    if top < whitest or len(high) < 2 or not low:
        return None
    dark, bright = (max(side, key=lambda value: side[value]) for side in (low, high))
    between = [count for value, count in counts.items() if min(abs(value - dark), abs(value - bright)) > _NEAR * top]
    most = _THIRD[len(counts) >= _MANY_GREYS] * high[bright]
    if between and (len(counts) < _FEW_GREYS or len(low) < 2 or max(between) > most):
        return None
    return THRESHOLD if bright >= _WHITE else (dark + bright) // 2


def _unclear(files: Sequence[FileValues], values: Sequence[int], odd: FileValues | None = None) -> DataError:
    """Why the values are not those of one structure, naming the file that stands most alone."""
    pairs: dict[int, list[FileValues]] = {}
    for file in files:
        if file.lone is not None:
            pairs.setdefault(file.lone, []).append(file)
    if odd is None:
        holding = {value: [file for file in files if value in file.counts] for value in values if value}
        rarest = min(holding, key=lambda value: (len(holding[value]), sum(f.counts[value] for f in holding[value])))
        odd = holding[rarest][0]
    if len(pairs) > 1 or odd.lone is not None:
        several = [file for file in files if file.lone is None and len(file.counts) > 1]
        counted = [f"{len(group)} hold {value} ({group[0].path.name})" for value, group in sorted(pairs.items())]
        counted += [f"{len(several)} hold several values ({several[0].path.name})"] if several else []
        return DataError(
            f"masks of one structure were written with different values beside 0: {'; '.join(counted)}",
            case=odd.case,
            file=odd.path,
            remedy="write every mask with the same two values: 0 for background, 255 for the structure",
        )
    aside = f"; nothing declares {IGNORE} as a value to ignore" if IGNORE in values and len(values) == 3 else ""
    return DataError(
        f"masks of one structure hold {len(values)} values over all files, {listed(values)}{aside}",
        case=odd.case,
        file=odd.path,
        remedy="write 0 for background and one other value for the structure in every mask",
    )


def undeclared_ignore(values: Iterable[float]) -> str:
    """What to add to a sentence on unknown values where 255 is among them; empty where it is not."""
    return f"; nothing declares {IGNORE} as the value of voxels to ignore" if IGNORE in values else ""


def grey_remedy(label: np.ndarray, known: Sequence[int]) -> str | None:
    """How to mend a label of one structure that is a grey image; None where it is none."""
    threshold = grey_threshold(count_values(label)) if label.dtype == np.uint8 and len(known) == 2 else None
    if threshold is None:
        return None
    return f"write {known[1]} where the mask is above {threshold} and 0 elsewhere, as PNG: compression left greys in it"


def value_remedy(wrong: Sequence[float], known: Sequence[int]) -> str:
    """How to mend label files with values that are not declared.

    Args:
        wrong: Some of these values.
        known: The declared ones.
    """
    description = "nnU-Net's dataset.json"
    ignored = (
        f"; if these voxels have no truth, declare `ignore` as the last label in {description}, with its number here"
    )
    if len(known) == 2 and len(wrong) == 1:
        return f"write {known[1]} where the label holds {wrong[0]:g}, if that is the structure{ignored}"
    missing = f"write declared values there, or name the missing labels in {description}"
    if len(known) == 2:  # as instance segmentations come
        objects = f"if the label numbers the objects of one structure, write {known[1]} wherever it is above 0"
        missing = f"{objects}; else {missing}"
    return missing + (ignored if IGNORE in wrong else "")


def listed(values: Sequence[int]) -> str:
    """Some of the values for a sentence, the last of them in any case."""
    shown = [str(value) for value in values]
    if len(shown) > _LISTED:
        shown = [*shown[: _LISTED - 1], "...", shown[-1]]
    return ", ".join(shown)
