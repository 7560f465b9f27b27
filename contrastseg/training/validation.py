"""Validation Dice of the weights at hand: prepared grid, per patient, for choosing a checkpoint and nothing else."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from lightning_fabric import Fabric

from contrastseg.data.cases import PreparedDataset
from contrastseg.evaluation.overlap import confusion, dice
from contrastseg.methods.contract import Method
from contrastseg.training.inference import case_logits
from contrastseg.training.settings import TrainingSettings


def validation_dice(
    method: Method, dataset: PreparedDataset, patients: Sequence[str], training: TrainingSettings, fabric: Fabric
) -> float:
    """Mean over patients of the mean over their cases and foreground classes; classes absent from both are left out."""
    scores = []
    for patient in patients:
        values = []
        for name in dataset.cases_of([patient]):
            case = dataset.load(name)
            if case.label is None:
                continue
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
            counts = confusion(logits.argmax(0), case.label, dataset.num_classes)
            values.append(dice(counts)[1:])
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Mean of empty slice")
            scores.append(np.nanmean(np.array(values)) if values else np.nan)
    return float(np.nanmean(scores))
