"""Scores of predictions on disk against references on disk, in the patient's own grid and unit."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.errors import ScoringError
from contrastseg.evaluation.metrics.case_scores import ClassScores, image_diagonal, score_case_by_conventions
from contrastseg.evaluation.metrics.catalogue import DEFAULT_METRICS, by_conventions, resolve_metrics, unit_of
from contrastseg.evaluation.metrics.conventions import Convention, get_convention, replayable
from contrastseg.evaluation.scoring.meaning import Declared, Meaning, meaning_of
from contrastseg.evaluation.scoring.pairs import MaskPair, pair_of_files, pairs_of_folder, read_pair, values_of
from contrastseg.evaluation.scoring.predictions import INDEX, predicted_snapshots
from contrastseg.files import atomic_path
from contrastseg.labels import IGNORE, fault_of_names

SCORE_COLUMNS = ("patient", "case", "class", "metric", "value", "unit", "outcome", "diagonal")
CONVENTION_COLUMNS = ("convention", *SCORE_COLUMNS)
NUMBERS = ("value", "diagonal")
"""The columns that hold numbers; the others hold text."""
Tolerance = float | Mapping[str, float]
Announce = Callable[[str], None]


def _warn(remark: str) -> None:
    warnings.warn(remark, stacklevel=4)


def score_folder(
    predictions: str | Path,
    references: PreparedDataset | str | Path,
    metrics: Sequence[str] = DEFAULT_METRICS,
    convention: str = "default",
    *,
    cases: Iterable[str] | None = None,
    classes: Sequence[str] | None = None,
    values_declared: bool = False,
    ignore: int | None = None,
    threshold: int | None = None,
    tolerance: Tolerance = 1.0,
    announce: Announce = _warn,
) -> pd.DataFrame:
    """Score every prediction of a folder.

    Which cases are expected: `cases`, else what the folder's `predictions.json` lists, else every reference. An
    expected case without a file becomes rows of outcome `hole` and value NaN, so that it is seen and never averaged.

    What the values in the files mean is decided once for all of them. A prepared data set declares it. Elsewhere every
    value is a class of its own; where one value beside 0 is all that occurs, or greys of a compressed mask, it is the
    one structure, 255 as well. 255 beside others is refused unless `ignore` or `threshold` says what it is. To find
    out, every file is decoded once more; with `values_declared`, or three names and more, none is.

    Args:
        predictions: Folder of label maps named by case, in a format of `predictions.SUFFIXES`.
        references: A prepared data set (or its folder), or a folder of label maps named by case.
        metrics: Names in the catalogue.
        convention: Name of the scoring convention.
        cases: The cases that should be there.
        classes: Names of the labels 0..K-1, background first; by default the data set's, or the labels that occur. Two
            names also fit files of any two values.
        values_declared: Whether class k of `classes` has the value k in every file, so that nothing else fits.
        ignore: The references' value of voxels to leave out; by default there is none (255 in a prepared data set).
        threshold: Values above it are the structure, in files that hold any; for greys of one structure.
        tolerance: Of NSD, in the image's unit, for all classes or by class name.
        announce: Called with what was decided without being declared; a warning by default.

    Returns:
        Rows [patient, case, class, metric, value, unit, outcome, diagonal], sorted by case, label and metric as asked.
        `diagonal` is the case's, which no distance exceeds, in the unit of its distances, in rows of every metric.

    Raises:
        ScoringError: A prediction without a reference, or of another shape or place, a label outside the classes, or
            values whose meaning nothing says.
        DataError: A file is unreadable or holds no label map.
    """
    pairs, known = pairs_of_folder(predictions, references, cases)
    meaning = _meaning(pairs, _declared(predictions, classes, known, values_declared, ignore, threshold), announce)
    return _score(pairs, meaning, resolve_metrics(metrics), [get_convention(convention)], tolerance)


def score_file(
    prediction: str | Path,
    reference: str | Path,
    metrics: Sequence[str] = DEFAULT_METRICS,
    convention: str = "default",
    *,
    classes: Sequence[str] | None = None,
    values_declared: bool = False,
    ignore: int | None = None,
    threshold: int | None = None,
    tolerance: Tolerance = 1.0,
    announce: Announce = _warn,
) -> pd.DataFrame:
    """Score one prediction file against one reference file; see `score_folder`, whose rows it returns.

    The case is named after the prediction. Without `classes`, the labels that occur in either file are scored.
    """
    pairs = [pair_of_files(prediction, reference)]
    meaning = _meaning(pairs, _declared(None, classes, None, values_declared, ignore, threshold), announce)
    return _score(pairs, meaning, resolve_metrics(metrics), [get_convention(convention)], tolerance)


def score_by_conventions(
    predictions: str | Path,
    references: PreparedDataset | str | Path,
    metrics: Sequence[str] = DEFAULT_METRICS,
    conventions: Sequence[str] = ("default",),
    *,
    classes: Sequence[str] | None = None,
    values_declared: bool = False,
    ignore: int | None = None,
    threshold: int | None = None,
    announce: Announce = _warn,
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
    meaning = _meaning(pairs, _declared(predictions, classes, known, values_declared, ignore, threshold), announce)
    return _score(pairs, meaning, names, rules, 1.0, named=True)


def score_snapshots(
    folder: str | Path,
    references: PreparedDataset | str | Path,
    metrics: Sequence[str] = DEFAULT_METRICS,
    convention: str = "default",
    *,
    tolerance: Tolerance = 1.0,
    announce: Announce = _warn,
) -> pd.DataFrame:
    """Score the predictions by every snapshot of a run, as `training.prediction.predict_snapshots` left them.

    Args:
        folder: The folder of `snapshots.json`.
        references: A prepared data set (or its folder), or a folder of label maps named by case.
        metrics: Names in the catalogue.
        convention: Name of the scoring convention.
        tolerance: Of NSD, in the image's unit, for all classes or by class name.
        announce: Called with what was decided without being declared; a warning by default.

    Returns:
        The rows of `score_folder` with a column `checkpoint` before them, snapshot by snapshot.
    """
    parts = []
    for name in predicted_snapshots(folder):
        of_one = Path(folder) / name, references, metrics, convention
        rows = score_folder(*of_one, tolerance=tolerance, announce=announce)
        rows.insert(0, "checkpoint", name)
        parts.append(rows)
    return pd.concat(parts, ignore_index=True)


def write_scores(scores: pd.DataFrame, path: str | Path) -> None:
    """Write one run's rows as CSV, atomically."""
    first = [name for name in ("convention", "checkpoint") if name in scores]
    columns = [*first, *SCORE_COLUMNS]
    with atomic_path(path) as temporary:
        scores.to_csv(temporary, index=False, columns=columns)


def _declared(
    predictions: str | Path | None,
    classes: Sequence[str] | None,
    prepared: Sequence[str] | None,
    values: bool,
    ignore: int | None,
    threshold: int | None,
) -> Declared:
    """What is said of the values; a prepared data set has its own, and so have predictions that are indexed.

    Raises:
        ScoringError: Another value to ignore than the prepared data set's.
    """
    ours = predictions is not None and (Path(predictions) / INDEX).is_file()
    if prepared is not None:
        if ignore not in (None, IGNORE):
            raise ScoringError(
                f"the references are prepared: they leave out {IGNORE}, not {ignore}",
                remedy="leave --ignore out; what the published labels mark for it is 255 in prepared data",
            )
        return Declared(classes or prepared, True, ours or values, IGNORE, threshold)
    return Declared(classes, values, values, ignore, threshold)


def _meaning(pairs: Sequence[MaskPair], declared: Declared, announce: Announce) -> Meaning:
    meaning = meaning_of(declared, lambda references: values_of(pairs, references))
    for remark in meaning.remarks:
        announce(remark)
    return meaning


def _score(
    pairs: Sequence[MaskPair],
    meaning: Meaning,
    metrics: Sequence[str],
    rules: Sequence[Convention],
    tolerance: Tolerance,
    named: bool = False,
) -> pd.DataFrame:
    """The rows of all pairs, by convention, with a column that names it where `named`."""
    names = meaning.names
    if fault := fault_of_names(names):
        raise ScoringError(
            fault, remedy="rename it where the classes are named (--classes, or the prepared data set's)"
        )
    tolerances: dict[int, float] | float = 1.0
    if "nsd" in metrics:
        tolerances = {label: _tolerance_of(names[label], tolerance) for label in range(1, len(names))}
    rows: list[list[tuple[object, ...]]] = [[] for _ in rules]
    for pair in pairs:
        for rule, rows_of_rule, scored in zip(
            rules, rows, _score_pair(pair, meaning, metrics, rules, tolerances), strict=True
        ):
            rows_of_rule += [(rule.name, *row) for row in scored] if named else scored
    columns = list(CONVENTION_COLUMNS if named else SCORE_COLUMNS)
    frame = pd.DataFrame([row for rows_of_rule in rows for row in rows_of_rule], columns=columns)
    return frame.astype({name: float if name in NUMBERS else "str" for name in columns})


def _score_pair(
    pair: MaskPair,
    meaning: Meaning,
    metrics: Sequence[str],
    rules: Sequence[Convention],
    tolerances: Mapping[int, float] | float,
) -> list[list[tuple[object, ...]]]:
    read, names = read_pair(pair, meaning), meaning.names
    case, ndim = pair.reference.case, read.reference.ndim
    if read.prediction is None:
        missing = [ClassScores(label, "hole", dict.fromkeys(metrics, np.nan)) for label in range(1, len(names))]
        by_rule = [missing for _ in rules]
    else:
        arrays = read.prediction, read.reference, read.spacing, len(names), metrics, rules
        try:
            by_rule = score_case_by_conventions(*arrays, ignore=IGNORE, tolerance=tolerances)
        except ScoringError as error:
            raise ScoringError(error.reason, case=case, file=pair.prediction, remedy=error.remedy) from error
    tables: list[list[tuple[object, ...]]] = []
    for rule, scores in zip(rules, by_rule, strict=True):
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
    if not isinstance(tolerance, Mapping):
        return tolerance
    if name not in tolerance:
        raise ScoringError(
            f"no NSD tolerance for class {name!r}", remedy="name every class in nsd_tolerance, or give one number"
        )
    return tolerance[name]
