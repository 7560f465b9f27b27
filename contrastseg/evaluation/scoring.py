"""Scores of predictions on disk against references on disk, in the patient's own grid and unit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contrastseg.data.cases import PreparedDataset, read_label
from contrastseg.data.formats import case_name
from contrastseg.errors import ScoringError
from contrastseg.evaluation.catalogue import DEFAULT_METRICS, resolve_metrics, unit_of
from contrastseg.evaluation.conventions import Convention, get_convention
from contrastseg.evaluation.metrics import ClassScores, score_case
from contrastseg.evaluation.overlap import IGNORE
from contrastseg.evaluation.predictions import expected_predictions, label_files
from contrastseg.files import atomic_path

SCORE_COLUMNS = ("patient", "case", "class", "metric", "value", "unit", "outcome")
Tolerance = float | Mapping[str, float]
# Affines pass through float32 headers; a tenth of a thousandth of a millimetre is no misplacement.
_AFFINE_ATOL = 1e-3


@dataclass(frozen=True)
class Reference:
    """One reference and where its scores belong."""

    case: str
    patient: str
    path: Path
    unit: str | None = None
    spacing: tuple[float, ...] | None = None


def score_folder(
    predictions: str | Path,
    references: PreparedDataset | str | Path,
    metrics: Sequence[str] = DEFAULT_METRICS,
    convention: str = "default",
    *,
    cases: Iterable[str] | None = None,
    classes: Sequence[str] | None = None,
    tolerance: Tolerance = 1.0,
) -> pd.DataFrame:
    """Score every prediction of a folder.

    Which cases are expected: `cases`, else what the folder's `predictions.json` lists, else every reference. An
    expected case without a file becomes rows of outcome `hole` and value NaN, so that it is seen and never averaged.

    Args:
        predictions: Folder of label maps named by case (NIfTI or PNG).
        references: A prepared data set (or its folder), or a folder of label maps named by case.
        metrics: Names in the catalogue.
        convention: Name of the scoring convention.
        cases: The cases that should be there.
        classes: Names of the labels 0..K-1, background first; by default the data set's, or the labels that occur.
        tolerance: Of NSD, in the image's unit, for all classes or by class name.

    Returns:
        Rows [patient, case, class, metric, value, unit, outcome], sorted by case, label and metric as asked.

    Raises:
        ScoringError: A prediction without a reference, or of another shape or place, or a label outside the classes.
    """
    rule = get_convention(convention)
    names = resolve_metrics(metrics)
    folder = Path(predictions)
    if not folder.is_dir():
        raise ScoringError("no such folder of predictions", file=folder, remedy="run `contrastseg predict` first")
    if not isinstance(references, PreparedDataset) and (Path(references) / "cases.csv").is_file():
        references = PreparedDataset(references)
    if isinstance(references, PreparedDataset):
        known, classes = _prepared(references), classes or references.info.classes
    else:
        known = _plain(Path(references))

    listed = expected_predictions(folder)
    found = label_files(folder) if listed is None else {c: f for c, f in listed.items() if f.is_file()}
    expected = sorted(cases) if cases is not None else sorted(known if listed is None else listed)
    orphans = sorted((found.keys() | set(expected)) - known.keys())
    if orphans:
        raise ScoringError(
            f"{len(orphans)} prediction(s) without a reference: {', '.join(orphans[:5])}",
            case=orphans[0],
            file=found.get(orphans[0], folder),
            remedy="give the references of these cases, or remove the predictions",
        )
    if classes is None:
        classes = _labels_that_occur([known[case].path for case in expected] + list(found.values()))
    rows = []
    for case in expected:
        reference = known[case]
        rows += _score(found.get(case), reference, names, rule, classes, tolerance)
    return _frame(rows)


def score_file(
    prediction: str | Path,
    reference: str | Path,
    metrics: Sequence[str] = DEFAULT_METRICS,
    convention: str = "default",
    *,
    classes: Sequence[str] | None = None,
    tolerance: Tolerance = 1.0,
) -> pd.DataFrame:
    """Score one prediction file against one reference file; see `score_folder`, whose rows it returns.

    The case is named after the prediction. Without `classes`, the labels that occur in either file are scored.
    """
    prediction = Path(prediction)
    for file, what in ((prediction, "prediction"), (Path(reference), "reference")):
        if not file.is_file():
            raise ScoringError(f"no such {what}", file=file, remedy="check the path")
    case = case_name(prediction)
    known = Reference(case, case, Path(reference))
    names = resolve_metrics(metrics)
    labels = _labels_that_occur([prediction, known.path]) if classes is None else classes
    return _frame(_score(prediction, known, names, get_convention(convention), labels, tolerance))


def write_scores(scores: pd.DataFrame, path: str | Path) -> None:
    """Write one run's rows as CSV, atomically."""
    with atomic_path(path) as temporary:
        scores.to_csv(temporary, index=False, columns=list(SCORE_COLUMNS))


def _prepared(dataset: PreparedDataset) -> dict[str, Reference]:
    known = {}
    for row in dataset.index.itertuples():
        if row.labelled:
            case = str(row.case)
            known[case] = Reference(case, str(row.patient), dataset.reference_path(case), dataset.info.unit)
    return known


def _plain(folder: Path) -> dict[str, Reference]:
    if not folder.is_dir():
        raise ScoringError("no such folder of references", file=folder, remedy="check the path")
    known = {case: Reference(case, case, file) for case, file in label_files(folder).items()}
    if not known:
        raise ScoringError("a folder without label maps", file=folder, remedy="give NIfTI or PNG files named by case")
    return known


def _score(
    prediction: Path | None,
    reference: Reference,
    metrics: Sequence[str],
    rule: Convention,
    classes: Sequence[str],
    tolerance: Tolerance,
) -> list[tuple[object, ...]]:
    truth, spacing, affine = read_label(reference.path)
    if reference.unit not in (None, "mm"):
        spacing = None
    unit = "mm" if spacing is not None else ("voxel" if truth.ndim == 3 else "pixel")
    if not rule.spacing:
        unit = "voxel" if truth.ndim == 3 else "pixel"
    names = list(classes)
    if prediction is None:
        scores = [ClassScores(label, "hole", dict.fromkeys(metrics, np.nan)) for label in range(1, len(names))]
    else:
        labels, _, place = read_label(prediction)
        _check(reference, prediction, labels, place, truth, affine, len(names))
        reach = (
            {
                label: tolerance if isinstance(tolerance, int | float) else _tolerance_of(names[label], tolerance)
                for label in range(1, len(names))
            }
            if "nsd" in metrics
            else 1.0
        )
        try:
            scores = score_case(labels, truth, spacing, len(names), metrics, tolerance=reach, convention=rule)
        except ScoringError as error:
            raise ScoringError(error.reason, case=reference.case, file=prediction, remedy=error.remedy) from error
    units = {metric: unit_of(metric, unit, truth.ndim) for metric in metrics}
    return [
        (reference.patient, reference.case, names[score.label], metric, value, units[metric], score.outcome)
        for score in scores
        for metric, value in score.values.items()
    ]


def _check(
    reference: Reference,
    file: Path,
    labels: NDArray,
    place: list[list[float]] | None,
    truth: NDArray,
    affine: list[list[float]] | None,
    num_classes: int,
) -> None:
    if labels.shape != truth.shape:
        raise ScoringError(
            f"prediction of shape {labels.shape}, reference of shape {truth.shape}",
            case=reference.case,
            file=file,
            remedy="bring the prediction back to the reference's grid",
        )
    if place is not None and affine is not None and not np.allclose(place, affine, atol=_AFFINE_ATOL):
        raise ScoringError(
            "prediction and reference lie in different places: their affines differ",
            case=reference.case,
            file=file,
            remedy="write the prediction with the affine of its image",
        )
    for what, path, values in (("prediction", file, labels), ("reference", reference.path, truth)):
        present = np.flatnonzero(np.bincount(values.ravel(), minlength=256))
        outside = [int(v) for v in present if v >= num_classes and not (v == IGNORE and what == "reference")]
        if outside:
            raise ScoringError(
                f"{what} with labels {outside} outside the classes 0..{num_classes - 1}",
                case=reference.case,
                file=path,
                remedy="map the labels to the classes, or name all classes",
            )


def _tolerance_of(name: str, tolerance: Mapping[str, float]) -> float:
    if name not in tolerance:
        raise ScoringError(
            f"no NSD tolerance for class {name!r}", remedy="name every class in nsd_tolerance, or give one number"
        )
    return tolerance[name]


def _labels_that_occur(files: Iterable[Path]) -> list[str]:
    highest = 0
    for file in files:
        values = read_label(file)[0]
        highest = max(highest, int(values[values != IGNORE].max(initial=0)))
    return ["background", *(str(label) for label in range(1, highest + 1))]


def _frame(rows: list[tuple[object, ...]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=list(SCORE_COLUMNS))
    return frame.astype({"value": float} | {name: "str" for name in SCORE_COLUMNS if name != "value"})
