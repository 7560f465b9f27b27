"""An axis of one voxel is no axis for borders and distances: a volume of one slice scores as the slice does."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrastseg.evaluation.metrics.case_scores import image_diagonal, score_case
from contrastseg.evaluation.metrics.catalogue import METRICS
from contrastseg.evaluation.metrics.conventions import CONVENTIONS, get_convention, replayable
from tests.evaluation.metrics.mask_pairs import KINDS, MaskPair, mask_pairs

VOLUMES = {"volume_error_ml"}  # of a slice of a thickness, which a plane has none of


def test_a_missed_structure_is_no_farther_than_the_slice_is_wide() -> None:
    reference = np.zeros((40, 36, 1), np.uint8)
    reference[10:20, 10:20] = 1
    (found,) = score_case(np.zeros_like(reference), reference, (1.0, 1.0, 999.0), 2, ("hd95", "hd", "assd"))
    assert image_diagonal(reference.shape, (1.0, 1.0, 999.0)) == pytest.approx(52.40229, abs=1e-5)
    assert found.values == pytest.approx(dict.fromkeys(("hd95", "hd", "assd"), math.hypot(39, 35)))


def test_the_border_of_one_slice_is_that_of_the_plane() -> None:
    """A square inside a larger one, 10 pixels from its border: every border pixel is at least 10 away."""
    reference, prediction = np.zeros((2, 40, 40), np.uint8)
    reference[5:35, 5:35] = prediction[15:25, 15:25] = 1
    plane = score_case(prediction, reference, (1.0, 1.0), 2, ("assd", "nsd"), tolerance=5)[0].values
    volume = score_case(prediction[..., None], reference[..., None], (1.0, 1.0, 4.0), 2, ("assd", "nsd"), tolerance=5)
    assert volume[0].values == plane
    assert plane["nsd"] == 0
    assert plane["assd"] > 10


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(KINDS).flatmap(mask_pairs), st.integers(0, 2), st.sampled_from(sorted(CONVENTIONS)))
def test_every_metric_and_convention_agrees_with_the_plane(pair: MaskPair, axis: int, convention: str) -> None:
    first, second, spacing = pair
    if first.ndim == 3:
        first, second, spacing = first[0], second[0], spacing[1:]
    rule = replayable(get_convention(convention))
    steps = (*spacing[:axis], 999.0, *spacing[axis:])
    metrics = sorted(METRICS.keys() - VOLUMES)
    (plane,) = score_case(first, second, spacing, 2, metrics, convention=rule)
    thick = np.expand_dims(first, axis), np.expand_dims(second, axis)
    (volume,) = score_case(*thick, steps, 2, metrics, convention=rule)
    assert volume.values == pytest.approx(plane.values, nan_ok=True, abs=1e-12)
    assert volume.outcome == plane.outcome


def test_a_structure_in_one_slice_of_several_keeps_its_own_border() -> None:
    """Its neighbours above and below are background: each of its voxels is border, in the only slice as it was."""
    reference, prediction = np.zeros((2, 3, 20, 20), np.uint8)
    reference[1, 2:18, 2:18] = prediction[1, 2:18, 2:17] = 1
    (found,) = score_case(prediction, reference, (1.0, 1.0, 1.0), 2, ("assd",))
    assert found.values["assd"] == pytest.approx(16 / (16 * 16 + 16 * 15))


def test_a_single_voxel_is_at_no_distance_from_itself() -> None:
    one = np.ones((1, 1, 1), np.uint8)
    (found,) = score_case(one, one, (2.0, 2.0, 2.0), 2, ("hd95", "nsd", "dice"))
    assert found.values == {"hd95": 0.0, "nsd": 1.0, "dice": 1.0}
    (missed,) = score_case(0 * one, one, (2.0, 2.0, 2.0), 2, ("hd95",))
    assert missed.values == {"hd95": 0.0}


def test_a_voxel_size_that_is_not_positive_is_refused_where_it_counts() -> None:
    mask = np.ones((4, 4, 1), np.uint8)
    assert score_case(mask, mask, (1.0, 1.0, 0.0), 2, ("hd",))[0].values == {"hd": 0.0}
    for wrong in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="not positive"):
            score_case(mask, mask, (1.0, wrong, 1.0), 2, ("hd",))
