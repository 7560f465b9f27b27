"""Validation Dice of the weights at hand, per patient, for choosing a checkpoint and nothing else."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.evaluation.metrics.overlap import confusion, dice
from contrastseg.methods.contract import Method
from contrastseg.training.case_batches import infer_cases
from contrastseg.training.optimisations import in_iterations
from contrastseg.training.settings import TrainingSettings
from contrastseg.training.single_device import SingleDevice

if TYPE_CHECKING:
    from lightning_fabric import Fabric

LabelPair = tuple[str, np.ndarray, np.ndarray]
"""A case's name, its prediction and its reference on one grid."""


def validation_dice(
    method: Method,
    dataset: PreparedDataset,
    patients: Sequence[str],
    training: TrainingSettings,
    fabric: Fabric | SingleDevice,
) -> float:
    """Compute `mean_dice` of the method's present weights; of every case the label map alone comes to the host.

    Args:
        method: In evaluation mode.
        dataset: Whose patients.
        patients: The validation patients.
        training: Gives window, overlap and batch of inference.
        fabric: Device and precision.

    Returns:
        From 0 to 1; NaN where no patient has a foreground class.
    """

    def pairs() -> Iterator[LabelPair]:
        for case, labels in infer_cases(
            in_iterations(method.predict, training.compile),
            map(dataset.load, dataset.cases_of(patients, labelled=True)),
            scale=dataset.info.scale,
            spatial_dims=method.task.spatial_dims,
            training=training,
            device=fabric.device,
            labels_only=lambda case: True,
            in_training=True,
        ):
            assert case.label is not None  # `labelled` says so
            yield case.case, labels, case.label

    with fabric.autocast():
        return mean_dice(dataset, patients, pairs())


def mean_dice(dataset: PreparedDataset, patients: Sequence[str], pairs: Iterable[LabelPair]) -> float:
    """Compute the mean over patients of the mean over their cases and foreground classes, but those absent from both.

    Args:
        dataset: Whose cases.
        patients: Which of them; those without a pair count for nothing.
        pairs: Cases of these patients with prediction and reference.
    """
    values: dict[str, list[np.ndarray]] = {patient: [] for patient in patients}
    for name, prediction, reference in pairs:
        counts = confusion(prediction, reference, dataset.num_classes)
        values[dataset.patient(name)].append(dice(counts)[1:])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Mean of empty slice")
        means = [np.nanmean(np.array(cases)) if cases else np.nan for cases in values.values()]
        return float(np.nanmean(means))
