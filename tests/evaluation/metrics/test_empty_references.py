"""What an empty reference counts in comparisons and rankings, and what stands beside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import stats

from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.prepare.preparation import prepare_dataset
from contrastseg.errors import ScoringError
from contrastseg.evaluation.metrics.empty_references import compared
from contrastseg.evaluation.scoring.collect import collect
from contrastseg.evaluation.scoring.scoring import score_folder, write_scores
from contrastseg.evaluation.statistics import compare, pairwise, ranking_table, summarise
from tests.miniatures import digestpath

Table = Callable[..., pd.DataFrame]
RNG = np.random.default_rng(0)
THERE = RNG.normal(0.8, 0.03, 20)


def patients(
    table: Table, methods: dict[str, tuple[np.ndarray, int]], metric: str = "dice", **axes: object
) -> pd.DataFrame:
    """40 patients, 20 of them without the structure: each method's scores where it is, and how often it invents one."""
    worst = 0.0 if metric in ("dice", "iou", "nsd", "precision", "recall") else 100.0
    parts = []
    for name, (scores, invented) in methods.items():
        part = table({name: np.append(scores, np.full(20, np.nan))}, metric, "1" if worst == 0 else "mm", **axes)
        part.loc[part.index[20:], "outcome"] = "absent"
        found = part.index[20 : 20 + invented]
        part.loc[found, "outcome"] = "invented"
        part.loc[found, "value"] = np.nan if metric == "recall" else worst
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def row(found: pd.DataFrame, method: str) -> pd.Series:
    (one,) = (found[found["method"] == method].iloc[[0]]).to_dict("records")
    return pd.Series(one)


@pytest.mark.parametrize(
    ("metric", "outcome", "stored", "expected"),
    [
        ("dice", "absent", np.nan, 1.0),
        ("iou", "invented", 1.0, 0.0),
        ("nsd", "absent", np.nan, 1.0),
        ("hd95", "absent", np.nan, 0.0),
        ("assd", "invented", 0.0, 120.0),
        ("hd", "invented", np.nan, 120.0),
        ("volume_error_ml", "absent", np.nan, 0.0),
        ("volume_error_ml", "invented", 7.0, 7.0),
        ("precision", "invented", 0.0, np.nan),
        ("recall", "absent", np.nan, np.nan),
        ("intersection", "absent", 0.0, 0.0),
        ("dice", "missed", 0.0, 0.0),
        ("dice", "hole", np.nan, np.nan),
    ],
)
def test_best_or_worst_whatever_the_convention_scored(
    table: Table, metric: str, outcome: str, stored: float, expected: float
) -> None:
    scores = table({"a": [stored, 0.5]}, metric).assign(diagonal=120.0)
    scores.loc[0, "outcome"] = outcome
    values = compared(scores)["value"].tolist()
    assert values == pytest.approx([expected, 0.5], nan_ok=True)
    left_out = compared(scores, "leave_out")["value"].tolist()
    empty = outcome in ("absent", "invented") and metric != "intersection"
    assert left_out == pytest.approx([np.nan if empty else stored, 0.5], nan_ok=True)


def test_without_the_longest_distance_the_stored_one_counts_or_the_largest(table: Table) -> None:
    scores = table({"a": [70.0, 0.0, np.nan, 90.0]}, "hd95", "mm")
    scores.loc[:2, "outcome"] = "invented"
    assert compared(scores)["value"].tolist() == [70, 90, 90, 90]


@pytest.mark.parametrize("metric", ["dice", "hd95"])
def test_who_invents_nothing_wins_the_patients_without_the_structure(table: Table, metric: str) -> None:
    there = THERE if metric == "dice" else 10 * (1 - THERE)
    scores = patients(table, {"supervised": (there, 20), "careful": (there, 0)}, metric)
    found = row(compare(scores, metrics=[metric]), "careful")
    assert (found["n"], found["zeros"], found["verdict"], found["mean_against"]) == (40, 20, "better", "")
    assert found["empty_references"] == 20
    assert found["p"] == pytest.approx(2 / 2**20), "twenty times the same difference, counted out"
    best, worst = (1, 0) if metric == "dice" else (0, 100)
    assert found["mean"] == pytest.approx((there.mean() + best) / 2)
    assert found["reference_mean"] == pytest.approx((there.mean() + worst) / 2)
    assert (found["nonempty_n"], found["nonempty_verdict"]) == (20, "identical")
    assert (found["false_positives"], found["reference_false_positives"]) == (0, 1)
    assert (found["false_positives_p"], found["false_positives_verdict"]) == (pytest.approx(2 / 2**20), "better")
    assert found["disagreement"] == "non-empty references alone: identical"
    ranked = ranking_table(scores, [metric]).set_index("method")
    assert ranked["first"].to_dict() == {"careful": 1, "supervised": 0}
    assert ranked.loc["careful", "mean"] == pytest.approx(found["mean"])
    (pair,) = pairwise(scores, [metric]).itertuples()
    assert (pair.method, pair.verdict, pair.n) == ("careful", "better", 40)


def test_tables_of_scores_keep_theirs(table: Table) -> None:
    scores = patients(table, {"supervised": (THERE, 20), "careful": (THERE, 0)})
    means = summarise(scores)
    means = means[means["class"] == "mean"].set_index("method")
    assert means.loc["careful", "mean"] == pytest.approx(THERE.mean())
    assert means.loc["supervised", "mean"] == pytest.approx(THERE.mean() / 2)
    assert means.loc["careful", ["n_patients", "absent", "missing"]].tolist() == [20, 20, 0]


@pytest.mark.parametrize("metric", ["precision", "recall"])
def test_precision_and_recall_leave_empty_references_out_for_both(table: Table, metric: str) -> None:
    scores = patients(table, {"supervised": (THERE, 20), "careful": (THERE, 0)}, metric)
    found = row(compare(scores, metrics=[metric]), "careful")
    assert (found["n"], found["verdict"], found["undefined"]) == (20, "identical", 0)
    assert found["false_positives_verdict"] == "better"
    assert found["disagreement"] == "false positives: better"


def test_a_gain_that_rests_on_empty_references_alone_is_said_to(table: Table) -> None:
    """Worse wherever the structure is, and better because it invents none: the verdict does not hide either."""
    scores = patients(table, {"supervised": (THERE, 20), "timid": (THERE - 0.1, 0)})
    found = row(compare(scores), "timid")
    assert found["nonempty_verdict"] == "worse"
    assert found["nonempty_mean_difference"] == pytest.approx(-0.1)
    assert found["disagreement"].startswith("non-empty references alone: worse")
    left = row(compare(scores, empty_reference="leave_out"), "timid")
    assert (left["verdict"], left["n"], left["empty_reference"]) == ("worse", 20, "leave_out")
    assert left["disagreement"] == "false positives: better"


def test_false_positives_are_tested_as_mcnemar_does(table: Table) -> None:
    scores = patients(table, {"supervised": (THERE, 9), "careful": (THERE, 2)})
    found = row(compare(scores), "careful")
    assert found["false_positives_p"] == pytest.approx(float(stats.binomtest(0, 7).pvalue))
    assert (found["false_positives_n"], found["false_positives_zeros"]) == (20, 13)
    assert (found["false_positives"], found["reference_false_positives"]) == (0.1, 0.45)


def test_where_no_reference_is_empty_nothing_stands_beside(table: Table) -> None:
    found = row(compare(table({"supervised": THERE, "a": THERE + 0.01})), "a")
    assert pd.isna(found["empty_references"])
    assert (found["nonempty_verdict"], found["disagreement"]) == ("", "")


def test_a_missing_prediction_on_an_empty_reference_is_no_true_negative(table: Table) -> None:
    scores = patients(table, {"supervised": (THERE, 20), "careful": (THERE, 0)})
    lost = (scores["method"] == "careful") & (scores["patient"] == "p030")
    scores.loc[lost, "outcome"] = "hole"
    found = row(compare(scores), "careful")
    assert (found["verdict"], found["missing"], found["n"]) == ("incomplete", 1, 39)
    assert (found["empty_references"], found["false_positives"]) == (19, 0)
    assert pd.isna(found["false_positives_p"])


def test_runs_scored_against_two_references_of_one_case_are_not_compared(table: Table) -> None:
    """Or the one whose reference was emptied gets the best score for a case that the other had to find."""
    scores = table({"supervised": THERE, "other": THERE})
    where = (scores["method"] == "other") & (scores["case"] == scores["case"].iloc[3])
    scores.loc[where, ["outcome", "value"]] = ["absent", np.nan]
    for judge in (compare, pairwise, ranking_table, summarise):
        with pytest.raises(ScoringError, match=r"other/default.*supervised/default") as caught:
            judge(scores)
        assert caught.value.case == scores["case"].iloc[3]
    scores.loc[scores["case"] == scores["case"].iloc[3], ["outcome", "value"]] = ["absent", np.nan]
    assert row(compare(scores), "other")["verdict"] == "identical"


def test_several_structures_of_a_patient_are_averaged_before_pairs_are_made(table: Table) -> None:
    """A class that the reference does not have counts within its patient, whichever seed found something there."""
    rv = table({"supervised": np.tile(THERE[:8, None], 2), "a": np.tile(THERE[:8, None], 2)})
    lv = table({"supervised": np.full((8, 2), np.nan), "a": np.full((8, 2), np.nan)}, **{"class": "LV"})
    lv["outcome"] = "absent"
    lv.loc[(lv["method"] == "supervised") & (lv["seed"] == 0), ["outcome", "value"]] = ["invented", 0.0]
    found = row(compare(pd.concat([rv, lv])), "a")
    assert (found["verdict"], found["zeros"], found["empty_references"]) == ("better", 0, 8)
    assert found["mean_difference"] == pytest.approx((1 - 0.5) / 2)
    assert (found["false_positives"], found["reference_false_positives"]) == (0, 0.5)


def test_the_negative_images_of_digestpath_count_end_to_end(tmp_path: Path, axes: dict[str, object]) -> None:
    """Prepared, predicted, scored from files, collected and compared: two of its six images have no lesion."""
    digestpath.make(tmp_path / "raw")
    prepare_dataset("tissue", "digestpath", {}, {"size": None}, tmp_path / "raw", tmp_path / "prepared")
    prepared = PreparedDataset(tmp_path / "prepared")
    references = [prepared.reference_path(case) for case in prepared.index["case"].astype(str)]
    runs = []
    for method in ("supervised", "careful", "timid"):
        folder = tmp_path / method
        folder.mkdir()
        for reference in references:
            label = np.asarray(Image.open(reference)).copy()
            if not label.any() and method == "supervised":
                label[3:6, 3:6] = 1
            if label.any() and method == "timid":
                label[: label.shape[0] // 2] = 0
            Image.fromarray(label).save(folder / reference.name)
        scores = score_folder(folder, prepared, ("dice", "hd95", "precision"))
        write_scores(scores, folder / "last.csv")
        runs.append((axes | {"method": method, "dataset": "tissue", "evaluated_on": "tissue"}, folder / "last.csv"))
    collected = collect(runs)
    empty = collected[collected["case"].isin([name.replace(" ", "_") for name in digestpath.NEGATIVE])]
    outcomes = empty.groupby("method")["outcome"].unique().map(list).to_dict()
    assert outcomes == {"careful": ["absent"], "supervised": ["invented"], "timid": ["absent"]}
    found = compare(collected, metrics=("dice", "hd95", "precision"))
    found = found.set_index(["metric", "method"])
    careful = found.loc[("dice", "careful")]
    assert (careful["n"], careful["empty_references"], careful["structures"]) == (4, 2, 6)
    assert (careful["mean"], careful["reference_mean"], careful["mean_difference"]) == (1, 0.5, 0.5)
    assert (careful["false_positives"], careful["reference_false_positives"]) == (0, 1)
    assert (careful["nonempty_n"], careful["nonempty_verdict"]) == (2, "identical")
    distance = found.loc[("hd95", "careful")]
    longest = empty[empty["metric"] == "hd95"].groupby("case")["diagonal"].first()
    assert (distance["mean"], distance["reference_mean"]) == (0, pytest.approx(longest.sum() / 4))
    assert found.loc[("precision", "careful"), "n"] == 2
    assert found.loc[("dice", "timid"), "mean"] > found.loc[("dice", "supervised"), "mean"]
    assert found.loc[("dice", "timid"), "nonempty_mean_difference"] < 0
