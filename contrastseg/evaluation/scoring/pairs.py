"""Predictions and references on disk: which belong together, and whether they lie on one grid."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contrastseg.data.files.formats import read_header
from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.readers.mask_values import Coding, FileValues, count_values, undeclared_ignore
from contrastseg.errors import ScoringError
from contrastseg.evaluation.scoring.label_maps import (
    grid_difference,
    in_one_unit,
    printed_spacing,
    read_label_map,
    with_axes_of,
)
from contrastseg.evaluation.scoring.meaning import Meaning
from contrastseg.evaluation.scoring.predictions import SUFFIXES, case_of, expected_predictions, label_files
from contrastseg.labels import IGNORE


@dataclass(frozen=True)
class Reference:
    """One reference and where its scores belong."""

    case: str
    patient: str
    path: Path
    unit: str | None = None


@dataclass(frozen=True)
class MaskPair:
    """A reference and its prediction, None where there is no file."""

    reference: Reference
    prediction: Path | None


@dataclass(frozen=True)
class Labels:
    """A reference and its prediction on one grid.

    Attributes:
        prediction: uint8 (*spatial) in array order, 0..K-1; None where there is no file.
        reference: uint8, same shape, 0..K-1, and 255 where it is to be left out.
        spacing: Of the reference in mm; None where it is unknown.
    """

    prediction: NDArray | None
    reference: NDArray
    spacing: tuple[float, ...] | None


def pairs_of_folder(
    predictions: str | Path, references: PreparedDataset | str | Path, cases: Iterable[str] | None = None
) -> tuple[list[MaskPair], tuple[str, ...] | None]:
    """Every expected case of a folder of predictions, by name, and the names of the labels where they are known.

    Expected are `cases`, else what the folder's `predictions.json` lists, else every reference.

    Raises:
        ScoringError: A folder is missing or empty, or a prediction has no reference.
    """
    folder = Path(predictions)
    if not folder.is_dir():
        raise ScoringError(
            "folder of predictions not found", file=folder, remedy="correct the path, or run `contrastseg predict`"
        )
    if not isinstance(references, PreparedDataset) and (Path(references) / "cases.csv").is_file():
        references = PreparedDataset(references)
    prepared = isinstance(references, PreparedDataset)
    known = _prepared(references) if isinstance(references, PreparedDataset) else _plain(Path(references))
    listed = expected_predictions(folder)
    files = label_files(folder) if listed is None else {c: f for c, f in listed.items() if f.is_file()}
    expected = sorted(cases) if cases is not None else sorted(known if listed is None else listed)
    orphans = sorted((files.keys() | set(expected)) - known.keys())
    if orphans:
        raise ScoringError(
            f"{len(orphans)} prediction(s) without a reference: {', '.join(orphans[:5])}",
            case=orphans[0],
            file=files.get(orphans[0], folder),
            remedy="give the references of these cases, or remove the predictions; a case is named by its file",
        )
    names = tuple(references.info.classes) if prepared else None  # type: ignore[union-attr]
    return [MaskPair(known[case], files.get(case)) for case in expected], names


def pair_of_files(prediction: str | Path, reference: str | Path) -> MaskPair:
    """Two files, whatever they are called; the case is named after the prediction.

    Raises:
        ScoringError: One of them is no file, or is not named as a label map.
    """
    for file, what in ((Path(prediction), "prediction"), (Path(reference), "reference")):
        if file.is_dir():
            raise ScoringError(f"the {what} is a folder, the other a file", file=file, remedy="give two of a kind")
        if not file.is_file():
            raise ScoringError(f"{what} not found", file=file, remedy="correct the path")
        if case_of(file) is None:
            raise ScoringError(
                f"unsupported format of the {what}",
                file=file,
                remedy=f"convert it to one of {', '.join(SUFFIXES)}",
            )
    case = str(case_of(prediction))
    return MaskPair(Reference(case, case, Path(reference)), Path(prediction))


def values_of(pairs: Iterable[MaskPair], references: bool) -> list[FileValues]:
    """The values of every reference, or of every prediction that is there: file by file, none is kept in memory."""
    values = []
    for pair in pairs:
        file = pair.reference.path if references else pair.prediction
        if file is not None:
            values.append(
                FileValues(pair.reference.case, file, count_values(read_label_map(file, pair.reference.case)[0]))
            )
    return values


def read_pair(pair: MaskPair, meaning: Meaning) -> Labels:
    """Read both files as labels 0..K-1, and 255 where the reference is to be left out.

    Raises:
        ScoringError: They differ in shape, spacing or place, hold a label that is no class, or the reference's spacing
            is not positive.
        DataError: A file is unreadable or holds no label map.
    """
    reference = pair.reference
    truth, spacing, affine = read_label_map(reference.path, reference.case)
    if reference.unit not in (None, "mm"):
        spacing = None
    if spacing is not None and not all(
        0 < step < np.inf for step, n in zip(spacing, truth.shape, strict=True) if n > 1
    ):
        raise ScoringError(
            f"reference of spacing {printed_spacing(spacing)} mm, which is not positive",
            case=reference.case,
            file=reference.path,
            remedy="correct the spacing (pixdim) in the reference's header",
        )
    if pair.prediction is None:
        return Labels(None, truth, spacing)
    labels, steps, affines = read_label_map(pair.prediction, reference.case)
    labels, steps = with_axes_of(truth.shape, labels, steps)
    (steps, affines), (spacing, affine) = in_one_unit(
        (pair.prediction, steps, affines), (reference.path, spacing, affine), truth.shape
    )
    if reason := grid_difference(labels.shape, steps, affines, truth.shape, spacing, affine):
        remedy = _to_one_grid(pair.prediction, labels.shape, reference.path, truth.shape)
        raise ScoringError(reason, case=reference.case, file=pair.prediction, remedy=remedy)
    return Labels(
        _meant("prediction", labels, meaning.prediction, reference.case, pair.prediction, meaning),
        _meant("reference", truth, meaning.reference, reference.case, reference.path, meaning),
        spacing,
    )


def _meant(what: str, values: NDArray, coding: Coding, case: str, path: Path, meaning: Meaning) -> NDArray:
    """The labels of stored values.

    Raises:
        ScoringError: A value is no class.
    """
    present = list(count_values(values))
    if outside := coding.unknown(present):
        more = ""
        if IGNORE in outside and what == "reference":
            more = f"; give --ignore {IGNORE} if it marks voxels without truth"
        elif IGNORE not in outside and len(meaning.names) == 2:
            named = ",".join(meaning.names)
            more = f"; if they number the objects of one structure, give --classes {named} --threshold 0"
        raise ScoringError(
            f"{what} with labels {outside} outside the classes 0..{len(meaning.names) - 1}{undeclared_ignore(outside)}",
            case=case,
            file=path,
            remedy=f"map the labels to the classes, or name all classes{more}",
        )
    return coding.mapped(values, present)


def _to_one_grid(prediction: Path, shape: tuple[int, ...], reference: Path, expected: tuple[int, ...]) -> str:
    """What brings a prediction onto its reference's grid."""
    if shape != expected:
        if sorted(shape) == sorted(expected):
            return "bring the axes of the prediction into the reference's order: the sizes are the same"
        return "bring the prediction back to the reference's grid: resample labels by nearest neighbour"
    ours, theirs = read_header(prediction), read_header(reference)
    if ours is not None and theirs is not None and ours.names_unit and theirs.names_unit and ours.unit != theirs.unit:
        return (
            f"correct the unit in the header (xyzt_units) that is wrong: it is {ours.unit_name} in the prediction, "
            f"{theirs.unit_name} in the reference"
        )
    return "bring the prediction back to the reference's grid, and write it with the affine of its image"


def _prepared(dataset: PreparedDataset) -> dict[str, Reference]:
    known = {}
    for row in dataset.index.itertuples():
        if row.labelled:
            case = str(row.case)
            known[case] = Reference(case, str(row.patient), dataset.reference_path(case), dataset.info.unit)
    return known


def _plain(folder: Path) -> dict[str, Reference]:
    if not folder.is_dir():
        raise ScoringError("folder of references not found", file=folder, remedy="correct the path")
    known = {case: Reference(case, case, file) for case, file in label_files(folder).items()}
    if not known:
        raise ScoringError(
            "a folder without label maps", file=folder, remedy=f"give files named by case: {', '.join(SUFFIXES)}"
        )
    return known
