"""Validation Dice of the weights at hand, per patient, for choosing a checkpoint and nothing else."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from contrastseg.data.cases import PreparedDataset
from contrastseg.evaluation.overlap import confusion, dice
from contrastseg.methods.contract import Method
from contrastseg.training.inference import case_logits
from contrastseg.training.settings import TrainingSettings
from contrastseg.training.single_device import SingleDevice

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def validation_dice(
    method: Method,
    dataset: PreparedDataset,
    patients: Sequence[str],
    training: TrainingSettings,
    fabric: Fabric | SingleDevice,
) -> float:
    """`mean_dice` of the method's present weights."""

    def label(name: str) -> tuple[np.ndarray, np.ndarray] | None:
        case = dataset.load(name)
        if case.label is None:
            return None
        with fabric.autocast():
            logits = case_logits(
                method.predict,
                case.image,
                dataset.info.scale,
                method.task.spatial_dims,
                training.patch_size,
                fabric.device,
                training.overlap,
                training.batch_size,
            )
        return logits.argmax(0), case.label

    return mean_dice(dataset, patients, label)


def mean_dice(
    dataset: PreparedDataset,
    patients: Sequence[str],
    label: Callable[[str], tuple[np.ndarray, np.ndarray] | None],
) -> float:
    """Mean over patients of the mean over their cases and foreground classes; classes absent from both are left out.

    Args:
        dataset: Whose cases.
        patients: Which of them.
        label: Prediction and reference of a case on one grid, by its name; None where there is no reference.
    """
    scores = []
    for patient in patients:
        pairs = [pair for pair in map(label, dataset.cases_of([patient])) if pair is not None]
        values = [dice(confusion(*pair, dataset.num_classes))[1:] for pair in pairs]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Mean of empty slice")
            scores.append(np.nanmean(np.array(values)) if values else np.nan)
    return float(np.nanmean(scores))
