"""Overlap counts of two label maps. numpy only: of this room, training's validation Dice rests on this module alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from contrastseg.labels import IGNORE

# Counting wants eight bytes a voxel: parts that stay in the cache are faster than a whole volume, and small.
_CHUNK = 2**16


def confusion(prediction: NDArray, reference: NDArray, num_classes: int, ignore: int | None = IGNORE) -> NDArray:
    """Count the voxels of every (reference, prediction) pair of classes.

    Args:
        prediction: Integer labels 0..K-1, any shape.
        reference: Integer labels 0..K-1, same shape; `ignore` where there is no truth.
        num_classes: K, background included.
        ignore: Reference value to leave out; None counts everything.

    Returns:
        (K, K) int64, rows are the reference, columns the prediction.

    Raises:
        ValueError: The shapes differ, or a label is outside 0..K-1.

    Example:
        >>> prediction, reference = np.array([0, 1, 1, 1]), np.array([0, 0, 1, 255])
        >>> confusion(prediction, reference, num_classes=2)  # rows: reference, columns: prediction
        array([[1, 1],
               [0, 1]])
    """
    if prediction.shape != reference.shape:
        raise ValueError(f"prediction {prediction.shape} and reference {reference.shape} differ in shape")
    if ignore is not None:
        known = reference != ignore
        if not known.all():
            prediction, reference = prediction[known], reference[known]
    for name, labels in (("prediction", prediction), ("reference", reference)):
        if labels.dtype.kind not in "iub":
            raise ValueError(f"{name} is of type {labels.dtype}, labels are integers")
        if labels.size and not 0 <= int(labels.min()) <= int(labels.max()) < num_classes:
            wrong = int(labels.min() if labels.min() < 0 else labels.max())
            raise ValueError(f"{name} holds label {wrong}, outside 0..{num_classes - 1}")
    counts = np.zeros(num_classes**2, dtype=np.int64)
    rows, columns = reference.ravel(), prediction.ravel()
    for start in range(0, rows.size, _CHUNK):
        part = slice(start, start + _CHUNK)
        counts += np.bincount(rows[part].astype(np.intp) * num_classes + columns[part], minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


def overlap(counts: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Intersection, prediction size and reference size per class, each (K,), from a (K, K) confusion matrix.

    Example:
        >>> overlap(np.array([[5, 1], [2, 4]]))
        (array([5, 4]), array([7, 5]), array([6, 6]))
    """
    return np.diagonal(counts), counts.sum(axis=0), counts.sum(axis=1)


def dice(counts: NDArray) -> NDArray:
    """Dice 2|P∩R| / (|P|+|R|) per class, (K,); NaN where both are empty.

    Example:
        >>> dice(np.array([[5, 1], [2, 4]])).round(3)
        array([0.769, 0.727])
    """
    intersection, predicted, referenced = overlap(counts)
    return _ratio(2 * intersection, predicted + referenced)


def _ratio(numerator: NDArray, denominator: NDArray) -> NDArray:
    return np.where(denominator > 0, numerator / np.maximum(denominator, 1), np.nan)
