"""Which cases to show, and their arrays: the only part of the report that opens images and predictions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from contrastseg.data.cases import PreparedDataset, read_label
from contrastseg.evaluation.predictions import expected_predictions, label_files
from contrastseg.report.naming import budget_order
from contrastseg.report.runs import AXES, run_key
from contrastseg.report.settings import FigureSettings
from contrastseg.report.table_model import keep

RANKS = ("worst", "median", "best")


@dataclass(frozen=True)
class Overlay:
    """One picture: an image with its reference and one method's prediction.

    Attributes:
        image: float32 in 0..1, (H, W) or (H, W, 3).
        reference: uint8 (H, W), values 0..K-1, 255 ignore.
        prediction: uint8 (H, W).
        aspect: Height of a pixel over its width.
        place: Such as "slice 7 of 10"; empty for a photograph.
    """

    dataset: str
    evaluated_on: str
    checkpoint: str
    labels: str
    method: str
    variant: str
    rank: str
    case: str
    patient: str
    score: float
    image: np.ndarray
    reference: np.ndarray
    prediction: np.ndarray
    aspect: float = 1.0
    place: str = ""


def pick_cases(scores: pd.DataFrame, metric: str = "dice", labels: Iterable[str] | None = None) -> pd.DataFrame:
    """The worst, median and best case of each method, by its mean over classes.

    Of each method one run is looked at, the one with the lowest draw, fold and seed, at one label budget per data set:
    the first of `labels` that was run, else the smallest.

    Args:
        scores: The collected scores.
        metric: What ranks the cases; higher is better.
        labels: Budgets in order of preference.

    Returns:
        The axes of the run, evaluated_on, checkpoint, case, patient, value and rank, one row per picture.
    """
    place = ["dataset", "evaluated_on", "checkpoint"]
    columns = [*AXES, "evaluated_on", "checkpoint", "case", "patient", "value", "rank"]
    scores = scores[(scores["metric"] == metric) & scores["value"].notna()]
    picked = []
    for _, part in scores.groupby(place, sort=False):
        present = set(part["labels"].astype(str))
        wanted = [name for name in labels or () if name in present] or sorted(present, key=budget_order)
        part = part[part["labels"] == wanted[0]]
        for _, runs in part.groupby(["method", "variant"], sort=False):
            first = runs[["draw", "fold", "seed"]].drop_duplicates().sort_values(["draw", "fold", "seed"]).iloc[:1]
            run = runs.merge(first, on=["draw", "fold", "seed"])
            keys = [*AXES, "evaluated_on", "checkpoint", "case", "patient"]
            cases = run.groupby(keys)["value"].mean().reset_index().sort_values(["value", "case"], ignore_index=True)
            places = dict(zip(RANKS, (0, (len(cases) - 1) // 2, len(cases) - 1), strict=True))
            picked += [cases.iloc[[at]].assign(rank=rank) for rank, at in places.items()]
    return pd.concat(picked, ignore_index=True)[columns] if picked else pd.DataFrame(columns=columns)


def load_overlays(
    scores: pd.DataFrame,
    prepared: Mapping[str, str | Path],
    runs: Mapping[str, str | Path],
    settings: Iterable[FigureSettings],
) -> dict[str, list[Overlay]]:
    """Pick the cases and read their arrays, for each figure of kind `overlays`, by its name.

    A prediction that is no longer there is left out (the tables name it).

    Args:
        scores: The collected scores.
        prepared: Folder of the prepared data set by entry.
        runs: Folder of each run by `runs.run_key`.
        settings: The figures of the suite; other kinds are passed over.
    """
    return {
        one.name: _load(keep(scores, _selection(one)), prepared, runs, one)
        for one in settings
        if one.kind == "overlays"
    }


def _load(
    scores: pd.DataFrame, prepared: Mapping[str, str | Path], runs: Mapping[str, str | Path], settings: FigureSettings
) -> list[Overlay]:
    overlays = []
    for picked in pick_cases(scores, settings.metric, settings.labels).to_dict("records"):
        row = {str(name): value for name, value in picked.items()}
        key, entry, case = run_key(row), str(row["evaluated_on"]), str(row["case"])
        if key not in runs or entry not in prepared:
            continue
        folder = Path(runs[key]) / "predictions" / entry / str(row["checkpoint"])
        if not folder.is_dir():
            continue
        file = (expected_predictions(folder) or label_files(folder)).get(case)
        if file is None or not file.is_file():
            continue
        axes = {name: str(row[name]) for name in ("dataset", "method", "variant", "labels", "checkpoint", "rank")}
        pictures = _slices(PreparedDataset(prepared[entry]), case, file)
        overlays.append(
            Overlay(
                **axes,
                evaluated_on=entry,
                case=case,
                patient=str(row["patient"]),
                score=float(row["value"]),
                image=pictures[0],
                reference=pictures[1],
                prediction=pictures[2],
                aspect=pictures[3],
                place=pictures[4],
            )
        )
    return overlays


def _selection(settings: FigureSettings) -> dict[str, list[str] | None]:
    return {"dataset": settings.datasets, "method": settings.methods, "checkpoint": settings.checkpoints}


def _slices(data: PreparedDataset, case: str, file: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, float, str]:
    """Image, reference, prediction (one slice each, on the native grid), aspect and place."""
    loaded = data.load(case, with_label=False, mmap=True)
    image = loaded.geometry.to_native(np.asarray(loaded.image, dtype=np.float32), order=1)
    reference = read_label(data.reference_path(case))[0]
    prediction = read_label(file)[0]
    spacing = loaded.geometry.native_spacing or (1.0,) * reference.ndim
    place = ""
    if reference.ndim == 3:
        axis = data.info.slice_axis or 0
        areas = np.moveaxis((reference > 0) & (reference != 255), axis, 0).sum(axis=(1, 2))
        at = int(areas.argmax()) if areas.any() else reference.shape[axis] // 2
        image = image.take(at, axis=axis + 1)
        reference, prediction = reference.take(at, axis=axis), prediction.take(at, axis=axis)
        spacing = tuple(step for index, step in enumerate(spacing) if index != axis)
        place = f"slice {at + 1} of {len(areas)}"
    return _displayable(image), reference, prediction, spacing[0] / spacing[1], place


def _displayable(image: np.ndarray) -> np.ndarray:
    """(C, H, W) in any range to 0..1, (H, W, 3) for three channels, else the first channel; 1st to 99th percentile."""
    picture = np.moveaxis(image, 0, -1) if image.shape[0] == 3 else image[0]
    low, high = np.percentile(picture, [1, 99])
    return np.clip((picture - low) / max(float(high - low), 1e-6), 0, 1).astype(np.float32)
