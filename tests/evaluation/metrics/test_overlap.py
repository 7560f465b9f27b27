from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from contrastseg.evaluation.metrics import overlap
from contrastseg.evaluation.metrics.overlap import confusion, dice

LABELS = arrays(np.uint8, (4, 5), elements=st.integers(0, 2))


@settings(max_examples=50, deadline=None)
@given(LABELS, LABELS)
def test_counts_and_ratios_are_those_of_sets(prediction: np.ndarray, reference: np.ndarray) -> None:
    counts = confusion(prediction, reference, 3)
    for label in range(3):
        predicted = set(np.flatnonzero(prediction == label))
        referenced = set(np.flatnonzero(reference == label))
        both = len(predicted & referenced)
        assert counts[label, label] == both
        if predicted | referenced:
            assert dice(counts)[label] == 2 * both / (len(predicted) + len(referenced))
        else:
            assert np.isnan(dice(counts)[label])


def test_rows_are_the_reference() -> None:
    counts = confusion(np.array([1, 1, 0]), np.array([0, 0, 1]), 2)
    assert counts.tolist() == [[0, 2], [1, 0]]


def test_ignored_voxels_count_for_nothing() -> None:
    reference = np.array([1, 255, 255, 0], np.uint8)
    assert dice(confusion(np.array([1, 1, 0, 0], np.uint8), reference, 2)).tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("prediction", "reference", "message"),
    [([0, 3], [0, 1], "prediction holds label 3"), ([0, 1], [0, 2], "reference holds label 2"), ([0], [0, 1], "shape")],
)
def test_bad_labels_are_refused(prediction: list[int], reference: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        confusion(np.array(prediction), np.array(reference), 2)


def test_real_numbers_are_not_counted_as_the_integers_below_them() -> None:
    with pytest.raises(ValueError, match="prediction is of type float64"):
        confusion(np.array([0.7, 1.0]), np.array([1, 1]), 2)


def test_counting_in_parts_counts_everything_and_needs_little_memory() -> None:
    rng = np.random.default_rng(0)
    reference, prediction = rng.integers(0, 5, (2, 3 * overlap._CHUNK + 7), dtype=np.uint8)
    expected = np.zeros((5, 5), int)
    np.add.at(expected, (reference, prediction), 1)
    tracemalloc.start()
    try:
        found = overlap.confusion(prediction, reference, 5)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert np.array_equal(found, expected)
    assert peak < 30 * overlap._CHUNK
