"""Which cases to show, and their arrays: the only part of the report that opens images and predictions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from contrastseg.data.files.formats import read_label
from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.evaluation.scoring.predictions import expected_predictions, label_files
from contrastseg.labels import IGNORE
from contrastseg.report.content.labels import budget_order
from contrastseg.report.content.report_data import keep
from contrastseg.report.content.run_keys import AXES, run_key
from contrastseg.report.settings import FigureSettings

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
    for _, of_place in scores.groupby(place, sort=False):
        present = set(of_place["labels"].astype(str))
        wanted = [name for name in labels or () if name in present] or sorted(present, key=budget_order)
        of_place = of_place[of_place["labels"] == wanted[0]]
        for _, runs in of_place.groupby(["method", "variant"], sort=False):
            first = runs[["draw", "fold", "seed"]].drop_duplicates().sort_values(["draw", "fold", "seed"]).iloc[:1]
            run = runs.merge(first, on=["draw", "fold", "seed"])
            keys = [*AXES, "evaluated_on", "checkpoint", "case", "patient"]
            cases = run.groupby(keys)["value"].mean().reset_index().sort_values(["value", "case"], ignore_index=True)
            places = dict(zip(RANKS, (0, (len(cases) - 1) // 2, len(cases) - 1), strict=True))
            picked += [cases.iloc[[at]].assign(rank=rank) for rank, at in places.items()]
    return pd.concat(picked, ignore_index=True)[columns] if picked else pd.DataFrame(columns=columns)


@dataclass(frozen=True)
class Volume:
    """One case on its native grid, slices first; a photograph is a single slice.

    Attributes:
        image: float32 (C, S, H, W), in any range.
        reference: uint8 (S, H, W).
        prediction: uint8 (S, H, W).
        aspect: Height of a pixel over its width.
        flat: Whether it is a photograph.
    """

    image: np.ndarray
    reference: np.ndarray
    prediction: np.ndarray
    aspect: float
    flat: bool

    @cached_property
    def largest(self) -> int:
        """The slice with the largest reference area; the middle one where there is no reference."""
        areas = ((self.reference > 0) & (self.reference != IGNORE)).sum(axis=(1, 2))
        return int(areas.argmax()) if areas.any() else len(areas) // 2

    @cached_property
    def _window(self) -> tuple[float, float]:
        """What is black and what is white: the 1st and 99th percentile of the largest slice, for all slices alike."""
        low, high = np.percentile(self._channels(self.largest), [1, 99])
        return float(low), float(high)

    def _channels(self, at: int) -> np.ndarray:
        picture = self.image[:, at]
        return np.moveaxis(picture, 0, -1) if picture.shape[0] == 3 else picture[0]

    def picture(self, at: int) -> np.ndarray:
        """One slice of the image for display: float32 in 0..1, (H, W, 3) for three channels, else (H, W)."""
        low, high = self._window
        return np.clip((self._channels(at) - low) / max(high - low, 1e-6), 0, 1).astype(np.float32)


@dataclass(frozen=True)
class Picked:
    """One case to show: the row of `pick_cases` and its files."""

    row: Mapping[str, Any]
    data: PreparedDataset
    prediction: Path

    @property
    def axes(self) -> dict[str, str]:
        """What names the picture."""
        names = ("dataset", "evaluated_on", "method", "variant", "labels", "checkpoint", "rank", "case", "patient")
        return {name: str(self.row[name]) for name in names}

    def volume(self) -> Volume:
        """Its arrays."""
        case = str(self.row["case"])
        loaded = self.data.load(case, with_label=False, mmap=True)
        image = loaded.geometry.to_native(np.asarray(loaded.image, dtype=np.float32), order=1)
        reference = read_label(self.data.reference_path(case))[0]
        prediction = read_label(self.prediction)[0]
        spacing = loaded.geometry.native_spacing or (1.0,) * reference.ndim
        flat = reference.ndim == 2
        if flat:
            image, reference, prediction = image[:, None], reference[None], prediction[None]
        else:
            axis = self.data.info.slice_axis or 0
            image = np.moveaxis(image, axis + 1, 1)
            reference, prediction = np.moveaxis(reference, axis, 0), np.moveaxis(prediction, axis, 0)
            spacing = tuple(step for index, step in enumerate(spacing) if index != axis)
        return Volume(image, reference, prediction, spacing[0] / spacing[1], flat)


def find_cases(
    scores: pd.DataFrame,
    settings: FigureSettings,
    *,
    prepared: Mapping[str, str | Path],
    run_folders: Mapping[str, str | Path],
) -> Iterator[Picked]:
    """The cases that one figure of overlays shows, without those whose prediction or image is no longer there."""
    selection = {"dataset": settings.datasets, "method": settings.methods, "checkpoint": settings.checkpoints}
    datasets: dict[str, PreparedDataset] = {}
    here = [entry for entry, folder in prepared.items() if (Path(folder) / "dataset.json").is_file()]
    scores = keep(scores[scores["evaluated_on"].isin(here)], selection)
    for picked in pick_cases(scores, settings.metric, settings.labels).to_dict("records"):
        row = {str(name): value for name, value in picked.items()}
        key, entry, case = run_key(row), str(row["evaluated_on"]), str(row["case"])
        if key not in run_folders:
            continue
        folder = Path(run_folders[key]) / "predictions" / entry / str(row["checkpoint"])
        if not folder.is_dir():
            continue
        file = (expected_predictions(folder) or label_files(folder)).get(case)
        if file is not None and file.is_file():
            data = datasets.setdefault(entry, PreparedDataset(prepared[entry]))
            yield Picked(row, data, file)


def load_overlays(
    scores: pd.DataFrame,
    settings: Iterable[FigureSettings],
    *,
    prepared: Mapping[str, str | Path],
    run_folders: Mapping[str, str | Path],
) -> dict[str, list[Overlay]]:
    """Pick the cases and read their arrays, for each figure of kind `overlays`, by its name.

    A prediction that is no longer there is left out (the tables name it).

    Args:
        scores: The collected scores.
        settings: The figures of the suite; other kinds are passed over.
        prepared: Folder of the prepared data set by entry.
        run_folders: Folder of each run by `run_keys.run_key`.
    """
    return {
        figure.name: [
            _overlay(picked) for picked in find_cases(scores, figure, prepared=prepared, run_folders=run_folders)
        ]
        for figure in settings
        if figure.kind == "overlays"
    }


def _overlay(picked: Picked) -> Overlay:
    """The slice with the largest reference area."""
    volume = picked.volume()
    at = volume.largest
    return Overlay(
        **picked.axes,
        score=float(picked.row["value"]),
        image=volume.picture(at),
        reference=volume.reference[at],
        prediction=volume.prediction[at],
        aspect=volume.aspect,
        place="" if volume.flat else f"slice {at + 1} of {len(volume.reference)}",
    )
