from __future__ import annotations

import importlib
import math

import numpy as np
import pytest

from contrastseg.errors import ScoringError
from contrastseg.evaluation.metrics.case_scores import score_case
from contrastseg.evaluation.metrics.conventions import CONVENTIONS, get_convention

SPACING = (10.0, 1.0, 1.0)
DIAGONAL = math.hypot(30, 5, 5)
NAN = math.nan


def _masks(case: str) -> tuple[np.ndarray, np.ndarray]:
    mask = np.zeros((4, 6, 6), np.uint8)
    mask[1:3, 2:4, 2:4] = 1
    empty = np.zeros_like(mask)
    return {"missed": (empty, mask), "invented": (mask, empty), "absent": (empty, empty)}[case]


@pytest.mark.parametrize(
    ("convention", "missed", "invented", "absent"),
    [
        # (Dice, HD95) of each published code, read from its source.
        ("default", (0, DIAGONAL), (0, DIAGONAL), (NAN, NAN)),
        ("transunet", (0, 0), (1, 0), (0, 0)),
        ("nnformer", (0, 0), (0, 0), (1, 0)),
        ("ssl4mis", (0, 0), (0, 0), (0, 0)),
        ("monai", (0, NAN), (NAN, NAN), (NAN, NAN)),
    ],
)
def test_empty_masks_score_as_the_code_of_the_convention_does(
    convention: str, missed: tuple[float, float], invented: tuple[float, float], absent: tuple[float, float]
) -> None:
    for case, expected in {"missed": missed, "invented": invented, "absent": absent}.items():
        (found,) = score_case(*_masks(case), SPACING, 2, ("dice", "hd95"), convention=convention)
        assert found.outcome == case
        assert tuple(found.values.values()) == pytest.approx(expected, nan_ok=True), case


@pytest.mark.parametrize("case", ["missed", "invented", "absent"])
def test_monai_itself_scores_empty_masks_so(case: str) -> None:
    torch = pytest.importorskip("torch")
    monai = pytest.importorskip("monai.metrics")
    prediction, reference = (torch.from_numpy(mask)[None, None].float() for mask in _masks(case))
    (found,) = score_case(*_masks(case), SPACING, 2, ("dice", "iou", "nsd", "hd95"), convention="monai")
    with pytest.warns() as _:
        theirs = {
            "dice": monai.compute_dice(prediction, reference),
            "iou": monai.compute_iou(prediction, reference),
            "nsd": monai.compute_surface_dice(prediction, reference, [1.0], include_background=True, spacing=SPACING),
            "hd95": monai.compute_hausdorff_distance(
                prediction, reference, include_background=True, percentile=95, spacing=SPACING
            ),
        }
    assert found.values == pytest.approx({name: float(value) for name, value in theirs.items()}, nan_ok=True)


def test_conventions_in_voxels_pool_and_ignore_the_spacing() -> None:
    rng = np.random.default_rng(0)
    prediction, reference = (rng.random((4, 8, 8)) < 0.3 for _ in range(2))
    voxels = score_case(prediction, reference, None, 2, ("hd95_pooled",))[0].values["hd95_pooled"]
    millimetres = score_case(prediction, reference, SPACING, 2, ("hd95_pooled",))[0].values["hd95_pooled"]
    for name in ("transunet", "nnformer", "ssl4mis"):
        assert score_case(prediction, reference, SPACING, 2, ("hd95",), convention=name)[0].values["hd95"] == voxels
    assert voxels != millimetres


def test_medpy_is_medpy() -> None:
    binary = pytest.importorskip("medpy.metric.binary")
    rng = np.random.default_rng(0)
    prediction, reference = (rng.random((4, 8, 8)) < 0.3 for _ in range(2))
    names = ("dice", "hd95", "hd", "assd", "precision")
    (found,) = score_case(prediction, reference, SPACING, 2, names, convention="medpy")
    assert found.values["hd95"] == pytest.approx(binary.hd95(prediction, reference, voxelspacing=SPACING))
    assert found.values["dice"] == pytest.approx(binary.dc(prediction, reference))
    with pytest.raises(ScoringError, match=r"medpy does not define hd95 .* missed"):
        score_case(*_masks("missed"), SPACING, 2, ("hd95",), convention="medpy")
    with pytest.raises(ScoringError, match="unknown medpy metric 'nsd'"):
        score_case(prediction, reference, SPACING, 2, ("nsd",), convention="medpy")


def test_medpy_missing_is_an_error_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(ScoringError, match="not installed") as error:
        score_case(*_masks("missed"), SPACING, 2, ("dice",), convention="medpy")
    assert error.value.remedy


def test_unknown_convention_lists_the_known_ones() -> None:
    with pytest.raises(ScoringError) as error:
        get_convention("best")
    assert all(name in str(error.value) for name in CONVENTIONS)
