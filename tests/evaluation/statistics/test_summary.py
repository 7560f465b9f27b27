from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from contrastseg.errors import ScoringError
from contrastseg.evaluation.metrics.catalogue import METRICS
from contrastseg.evaluation.metrics.conventions import CONVENTIONS
from contrastseg.evaluation.statistics import SUMMARY_COLUMNS, per_patient, summarise

Table = Callable[..., pd.DataFrame]


def cell(summary: pd.DataFrame, label: str = "mean", metric: str = "dice") -> pd.Series:
    rows = summary[(summary["class"] == label) & (summary["metric"] == metric)]
    assert len(rows) == 1
    return rows.iloc[0]


def test_frames_then_classes_are_averaged_inside_the_patient_first(table: Table) -> None:
    scores = pd.concat(
        [
            table({"supervised": [0.2]}, case="p0_ED"),
            table({"supervised": [0.6]}, case="p0_ES"),
            table({"supervised": [1.0]}, case="p0_ED", **{"class": "LV"}),
            table({"supervised": [0.9]}, case="p1_ED", patient="p001"),
        ]
    )
    found = per_patient(scores, "dice").set_index(["class", "patient"])["value"]
    # Patient 0: RV (0.2 + 0.6) / 2, LV 1.0, mean of the two classes, not of the three rows.
    assert found.to_dict() == pytest.approx(
        {("RV", "p000"): 0.4, ("LV", "p000"): 1.0, ("mean", "p000"): 0.7, ("RV", "p001"): 0.9, ("mean", "p001"): 0.9}
    )
    assert cell(summarise(scores))["mean"] == pytest.approx(0.8)


def test_spread_over_seeds_and_over_patients_are_different_things(table: Table) -> None:
    matrix = np.array([[0.7, 0.9], [0.5, 0.7], [0.3, 0.5]])
    row = cell(summarise(table({"supervised": matrix})))
    assert row["sd_patients"] == pytest.approx(np.std([0.8, 0.6, 0.4], ddof=1))
    assert row["sd_seeds"] == pytest.approx(np.std([0.5, 0.7], ddof=1))
    assert (row["n_patients"], row["n_seeds"], row["n_draws"]) == (3, 2, 1)
    assert row["interval_kind"] == "t"


def test_whom_was_labelled_is_no_spread_over_seeds(table: Table) -> None:
    luck = np.tile([0, 0.02], (3, 1))
    good, bad = 0.9 + luck, 0.5 + luck
    scores = pd.concat([table({"supervised": good}), table({"supervised": bad}, draw=1)])
    row = cell(summarise(scores))
    assert row["mean"] == pytest.approx(0.71)
    assert row["sd_seeds"] == pytest.approx(np.std([0, 0.02], ddof=1))
    assert (row["n_seeds"], row["n_draws"]) == (2, 2)


def test_folds_put_every_patient_in_once(table: Table) -> None:
    scores = pd.concat([table({"supervised": [0.2]}), table({"supervised": [0.8]}, fold=1, patient="p009")])
    row = cell(summarise(scores))
    assert (row["mean"], row["n_patients"], row["n_seeds"]) == (0.5, 2, 1)


def test_outcomes_are_counted_and_holes_are_named(table: Table) -> None:
    scores = pd.concat(
        [
            table({"supervised": [[0.5, np.nan], [0.7, 0.9]]}),
            table({"supervised": [0.0, 0.0]}, outcome="missed", **{"class": "LV"}),
            table({"supervised": [np.nan]}, outcome="absent", **{"class": "LV"}, patient="p002"),
        ]
    )
    summary = summarise(scores)
    assert list(summary.columns) == list(SUMMARY_COLUMNS)
    row = cell(summary, "RV")
    assert (row["scored"], row["holes"], row["holes_named"]) == (3, 1, "p000 (draw 0, fold 0, seed 1)")
    assert row["mean"] == pytest.approx((0.5 + 0.8) / 2)
    row = cell(summary)
    assert (row["scored"], row["missed"], row["invented"], row["absent"], row["holes"]) == (3, 2, 0, 1, 1)
    assert row["n_patients"] == 2


def test_a_cell_of_nothing_but_holes_is_shown(table: Table) -> None:
    row = cell(summarise(table({"supervised": [np.nan, np.nan]})))
    assert np.isnan(row["mean"])
    assert (row["n_patients"], row["holes"], row["interval_kind"]) == (0, 2, "none")


def test_units_are_never_averaged(table: Table) -> None:
    scores = pd.concat([table({"a": [1.0]}, "hd95", "mm"), table({"b": [1.0]}, "hd95", "voxel")])
    for function in (summarise, per_patient):
        with pytest.raises(ScoringError, match="hd95 of hearts on hearts comes in mm and voxel"):
            function(scores)
    assert len(summarise(pd.concat([scores[:1], table({"b": [1.0]}, "hd", "voxel")]))) == 4


def test_the_two_mean_ious(table: Table) -> None:
    parts = []
    for label, pairs in {"RV": [(1, 2), (30, 40)], "LV": [(0, 10)]}.items():
        for patient, (both, either) in enumerate(pairs):
            where = {"class": label, "patient": f"p{patient}", "case": f"p{patient}"}
            parts += [
                table({"supervised": [both / either]}, "iou", **where),
                table({"supervised": [both]}, "intersection", "voxel", **where),
                table({"supervised": [either]}, "union", "voxel", **where),
            ]
    summary = summarise(pd.concat(parts))
    assert cell(summary, metric="miou")["mean"] == pytest.approx(((1 / 2 + 30 / 40) / 2 + 0) / 2)
    assert cell(summary, "RV", "miou_pooled")["mean"] == pytest.approx(31 / 42)
    assert cell(summary, metric="miou_pooled")["mean"] == pytest.approx((31 / 42 + 0) / 2)
    assert set(summary["metric"]) == {"iou", "miou", "miou_pooled"}
    # The patient first: p0 has both classes, p1 one.
    assert cell(summary, metric="iou")["mean"] == pytest.approx(((1 / 2 + 0) / 2 + 30 / 40) / 2)


def test_the_background_is_one_more_class_where_it_is_asked_for(table: Table) -> None:
    parts = []
    for patient, (both, either) in enumerate([(80, 100), (10, 40)]):
        for label, iou in {"RV": (1, 2), "LV": (3, 4)}.items():
            where = {"class": label, "patient": f"p{patient}", "case": f"p{patient}"}
            counted = {"intersection": iou[0], "union": iou[1]}
            counted |= {"background_intersection": both, "background_union": either}
            parts += [table({"supervised": [float(count)]}, name, "voxel", **where) for name, count in counted.items()]
            parts.append(table({"supervised": [iou[0] / iou[1]]}, "iou", **where))
            parts.append(table({"supervised": [both / either]}, "background_iou", **where))
    summary = summarise(pd.concat(parts))
    assert cell(summary, metric="miou")["mean"] == pytest.approx((1 / 2 + 3 / 4) / 2)
    assert cell(summary, metric="miou_background")["mean"] == pytest.approx((1 / 2 + 3 / 4 + (0.8 + 0.25) / 2) / 3)
    assert cell(summary, metric="miou_pooled_background")["mean"] == pytest.approx((2 / 4 + 6 / 8 + 90 / 140) / 3)


def test_nothing_gives_an_empty_summary(table: Table) -> None:
    assert list(summarise(table({"a": [1.0]})[:0]).columns) == list(SUMMARY_COLUMNS)


def test_finding_less_never_improves_the_mean_under_the_default_policy(table: Table) -> None:
    """The defect of conventions that drop or zero what was missed, and the policy's answer to it."""
    diagonal, found, missed = 100.0, {"dice": 0.3, "hd95": 40.0}, {"dice": 0.9, "hd95": 5.0}

    def mean(metric: str, score_of_missed: float) -> float:
        return float(cell(summarise(table({"a": [missed[metric], score_of_missed]}, metric)), metric=metric)["mean"])

    for metric, info in METRICS.items():
        if metric not in found:
            continue
        finding_it = mean(metric, found[metric])
        missing_it = mean(metric, CONVENTIONS["default"].empty_score(metric, "missed", diagonal))
        assert missing_it < finding_it if info.direction == "higher" else missing_it > finding_it
        if metric == "hd95":
            for name in ("monai", "transunet", "nnformer", "ssl4mis"):
                assert mean(metric, CONVENTIONS[name].empty_score(metric, "missed", diagonal)) < finding_it
