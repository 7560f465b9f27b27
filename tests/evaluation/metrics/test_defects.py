"""One guard for each defect of the field's scoring that this project exists to end.

Each test shows the defect in the convention of the code that has it, so that it guards against something that happens,
and that the default convention does not have it.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from contrastseg.evaluation.metrics.case_scores import image_diagonal, score_case
from contrastseg.evaluation.metrics.catalogue import METRICS
from contrastseg.evaluation.metrics.conventions import CONVENTIONS, get_convention, replayable
from tests.evaluation.metrics.mask_pairs import KINDS, MaskPair, mask_pairs

SPACING = (10.0, 1.0, 1.0)
OVERLAPS, DISTANCES = ("dice", "iou", "nsd"), ("hd", "hd95", "hd95_pooled", "assd")


def organ(row: int = 2) -> NDArray:
    mask = np.zeros((6, 12, 12), np.uint8)
    mask[1:3, row : row + 3, 2:5] = 1
    return mask


NOTHING = np.zeros_like(organ())
DIAGONAL = image_diagonal(NOTHING.shape, SPACING)


def score(prediction: NDArray, reference: NDArray, convention: str = "default") -> dict[str, float]:
    rule = replayable(get_convention(convention))
    return score_case(prediction, reference, SPACING, 2, (*OVERLAPS, *DISTANCES), convention=rule)[0].values


def mean(pairs: list[tuple[NDArray, NDArray]], metric: str, convention: str = "default") -> float:
    """Over cases as each convention's code does it: what is NaN is left out."""
    return float(np.nanmean([score(*pair, convention)[metric] for pair in pairs]))


def test_a_false_positive_is_no_perfect_score() -> None:
    """TransUNet's code and its many copies, U-Bench among them: Dice 1, HD95 0."""
    found = score(organ(), NOTHING, "transunet")
    assert (found["dice"], found["hd95"]) == (1, 0)
    found = score(organ(), NOTHING)
    assert [found[name] for name in OVERLAPS] == [0, 0, 0]
    assert [found[name] for name in DISTANCES] == pytest.approx([DIAGONAL] * 4)


@pytest.mark.parametrize("convention", ["ssl4mis", "nnformer", "transunet"])
def test_a_missed_organ_is_not_at_distance_zero(convention: str) -> None:
    """SSL4MIS, nnFormer, TransUNet: HD95 0, the best there is."""
    assert score(NOTHING, organ(), convention)["hd95"] == 0
    assert [score(NOTHING, organ())[name] for name in DISTANCES] == pytest.approx([DIAGONAL] * 4)


def test_a_missed_organ_is_not_dropped_from_the_mean() -> None:
    """MONAI's NaN: a bad contour that is deleted altogether makes the mean HD95 better."""
    found, none = [(organ(), organ()), (organ(8), organ())], [(organ(), organ()), (NOTHING, organ())]
    assert mean(none, "hd95", "monai") < mean(found, "hd95", "monai")
    assert mean(none, "hd95") > mean(found, "hd95")


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(KINDS).flatmap(mask_pairs))
def test_finding_nothing_is_never_better_than_finding_something(pair: MaskPair) -> None:
    """Of a structure that is there, in every metric that has a value."""
    found, reference, spacing = pair
    if not reference.any():
        return
    names = [*OVERLAPS, *DISTANCES, "recall"]
    some, none = (
        score_case(prediction, reference, spacing, 2, names)[0].values
        for prediction in (found, np.zeros_like(reference))
    )
    for name in names:
        if METRICS[name].direction == "higher":
            assert none[name] <= some[name]
        else:
            assert none[name] >= some[name]


def test_inventing_is_worse_than_leaving_empty() -> None:
    """Where nothing is, the score of nothing is left out; an invention is the worst score, and counted."""
    assert all(math.isnan(value) for value in score(NOTHING, NOTHING).values())
    pairs = [(organ(), organ()), (NOTHING, NOTHING)]
    invented = [(organ(), organ()), (organ(), NOTHING)]
    assert mean(invented, "dice") < mean(pairs, "dice")
    assert mean(invented, "hd95") > mean(pairs, "hd95")
    assert mean(invented, "hd95", "monai") == mean(pairs, "hd95", "monai"), "MONAI's mean does not see it"


def test_distances_on_thick_slices_are_in_millimetres() -> None:
    """One slice of 10 mm is 10 mm, not the 1 voxel of SSL4MIS, nnFormer and TransUNet."""
    shifted = np.roll(organ(), 1, axis=0)
    assert score(shifted, organ())["hd"] == 10
    for name, convention in CONVENTIONS.items():
        assert score(shifted, organ(), name)["hd"] == (10 if convention.spacing else 1)


def test_the_two_hd95_are_told_apart() -> None:
    """One name for two numbers in the literature: the pooled one is smaller where one border is mostly right."""
    reference = np.zeros((1, 40, 40), np.uint8)
    reference[0, 4:20, 4:20] = 1
    prediction = reference.copy()
    prediction[0, 4:8, 20:38] = 1
    found = score(prediction, reference)
    assert found["hd95_pooled"] < found["hd95"]
    voxels = (1.0, 1.0, 1.0)
    for name in ("transunet", "nnformer", "ssl4mis", "medpy"):
        rule = replayable(get_convention(name))
        (under,) = score_case(prediction, reference, voxels, 2, ("hd95",), convention=rule)
        assert under.values["hd95"] == found["hd95_pooled"], "no axis here is 10 mm long: slice 0 is the only one"
