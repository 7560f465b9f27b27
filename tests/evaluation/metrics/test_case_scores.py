from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
import scipy
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion
from scipy.spatial.distance import cdist

from contrastseg.errors import ScoringError
from contrastseg.evaluation.metrics import surfaces
from contrastseg.evaluation.metrics.case_scores import image_diagonal, score_case
from contrastseg.evaluation.metrics.catalogue import METRICS, resolve_metrics, unit_of
from tests.evaluation.metrics.mask_pairs import KINDS, MaskPair, mask_pairs

DISTANCES = ("hd", "hd95", "hd95_pooled", "assd", "asd", "nsd")
EVERYTHING = tuple(METRICS)


MASKS = arrays(bool, (4, 5, 6), elements=st.booleans())


def pairs() -> st.SearchStrategy[MaskPair]:
    """Pairs of every kind without an empty mask."""
    return st.sampled_from([kind for kind in KINDS if kind != "one of two empty"]).flatmap(mask_pairs)


def score(
    prediction: NDArray, reference: NDArray, spacing: tuple[float, ...] | None, *metrics: str
) -> dict[str, float]:
    return score_case(prediction, reference, spacing, 2, metrics, tolerance=1.6)[0].values


@settings(max_examples=60, deadline=None)
@given(MASKS)
def test_border_is_what_erosion_takes_away(mask: NDArray) -> None:
    assert np.array_equal(surfaces.border(mask), mask ^ binary_erosion(mask))


@settings(max_examples=60, deadline=None)
@given(pairs())
@pytest.mark.parametrize(
    "way",
    [{"_NEIGHBOURS": 0, "_EDT_PER_VOXEL": math.inf}, {"_NEIGHBOURS": 0, "_EDT_PER_VOXEL": 0.0}, {"_PER_LOOK_UP": 0.0}],
    ids=["tree", "transform", "look-ups first"],
)
def test_every_way_gives_the_distances_of_all_pairs(way: dict[str, float], pair: MaskPair) -> None:
    first, second, spacing = pair
    points = [np.argwhere(surfaces.border(mask)) * spacing for mask in (first, second)]
    between = cdist(*points)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in way.items():
            patch.setattr(surfaces, name, value)
        found = surfaces.Borders(first, second).distances(np.array(spacing))
    assert np.sort(found.to_reference) == pytest.approx(np.sort(between.min(axis=1)), abs=1e-9)
    assert np.sort(found.to_prediction) == pytest.approx(np.sort(between.min(axis=0)), abs=1e-9)


def test_the_way_is_chosen_by_what_it_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Near borders need no search; few far queries take the tree; very many in a small box the transform."""
    taken = []
    for part, name in ((scipy.spatial, "cKDTree"), (scipy.ndimage, "distance_transform_edt")):
        kept = getattr(part, name)
        monkeypatch.setattr(part, name, lambda *a, kept=kept, name=name, **k: (taken.append(name), kept(*a, **k))[1])
    near, far = np.zeros((2, 60, 60, 60), bool)
    near[10:20, 10:20, 10:20] = far[50:58, 50:58, 50:58] = True
    everywhere = np.ones((60, 60), bool)
    for masks, expected in (
        ((near, np.roll(near, 1, 0)), []),
        ((near, far), ["cKDTree"]),
        (
            (np.indices((60, 60)).sum(0) % 2 == 0, everywhere & (np.arange(60) > 58)),
            ["cKDTree", "distance_transform_edt"],
        ),
    ):
        taken.clear()
        surfaces.Borders(*masks).distances(np.ones(masks[0].ndim))
        assert sorted(set(taken)) == expected


@settings(max_examples=60, deadline=None)
@given(pairs())
def test_distances_are_symmetric_and_ordered(pair: MaskPair) -> None:
    first, second, spacing = pair
    there = score(first, second, spacing, *DISTANCES, "dice", "iou")
    back = score(second, first, spacing, *DISTANCES, "dice", "iou")
    for name in there.keys() - {"asd"}:
        assert there[name] == pytest.approx(back[name])
    assert there["hd95_pooled"] <= there["hd"] + 1e-9
    assert there["hd95"] <= there["hd"] <= image_diagonal(first.shape, spacing) + 1e-9
    assert there["iou"] == pytest.approx(there["dice"] / (2 - there["dice"]))


def test_two_voxels_by_hand() -> None:
    first, second = np.zeros((5, 5, 5), np.uint8), np.zeros((5, 5, 5), np.uint8)
    first[0, 0, 0] = second[2, 3, 0] = 1
    found = score(first, second, (10.0, 1.0, 1.0), *EVERYTHING)
    distance = math.hypot(20, 3)
    for name in ("hd", "hd95", "hd95_pooled", "assd", "asd"):
        assert found[name] == pytest.approx(distance), name
    assert (found["dice"], found["nsd"], found["precision"], found["volume_error_ml"]) == (0, 0, 0, 0)


def test_the_two_definitions_of_hd95_differ() -> None:
    reference = np.zeros((3, 101), np.uint8)
    reference[1, :] = 1
    prediction = np.zeros_like(reference)
    prediction[1, 0] = 1
    found = score(prediction, reference, (1.0, 1.0), "hd95", "hd95_pooled")
    # Directed: all 101 reference voxels are 0..100 away; pooled: one more zero.
    assert found["hd95"] == pytest.approx(95.0)
    assert found["hd95_pooled"] == pytest.approx(np.percentile([0.0, *range(101)], 95))


def test_volume_error_is_in_millilitres_where_the_spacing_is_known() -> None:
    prediction, reference = np.zeros((10, 10, 10), np.uint8), np.ones((10, 10, 10), np.uint8)
    prediction[:5] = 1
    assert score(prediction, reference, (10.0, 2.0, 1.0), "volume_error_ml")["volume_error_ml"] == pytest.approx(10.0)
    assert score(prediction, reference, None, "volume_error_ml")["volume_error_ml"] == 500
    assert unit_of("volume_error_ml", "mm", 3) == "ml"
    assert unit_of("volume_error_ml", "voxel", 3) == "voxel"
    assert unit_of("volume_error_ml", "pixel", 2) == "pixel"


@pytest.mark.parametrize("unit", ["mm", "voxel", "pixel"])
def test_distances_carry_the_unit_of_the_spacing(unit: str) -> None:
    assert unit_of("hd95", unit, 3) == unit
    assert unit_of("dice", unit, 3) == "1"


def test_every_class_is_scored_by_itself() -> None:
    rng = np.random.default_rng(3)
    prediction, reference = (rng.integers(0, 4, (6, 8, 8)).astype(np.uint8) for _ in range(2))
    together = score_case(prediction, reference, (3.0, 1.0, 1.0), 5, EVERYTHING)
    assert [scores.label for scores in together] == [1, 2, 3, 4]
    assert together[3].outcome == "absent"
    of_a_class = [name for name in EVERYTHING if not name.startswith("background")]
    for scores in together[:3]:
        alone = score(prediction == scores.label, reference == scores.label, (3.0, 1.0, 1.0), *of_a_class)
        tolerant = score_case(prediction, reference, (3.0, 1.0, 1.0), 5, of_a_class, tolerance=1.6)[scores.label - 1]
        assert tolerant.values == pytest.approx(alone)


def test_a_volume_of_13_classes_needs_less_than_40_bytes_a_voxel() -> None:
    """2 GiB at 512 x 512 x 200; the largest part is what a class as large as the volume needs."""
    reference = np.zeros((40, 96, 96), np.uint8)
    reference[1:-1, 1:-1, 1:-1] = 1
    for label in range(2, 14):
        reference[5:35, 10:80, 6 * label : 6 * label + 4] = label
    prediction = np.roll(reference, (1, 2, 2), (0, 1, 2))
    tracemalloc.start()
    try:
        score_case(prediction, reference, (3.0, 1.0, 1.0), 14, EVERYTHING)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak / reference.size < 40


def test_tolerance_may_differ_by_class() -> None:
    prediction, reference = np.zeros((1, 20), np.uint8), np.zeros((1, 20), np.uint8)
    prediction[0, 0], reference[0, 2] = 1, 1
    prediction[0, 10], reference[0, 12] = 2, 2
    found = score_case(prediction, reference, None, 3, ["nsd"], tolerance={1: 1.0, 2: 2.0})
    assert [scores.values["nsd"] for scores in found] == [0.0, 1.0]


def test_ignored_voxels_are_background_for_both() -> None:
    reference = np.array([[0, 1, 1, 255, 255]], np.uint8)
    asked = np.array([[0, 1, 1, 1, 1]], np.uint8), reference, None, 2, ("dice", "hd", "precision")
    assert score_case(*asked, ignore=255)[0].values == {"dice": 1.0, "hd": 0.0, "precision": 1.0}


@pytest.mark.parametrize(
    ("prediction", "reference", "outcome", "expected"),
    [
        (0, 1, "missed", {"dice": 0.0, "nsd": 0.0, "recall": 0.0, "precision": math.nan, "volume_error_ml": 0.12}),
        (1, 0, "invented", {"dice": 0.0, "nsd": 0.0, "recall": math.nan, "precision": 0.0, "volume_error_ml": 0.12}),
        (0, 0, "absent", dict.fromkeys(["dice", "nsd", "recall", "precision", "volume_error_ml", "hd95"], math.nan)),
    ],
)
def test_outcomes_of_the_default_policy(
    prediction: int, reference: int, outcome: str, expected: dict[str, float]
) -> None:
    shape, spacing = (3, 4, 1), (10.0, 1.0, 1.0)
    parts = np.full(shape, prediction, np.uint8), np.full(shape, reference, np.uint8)
    (found,) = score_case(*parts, spacing, 2, EVERYTHING)
    assert found.outcome == outcome
    for name, value in expected.items():
        assert found.values[name] == pytest.approx(value, nan_ok=True), name
    if outcome != "absent":
        for name in ("hd", "hd95", "hd95_pooled", "assd"):
            assert found.values[name] == pytest.approx(math.hypot(20, 3))


def test_unknown_names_are_listed() -> None:
    with pytest.raises(ScoringError, match=r"unknown metric 'dise'; there are: .*dice"):
        resolve_metrics(["dise"])
    assert resolve_metrics(["miou", "miou_pooled", "iou"]) == ("iou", "intersection", "union")


WHOLE = ("accuracy", "background_iou", "background_intersection", "background_union")


LABELS = arrays(np.uint8, (4, 5), elements=st.sampled_from([0, 0, 1, 2]))


@given(LABELS, LABELS, st.booleans())
@settings(max_examples=60, deadline=None)
def test_metrics_of_the_whole_image_are_those_of_sklearn(
    prediction: NDArray, reference: NDArray, ignoring: bool
) -> None:
    from sklearn.metrics import accuracy_score, jaccard_score

    if ignoring:
        reference = np.where(np.arange(20).reshape(4, 5) < 3, np.uint8(255), reference)
    known = reference != 255
    for row in score_case(prediction, reference, None, 3, WHOLE, ignore=255):
        truth, guess = reference[known], prediction[known]
        assert row.values["accuracy"] == pytest.approx(accuracy_score(truth == row.label, guess == row.label))
        union = int(((truth == 0) | (guess == 0)).sum())
        assert row.values["background_union"] == union
        assert row.values["background_intersection"] == int(((truth == 0) & (guess == 0)).sum())
        if union:
            expected = jaccard_score(truth == 0, guess == 0)
            assert row.values["background_iou"] == pytest.approx(expected)
        else:
            assert math.isnan(row.values["background_iou"])


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match=r"\(2, 2\) and reference \(2, 3\)"):
        score_case(np.zeros((2, 2), int), np.zeros((2, 3), int), None, 2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("step", "voxels", "tolerance"), [(0.8, 1, 0.8), (0.1, 3, 0.3), (1.1, 3, 3.3), (0.7, 1, 0.7)])
def test_a_border_at_the_tolerance_is_within_it(dtype: type, step: float, voxels: int, tolerance: float) -> None:
    """However its header rounds, a shift of whole voxels is as far as the voxels are."""
    spacing = (2.5, 1.3, float(dtype(step)))
    reference = np.zeros((8, 16, 24), np.uint8)
    reference[2:6, 4:12, 4:12] = 1
    prediction = np.roll(reference, voxels, 2)
    (found,) = score_case(prediction, reference, spacing, 2, ("nsd",), tolerance=tolerance)
    assert found.values["nsd"] == 1
    (closer,) = score_case(prediction, reference, spacing, 2, ("nsd",), tolerance=tolerance * 0.999)
    assert closer.values["nsd"] < 1


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 400), st.integers(1, 6), st.sampled_from([1e-4, 1e-2, 1.0]))
def test_the_boundary_is_within_at_every_scale(hundredths: int, voxels: int, scale: float) -> None:
    """Tolerance and spacing are decimals that people write; the header holds the spacing in single precision."""
    step = hundredths / 100 * scale
    reference, prediction = np.zeros((2, 3, 20), np.uint8)
    reference[1, 5], prediction[1, 5 + voxels] = 1, 1
    spacing = (float(np.float32(step)),) * 2
    for tolerance, expected in ((voxels * step, 1.0), (voxels * step * (1 - 1e-4), 0.0)):
        (found,) = score_case(prediction, reference, spacing, 2, ("nsd",), tolerance=tolerance)
        assert found.values["nsd"] == expected


def test_real_numbers_are_rounded_or_refused_and_never_cut() -> None:
    reference = np.array([[0, 1, 1, 2]], np.uint8)
    for dtype in (np.float32, np.float64):
        near = reference.astype(dtype) * dtype(1 - 1e-6)
        found = score_case(near, reference.astype(dtype), None, 3, ("dice",))
        assert [scores.values["dice"] for scores in found] == [1.0, 1.0]
    for wrong in (0.7, 1.5, math.nan, math.inf, 1e300):
        for parts in ((np.where(reference == 1, wrong, 0.0), reference), (reference, np.where(reference, wrong, 0.0))):
            with pytest.raises(ValueError, match="labels"):
                score_case(*parts, None, 3, ("dice",))
    with pytest.raises(ValueError, match="complex"):
        score_case(reference.astype(complex), reference, None, 3, ("dice",))


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.int64, int])
def test_counts_and_tolerances_may_be_numbers_of_numpy(kind: type) -> None:
    reference, prediction = np.zeros((2, 3, 20), np.uint8)
    reference[1, 5], prediction[1, 7] = 1, 1
    for tolerance, expected in ((kind(2), 1.0), (kind(1), 0.0)):
        (found,) = score_case(prediction, reference, None, np.int64(2), ("nsd",), tolerance=tolerance)  # type: ignore[arg-type]
        assert found.values["nsd"] == expected


@pytest.mark.parametrize("tolerance", [-1.0, math.nan, {1: -0.5}])
def test_a_tolerance_that_is_no_length_is_refused(tolerance: float | dict[int, float]) -> None:
    mask = np.ones((3, 3), np.uint8)
    with pytest.raises(ValueError, match="no length"):
        score_case(mask, mask, None, 2, ("nsd",), tolerance=tolerance)
