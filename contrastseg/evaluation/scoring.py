"""Scores of predictions on disk against references on disk, in the patient's own grid and unit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from contrastseg.data.cases import PreparedDataset
from contrastseg.errors import ScoringError
from contrastseg.evaluation.catalogue import DEFAULT_METRICS, by_conventions, resolve_metrics, unit_of
from contrastseg.evaluation.conventions import Convention, get_convention, replayable
from contrastseg.evaluation.metrics import ClassScores, image_diagonal, score_case_by_conventions
from contrastseg.evaluation.pairs import Pair, labels_that_occur, pair_of_files, pairs_of_folder, read_pair
from contrastseg.files import atomic_path

SCORE_COLUMNS = ("patient", "case", "class", "metric", "value", "unit", "outcome", "diagonal")
CONVENTION_COLUMNS = ("convention", *SCORE_COLUMNS)
NUMBERS = ("value", "diagonal")
"""The columns that hold numbers; the others hold text."""
Tolerance = float | Mapping[str, float]


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
        predictions: Folder of label maps named by case (NIfTI, NRRD or PNG).
        references: A prepared data set (or its folder), or a folder of label maps named by case.
        metrics: Names in the catalogue.
        convention: Name of the scoring convention.
        cases: The cases that should be there.
        classes: Names of the labels 0..K-1, background first; by default the data set's, or the labels that occur.
        tolerance: Of NSD, in the image's unit, for all classes or by class name.

    Returns:
        Rows [patient, case, class, metric, value, unit, outcome, diagonal], sorted by case, label and metric as asked.
        `diagonal` is the case's, which no distance exceeds, in the unit of its distances, in rows of every metric.

    Raises:
        ScoringError: A prediction without a reference, or of another shape or place, or a label outside the classes.
        DataError: A file is unreadable or holds no label map.
    """
    pairs, known = pairs_of_folder(predictions, references, cases)
    return _score(pairs, classes or known, resolve_metrics(metrics), [get_convention(convention)], tolerance)


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
    pairs = [pair_of_files(prediction, reference)]
    return _score(pairs, classes, resolve_metrics(metrics), [get_convention(convention)], tolerance)


def score_by_conventions(
    predictions: str | Path,
    references: PreparedDataset | str | Path,
    metrics: Sequence[str] = DEFAULT_METRICS,
    conventions: Sequence[str] = ("default",),
    *,
    classes: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Score the same predictions under several conventions: two files, or folders as in `score_folder`.

    Only overlaps and distances are scored, which the conventions are about. Where a convention refuses to score, the
    value is NaN (`conventions.replayable`).

    Returns:
        The rows of `score_folder` with a column `convention` before them, convention by convention.
    """
    rules = [replayable(get_convention(name)) for name in dict.fromkeys(conventions)]
    names = by_conventions(resolve_metrics(metrics))
    if Path(predictions).is_dir():
        pairs, known = pairs_of_folder(predictions, references)
    else:
        pairs, known = [pair_of_files(predictions, references)], None  # type: ignore[arg-type]
    return _score(pairs, classes or known, names, rules, 1.0, named=True)


def write_scores(scores: pd.DataFrame, path: str | Path) -> None:
    """Write one run's rows as CSV, atomically."""
    columns = CONVENTION_COLUMNS if "convention" in scores else SCORE_COLUMNS
    with atomic_path(path) as temporary:
        scores.to_csv(temporary, index=False, columns=list(columns))


def _score(
    pairs: Sequence[Pair],
    classes: Sequence[str] | None,
    metrics: Sequence[str],
    rules: Sequence[Convention],
    tolerance: Tolerance,
    named: bool = False,
) -> pd.DataFrame:
    """The rows of all pairs, by convention, with a column that names it where `named`."""
    names = list(classes) if classes is not None else labels_that_occur(pairs)
    reach: dict[int, float] | float = 1.0
    if "nsd" in metrics:
        reach = {label: _tolerance_of(names[label], tolerance) for label in range(1, len(names))}
    rows: list[list[tuple[object, ...]]] = [[] for _ in rules]
    for pair in pairs:
        for rule, part, found in zip(rules, rows, _score_pair(pair, names, metrics, rules, reach), strict=True):
            part += [(rule.name, *row) for row in found] if named else found
    columns = list(CONVENTION_COLUMNS if named else SCORE_COLUMNS)
    frame = pd.DataFrame([row for part in rows for row in part], columns=columns)
    return frame.astype({name: float if name in NUMBERS else "str" for name in columns})


def _score_pair(
    pair: Pair,
    names: Sequence[str],
    metrics: Sequence[str],
    rules: Sequence[Convention],
    reach: Mapping[int, float] | float,
) -> list[list[tuple[object, ...]]]:
    read = read_pair(pair, len(names))
    case, ndim = pair.reference.case, read.reference.ndim
    if read.prediction is None:
        hole = [ClassScores(label, "hole", dict.fromkeys(metrics, np.nan)) for label in range(1, len(names))]
        found = [hole for _ in rules]
    else:
        arrays = read.prediction, read.reference, read.spacing, len(names), metrics, rules
        try:
            found = score_case_by_conventions(*arrays, tolerance=reach)
        except ScoringError as error:
            raise ScoringError(error.reason, case=case, file=pair.prediction, remedy=error.remedy) from error
    tables: list[list[tuple[object, ...]]] = []
    for rule, scores in zip(rules, found, strict=True):
        spacing = read.spacing if rule.spacing else None
        length = "mm" if spacing is not None else ("voxel" if ndim == 3 else "pixel")
        diagonal = image_diagonal(read.reference.shape, spacing)
        units = {metric: unit_of(metric, length, ndim) for metric in metrics}
        patient = pair.reference.patient
        tables.append(
            [
                (patient, case, names[score.label], metric, value, units[metric], score.outcome, diagonal)
                for score in scores
                for metric, value in score.values.items()
            ]
        )
    return tables


def _tolerance_of(name: str, tolerance: Tolerance) -> float:
    if isinstance(tolerance, int | float):
        return tolerance
    if name not in tolerance:
        raise ScoringError(
            f"no NSD tolerance for class {name!r}", remedy="name every class in nsd_tolerance, or give one number"
        )
    return tolerance[name]
