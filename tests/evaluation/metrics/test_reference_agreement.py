"""The same numbers as medpy, MONAI, Google's surface-distance and a definition written out, on random pairs of masks.

Several hundred pairs in every run of the tests, thousands in the long ones.
"""

from __future__ import annotations

import math
import warnings
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion
from scipy.spatial.distance import cdist

from contrastseg.evaluation.metrics.case_scores import score_case
from contrastseg.evaluation.metrics.catalogue import METRICS
from contrastseg.evaluation.metrics.conventions import get_convention, replayable
from tests.evaluation.metrics.mask_pairs import KINDS, MaskPair, longer_axes, mask_pairs

TOLERANCE = 1.6
FEW, MANY = settings(max_examples=25, deadline=None), settings(max_examples=300, deadline=None)
DRAWN = [kind for kind in KINDS if kind != "one of two empty"]


def ours(pair: MaskPair) -> dict[str, float]:
    first, second, spacing = pair
    (found,) = score_case(first, second, spacing, 2, tuple(METRICS), tolerance=TOLERANCE)
    assert found.outcome == "scored"
    return found.values


def written_out(pair: MaskPair) -> dict[str, float]:
    """Every distance between two borders, and what the definitions make of them; no borrowed code, no shortcut."""
    first, second, spacing = longer_axes(pair)
    points = [np.argwhere(mask ^ binary_erosion(mask)) * spacing for mask in (first, second)]
    between = cdist(*points)
    there, back = between.min(axis=1), between.min(axis=0)
    both = np.concatenate([there, back])
    return {
        "hd": max(there.max(), back.max()),
        "hd95": max(np.percentile(there, 95), np.percentile(back, 95)),
        "hd95_pooled": np.percentile(both, 95),
        "assd": both.mean(),
        "asd": there.mean(),
        "nsd": (both <= TOLERANCE).mean(),
        "dice": 2 * (first & second).sum() / (first.sum() + second.sum()),
        "iou": (first & second).sum() / (first | second).sum(),
    }


def of_monai(pair: MaskPair) -> dict[str, float]:
    """MONAI's, where it has the metric; `hd95` is the larger of the two directed percentiles."""
    torch = pytest.importorskip("torch")
    monai = pytest.importorskip("monai.metrics")
    first, second, spacing = longer_axes(pair)
    if first.ndim == 1:  # which MONAI does not measure
        return {}
    y_pred, y = (torch.from_numpy(mask)[None, None].float() for mask in (first, second))
    same = {"include_background": True, "spacing": spacing}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = {
            "dice": monai.compute_dice(y_pred, y),
            "iou": monai.compute_iou(y_pred, y),
            "hd": monai.compute_hausdorff_distance(y_pred, y, **same),
            "hd95": monai.compute_hausdorff_distance(y_pred, y, percentile=95, **same),
            "assd": monai.compute_average_surface_distance(y_pred, y, symmetric=True, **same),
            "asd": monai.compute_average_surface_distance(y_pred, y, **same),
            "nsd": monai.compute_surface_dice(y_pred, y, class_thresholds=[TOLERANCE], **same),
        }
    return {name: float(value) for name, value in found.items()}


def of_medpy(pair: MaskPair) -> dict[str, float]:
    """medpy's, where it has the metric; its `hd95` pools both directions."""
    binary = pytest.importorskip("medpy.metric.binary")
    first, second, spacing = longer_axes(pair)
    overlaps = {"dice": "dc", "iou": "jc", "precision": "precision", "recall": "recall"}
    distances = {"hd": "hd", "hd95_pooled": "hd95", "assd": "assd", "asd": "asd"}
    return {name: float(getattr(binary, theirs)(first, second)) for name, theirs in overlaps.items()} | {
        name: float(getattr(binary, theirs)(first, second, voxelspacing=spacing)) for name, theirs in distances.items()
    }


def compare(pair: MaskPair) -> None:
    found = ours(pair)
    for source in (written_out, of_monai, of_medpy):
        for name, value in source(pair).items():
            assert found[name] == pytest.approx(value, abs=1e-4, rel=1e-6), f"{name} of {source.__name__}"


@pytest.mark.parametrize("kind", DRAWN)
@FEW
@given(st.data())
def test_every_pair_scores_as_the_references_do(kind: str, data: st.DataObject) -> None:
    compare(data.draw(mask_pairs(kind)))


@pytest.mark.long
@pytest.mark.parametrize("kind", DRAWN)
@MANY
@given(st.data())
def test_thousands_of_pairs_score_as_the_references_do(kind: str, data: st.DataObject) -> None:
    compare(data.draw(mask_pairs(kind)))


@settings(max_examples=60, deadline=None)
@given(mask_pairs("one of two empty"))
def test_conventions_score_empty_masks_as_the_libraries_do(pair: MaskPair) -> None:
    """What a suite scores by convention, without medpy, is what medpy and MONAI say; NaN where medpy raises."""
    binary = pytest.importorskip("medpy.metric.binary")
    first, second, spacing = pair
    names = ("dice", "iou", "hd95")
    by = {
        name: score_case(first, second, spacing, 2, names, convention=replayable(get_convention(name)))[0].values
        for name in ("medpy", "monai")
    }
    assert by["medpy"]["iou"] == binary.jc(first, second)
    if first.any() or second.any():
        assert by["medpy"]["dice"] == binary.dc(first, second)
    else:  # 1 in medpy's source; NaN under numpy 2.4, whose counts divide by zero without the error it waits for
        assert by["medpy"]["dice"] == 1
    with pytest.raises(RuntimeError):
        binary.hd95(first, second)
    assert math.isnan(by["medpy"]["hd95"])
    if theirs := of_monai(pair):
        assert by["monai"] == pytest.approx({name: theirs[name] for name in names}, nan_ok=True)


# Google's weighs its surface by area, between the voxels: it agrees where no weight matters.


def google() -> ModuleType:
    return pytest.importorskip("surface_distance")


def block(shift: int = 0) -> NDArray:
    mask = np.zeros((12, 16, 16), bool)
    mask[3:8, 4:10, 3 + shift : 9 + shift] = True
    return mask


@pytest.mark.parametrize("shift", [0, 1, 3])
def test_hausdorff_distance_of_shifted_blocks_is_that_of_surface_distance(shift: int) -> None:
    spacing = (2.0, 1.0, 1.5)
    theirs = google().compute_surface_distances(block(), block(shift), spacing)
    found = ours((block(shift), block(), spacing))
    assert found["hd"] == pytest.approx(google().compute_robust_hausdorff(theirs, 100)) == 1.5 * shift


@pytest.mark.parametrize(("shift", "tolerance", "expected"), [(0, 0.5, 1.0), (1, 1.6, 1.0), (3, 4.6, 1.0)])
def test_nsd_is_that_of_surface_distance_where_all_lies_within_the_tolerance(
    shift: int, tolerance: float, expected: float
) -> None:
    spacing = (2.0, 1.0, 1.5)
    theirs = google().compute_surface_distances(block(), block(shift), spacing)
    (found,) = score_case(block(shift), block(), spacing, 2, ("nsd",), tolerance=tolerance)
    assert found.values["nsd"] == google().compute_surface_dice_at_tolerance(theirs, tolerance) == expected


def test_nsd_is_that_of_surface_distance_where_nothing_does() -> None:
    first, second = np.zeros((2, 20, 6, 6), bool)
    first[1:3, 2:4, 2:4] = second[16:18, 2:4, 2:4] = True
    theirs = google().compute_surface_distances(second, first, (1.0, 1.0, 1.0))
    (found,) = score_case(first, second, (1.0, 1.0, 1.0), 2, ("nsd",), tolerance=3.0)
    assert found.values["nsd"] == google().compute_surface_dice_at_tolerance(theirs, 3.0) == 0
