"""What the values in predictions and references mean: from what is declared, else from all files together."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence

from contrastseg.data.readers.mask_values import Coding, FileValues, grey_threshold, listed, pooled, structure_coding
from contrastseg.errors import DataError, ScoringError
from contrastseg.labels import IGNORE

# Greys reach white; numbers of classes do not.
_WHITEST = 200
_NAME_TWO = "name two classes if it is one structure (--classes background,structure), else all classes"
Count = Callable[[bool], list[FileValues]]
"""Reads the values of every reference (True) or of every prediction (False)."""


@dataclasses.dataclass(frozen=True)
class Declared:
    """What is said of the values in the files.

    Attributes:
        classes: Names of the classes, background first; None where they have no names.
        values: Whether class k has the value k in all files. Names alone do not say so: two names also fit masks of
            any two values.
        predictions: The same of the predictions alone: those that `contrastseg predict` wrote.
        ignore: The references' value of voxels without truth; None where there is none.
        threshold: Values above it are the one structure; None where none is given.
    """

    classes: Sequence[str] | None = None
    values: bool = False
    predictions: bool = False
    ignore: int | None = None
    threshold: int | None = None


@dataclasses.dataclass(frozen=True)
class Meaning:
    """What the values mean.

    Attributes:
        names: Of the classes, background first.
        reference: Stored values to labels 0..K-1 and 255, which is left out.
        prediction: Stored values to labels 0..K-1.
        remarks: What was decided without being declared, a sentence each.
    """

    names: tuple[str, ...]
    reference: Coding
    prediction: Coding
    remarks: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class _Side:
    """The files of one side.

    Attributes:
        called: `references` or `predictions`.
        files: Their values, without those to ignore.
        values: Those that occur, without 0.
        threshold: Where they are greys of one structure.
        declared: Whether somebody gave the threshold.
    """

    called: str
    files: list[FileValues]
    values: tuple[int, ...]
    threshold: int | None
    declared: bool

    @property
    def binary(self) -> bool:
        return len(self.values) < 2 or self.threshold is not None

    @property
    def pair(self) -> bool:
        """Whether it may be background and structure without a 0 anywhere, such as 1 and 2."""
        two = len(self.values) == 2 and 2 * self.values[0] <= self.values[1] and IGNORE not in self.values
        return two and not self.zero

    @property
    def zero(self) -> bool:
        """Whether 0 occurs."""
        return any(0 in file.counts for file in self.files)

    def coding(self) -> Coding:
        """Of one structure."""
        if self.declared:
            return Coding(threshold=self.threshold)
        return structure_coding(self.files) if self.values else Coding(((0, 0),))


def meaning_of(declared: Declared, count: Count) -> Meaning:
    """Decide what the values mean.

    Args:
        declared: What is said of them.
        count: Asked only for what is not declared: it decodes every file once more.

    Raises:
        ScoringError: Values of more than one possible meaning, none of which is declared.
    """
    names = declared.classes
    if declared.ignore is not None and not 0 <= declared.ignore <= IGNORE:
        raise ScoringError(
            f"no label map holds the value {declared.ignore}, which is to be left out",
            remedy=f"give the value of these voxels in the reference files, from 0 to {IGNORE} (--ignore {IGNORE})",
        )
    if names is not None and len(names) > IGNORE:
        raise ScoringError(f"{len(names)} classes: label maps of 8 bits have {IGNORE}", remedy="name fewer classes")
    if names is not None and (len(names) != 2 or (declared.values and declared.predictions)):
        if declared.threshold is not None:
            raise ScoringError(
                f"a threshold for {len(names) - 1} classes",
                remedy="leave the threshold out: it is for masks of one structure, which have no declared values",
            )
        return Meaning(tuple(names), _classes(len(names), declared.ignore), _classes(len(names), None))
    predictions = _side("predictions", count(False), declared, None)
    if names is not None and declared.values:
        predicted = _one_structure(predictions, len(names))
        known = _classes(len(names), declared.ignore)
        return Meaning(tuple(names), known, predicted, _remarks({"predictions": predicted}))
    references = _side("references", count(True), declared, declared.ignore)
    if names is None and not _is_one_structure(references, predictions):
        return _labels_that_occur(references, predictions, declared)
    sides = {side.called: _one_structure(side, 2) for side in (references, predictions)}
    coding = _with_ignore(sides["references"], declared.ignore)
    alone = {value for side in (references, predictions) for value in side.values}
    if names is None:
        # A lone value keeps its name, so that files scored one by one agree; 255 is no name of a class.
        kept = len(alone) == 1 and alone != {IGNORE} and not any((references.threshold, predictions.threshold))
        names = ("background", str(next(iter(alone))) if kept else "1")
        if kept:
            return Meaning(tuple(names), coding, sides["predictions"])
    return Meaning(tuple(names), coding, sides["predictions"], _remarks(sides))


def _side(called: str, files: Iterable[FileValues], declared: Declared, ignore: int | None) -> _Side:
    known = [
        dataclasses.replace(file, counts={value: n for value, n in file.counts.items() if value != ignore})
        for file in files
    ]
    counts = pooled(known)
    values = tuple(value for value in counts if value)
    if declared.threshold is not None and max(values, default=0) > declared.threshold:
        return _Side(called, known, values, declared.threshold, declared=True)
    threshold = grey_threshold(counts, 32 if declared.classes is not None else _WHITEST)
    return _Side(called, known, values, threshold, declared=False)


def _is_one_structure(references: _Side, predictions: _Side) -> bool:
    """Whether both sides hold one structure, and the same, where the number of classes is not declared.

    Raises:
        ScoringError: Each side does, and both together may be one structure or two.
    """
    for side, other in ((references, predictions), (predictions, references)):
        if side.pair and other.binary and other.zero:
            raise ScoringError(
                f"{side.called} hold {listed(side.values)} and no 0, {other.called} hold 0: one structure or two",
                case=side.files[0].case,
                file=side.files[0].path,
                remedy=_NAME_TWO,
            )
    if not (references.binary and predictions.binary):
        return False
    if references.threshold is not None or predictions.threshold is not None:
        return True
    both = {*references.values, *predictions.values}
    if len(both) < 2 or IGNORE in both:
        return True
    if both == {1, 2}:
        return False
    raise ScoringError(
        f"references hold {references.values[0]} beside 0, predictions {predictions.values[0]}: one structure or two",
        case=predictions.files[0].case,
        file=predictions.files[0].path,
        remedy=_NAME_TWO,
    )


def _labels_that_occur(references: _Side, predictions: _Side, declared: Declared) -> Meaning:
    """Every value is a class of its own, named after it.

    Raises:
        ScoringError: 255 is among them.
    """
    for side in (references, predictions):
        if IGNORE in side.values or side.threshold is not None:
            raise _undeclared(side)
    values = sorted({*references.values, *predictions.values})
    table = ((0, 0), *((value, label) for label, value in enumerate(values, start=1)))
    coding = Coding(table)
    names = ("background", *map(str, values))
    remarks = _one_against_others(references, predictions)
    return Meaning(names, _with_ignore(coding, declared.ignore), coding, remarks)


def _one_against_others(references: _Side, predictions: _Side) -> tuple[str, ...]:
    """A remark where one side holds one value and the other others: they may number the objects of that structure."""
    few, many = sorted((references, predictions), key=lambda side: len(side.values))
    if len(few.values) != 1 or few.values == many.values:
        return ()
    if len(many.values) == 1:
        remark = f"{many.called} hold {many.values[0]} beside 0, {few.called} {few.values[0]}"
        return (f"{remark}: scored as two classes. If they are one, give --classes background,structure.",)
    return (
        f"Class values are not declared, and every value is scored as a class of its own: {many.called} hold "
        f"{listed(many.values)} beside 0, {few.called} {few.values[0]} alone. Where the {many.called} number the "
        "objects of one structure, give --threshold 0.",
    )


def _one_structure(side: _Side, classes: int) -> Coding:
    """What the values of a side mean where there is one structure.

    Raises:
        ScoringError: 255 beside other values, or files of different codings.
    """
    if not side.binary and not side.pair and IGNORE not in side.values:
        return _classes(classes, None)  # the file that holds another label is named when it is read
    if not side.binary and not side.pair:
        raise _undeclared(side)
    try:
        return side.coding()
    except DataError as error:
        raise ScoringError(error.reason, case=error.case, file=error.file, remedy=error.remedy) from error


def _undeclared(side: _Side) -> ScoringError:
    """Why the values of a side mean nothing for certain, and what would say it."""
    if all(len(file.counts) - (0 in file.counts) < 2 for file in side.files):
        try:
            structure_coding(side.files)
        except DataError as error:  # files that were written with different values
            return ScoringError(error.reason, case=error.case, file=error.file, remedy=error.remedy)
    odd = next((file for file in side.files if IGNORE in file.counts), side.files[0])
    beside = [value for value in side.values if value != IGNORE]
    remark = f"{side.called} hold {listed(side.values)} beside 0"
    if IGNORE in side.values:
        remark = f"{side.called} hold {IGNORE}, and nothing declares what it means"
        remark += f", beside {listed(beside)}" if beside else "; the other files hold several classes"
    number = f"number the classes 0, 1, 2, ... without {IGNORE}"
    greys = "these are greys of one structure, give --threshold 127"
    objects = "every value above 0 is the one structure, give --threshold 0"
    # Where no file holds both, the values of the other side or file are not greys: they would stay below 127.
    remedy = f"{number}; if {greys if beside else objects}"
    if side.called == "references" and IGNORE in side.values:
        remedy = f"give --ignore {IGNORE} if it marks voxels without truth; else {remedy}"
    return ScoringError(remark, case=odd.case, file=odd.path, remedy=remedy)


def _classes(count: int, ignore: int | None) -> Coding:
    return _with_ignore(Coding(tuple((value, value) for value in range(count))), ignore)


def _with_ignore(coding: Coding, ignore: int | None) -> Coding:
    if ignore is None:
        return coding
    return dataclasses.replace(coding, table=(*coding.table, (ignore, IGNORE)))


def _remarks(sides: dict[str, Coding]) -> tuple[str, ...]:
    """What was taken for the structure, where it is not 1 on both sides."""
    if all(set(coding.table) <= {(0, 0), (1, 1)} and coding.threshold is None for coding in sides.values()):
        return ()
    remark = "; ".join(f"{called}: {coding}" for called, coding in sides.items())
    whites = any((IGNORE, 1) in coding.table for called, coding in sides.items() if called == "references")
    other = f" Give --ignore {IGNORE} if it marks voxels without truth." if whites else ""
    return (f"Class values are not declared. Read over all files, {remark}.{other}",)
