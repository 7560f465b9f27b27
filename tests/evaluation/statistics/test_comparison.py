from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from contrastseg.errors import ScoringError
from contrastseg.evaluation.statistics import COMPARISON_COLUMNS, VERDICTS, compare, pairwise, ranking_table
from contrastseg.evaluation.statistics.coverage import detectable_shift

Table = Callable[..., pd.DataFrame]
RNG = np.random.default_rng(0)
BASE = RNG.normal(0.7, 0.05, (12, 2))


def row(comparison: pd.DataFrame, method: str, **where: str) -> pd.Series:
    rows = comparison[comparison["method"] == method]
    for name, value in where.items():
        rows = rows[rows[name] == value]
    assert len(rows) == 1
    return rows.iloc[0]


def test_the_pairs_are_patients(table: Table) -> None:
    better = BASE + RNG.normal(0.05, 0.02, BASE.shape)
    found = compare(table({"supervised": BASE, "a": better}))
    assert list(found.columns) == list(COMPARISON_COLUMNS)
    differences = better.mean(axis=1) - BASE.mean(axis=1)
    a = row(found, "a")
    assert a["p"] == pytest.approx(float(stats.wilcoxon(differences, method="exact").pvalue))
    assert (a["n"], a["zeros"], a["family_size"], a["p_holm"]) == (12, 0, 1, a["p"])
    assert a["median_difference"] == pytest.approx(np.median(differences))
    assert a["mean_difference"] == pytest.approx(a["mean"] - a["reference_mean"])
    assert a["hl_low"] <= a["hl_estimate"] <= a["hl_high"]
    assert (a["verdict"], a["direction"], a["reference"]) == ("better", "higher", "supervised/default")
    assert a["p_smallest"] == 2 / 2**12
    reference = row(found, "supervised")
    assert (reference["verdict"], reference["n"]) == ("reference", 12)
    assert np.isnan(reference["p"])


def test_more_seeds_are_not_more_pairs(table: Table) -> None:
    found = compare(table({"supervised": np.tile(BASE[:4], 5), "a": np.tile(BASE[:4], 5) + 0.1}))
    assert (row(found, "a")["n"], row(found, "a")["verdict"]) == (4, "n too small")


def test_distances_are_better_when_lower(table: Table) -> None:
    found = compare(table({"supervised": BASE * 10, "a": BASE * 9, "b": BASE * 11}, "hd95", "mm"), metrics=["hd95"])
    assert [row(found, method)["verdict"] for method in "ab"] == ["better", "worse"]
    assert set(found["direction"]) == {"lower"}
    assert set(found["unit"]) == {"mm"}


def test_too_few_patients_is_not_no_difference(table: Table) -> None:
    two_methods = {"supervised": BASE[:6], "a": BASE[:6] + 0.1, "b": BASE[:6] + 0.1}
    alone = row(compare(table(dict(list(two_methods.items())[:2]))), "a")
    assert (alone["p_holm"], alone["p_smallest"], alone["verdict"]) == (0.03125, 0.03125, "better")
    together = row(compare(table(two_methods)), "a")
    assert (together["p_smallest"], together["verdict"]) == (0.0625, "n too small")


def test_what_could_have_been_found_is_said(table: Table) -> None:
    noise = RNG.normal(0, 0.02, BASE.shape)
    a = row(compare(table({"supervised": BASE, "a": BASE + noise})), "a")
    assert a["sd_difference"] == pytest.approx(noise.mean(axis=1).std(ddof=1))
    assert a["detectable_difference"] == pytest.approx(a["sd_difference"] * detectable_shift(12, 1))
    few = row(compare(table({"supervised": BASE[:5], "a": BASE[:5] + noise[:5]})), "a")
    assert np.isnan(few["detectable_difference"]), "five patients cannot find anything"


def test_the_luck_of_training_widens_the_difference_but_not_the_test(table: Table) -> None:
    steady = BASE.mean(axis=1, keepdims=True) + RNG.normal(0, 0.001, (12, 3))
    lucky = steady + np.array([0.0, 0.03, 0.06])
    a = row(compare(table({"supervised": steady, "a": lucky})), "a")
    assert a["verdict"] == "better", "these three trained models are better"
    assert a["mean_difference_low"] < 0 < a["mean_difference_high"], "another three may not be"
    same = row(compare(table({"supervised": steady, "a": steady + 0.03})), "a")
    assert 0.029 < same["mean_difference_low"] < same["mean_difference_high"] < 0.031


def test_zeros_are_dropped_and_counted(table: Table) -> None:
    other = BASE.copy()
    other[:4] += 0.1
    a = row(compare(table({"supervised": BASE, "a": other})), "a")
    assert (a["n"], a["zeros"], a["p_smallest"], a["verdict"]) == (12, 8, 0.125, "n too small")


def test_a_family_is_all_methods_at_all_ratios_of_a_metric(table: Table) -> None:
    scores = pd.concat(
        [
            table({"supervised": BASE, "a": BASE + RNG.normal(0, 0.1, BASE.shape), "b": BASE + 0.1}),
            table({"supervised": BASE, "a": BASE - 0.1}, labels="r1", label_ratio=1.0),
            table({"supervised": BASE, "a": BASE - 0.1}, "iou"),
            table({"supervised": BASE, "a": BASE - 0.1}, dataset="other"),
        ]
    )
    found = compare(scores, metrics=("dice", "iou"))
    sizes = found.groupby("family")["family_size"].unique().map(list).to_dict()
    assert sizes == {
        "hearts · hearts · last · dice": [3],
        "hearts · hearts · last · iou": [1],
        "other · hearts · last · dice": [1],
    }
    family = found[(found["family"] == "hearts · hearts · last · dice") & found["p"].notna()].sort_values("p")
    stepped = np.maximum.accumulate(family["p"] * [3, 2, 1])
    assert family["p_holm"].tolist() == pytest.approx(np.minimum(stepped, 1).tolist())
    narrow = compare(scores, metrics=("dice", "iou"), family="methods")
    assert row(narrow, "a", labels="r1", dataset="hearts", metric="dice")["family_size"] == 1


def test_missing_predictions_are_no_test_but_a_description_with_counts(table: Table) -> None:
    holed = BASE + 0.1
    holed[:3] = np.nan
    found = compare(table({"supervised": BASE, "a": holed, "b": BASE - 0.1}))
    a = row(found, "a")
    assert (a["n"], a["verdict"], a["missing"], a["reference_missing"], a["structures"]) == (9, "incomplete", 6, 0, 9)
    assert a["reference_mean"] == pytest.approx(BASE[3:].mean())
    assert a["mean_difference"] == pytest.approx(0.1)
    assert a[["p", "p_holm", "hl_low", "mean_low", "mean_difference_low"]].isna().all()
    assert row(found, "b")["family_size"] == 1, "what is not tested is not corrected for"


def test_a_reference_with_missing_predictions_is_no_reference_for_a_test(table: Table) -> None:
    holed = BASE.copy()
    holed[0] = np.nan
    found = compare(table({"supervised": holed, "a": BASE + 0.1}))
    a = row(found, "a")
    assert (a["verdict"], a["missing"], a["reference_missing"], a["n"]) == ("incomplete", 0, 2, 11)
    assert row(found, "supervised")["missing"] == 2


@pytest.mark.parametrize("as_rows", [True, False])
def test_who_leaves_out_hard_frames_or_classes_does_not_gain(table: Table, as_rows: bool) -> None:
    """Identical predictions of two frames and two classes; one method lacks the hard frame of six patients."""
    easy, hard = BASE, BASE - 0.4
    parts = [
        table({"supervised": values, "a": values}).assign(case=lambda t, f=frame: t["patient"] + f, **{"class": name})
        for frame, values in (("ed", easy), ("es", hard))
        for name in ("RV", "LV")
    ]
    scores = pd.concat(parts, ignore_index=True)
    lost = (scores["method"] == "a") & scores["case"].str.endswith("es") & (scores["patient"] < "p006")
    if as_rows:
        scores.loc[lost, ["value", "outcome"]] = [np.nan, "hole"]
    else:
        scores = scores[~lost]
    found = compare(scores)
    a = row(found, "a")
    assert (a["verdict"], a["missing"], a["structures"], a["n"]) == ("incomplete", 24, 36, 12)
    assert a["mean_difference"] == pytest.approx(0, abs=1e-12), "the same predictions on the same frames"
    ranked = ranking_table(scores).set_index("method")
    assert ranked.empty, "no two methods are complete"
    three = pd.concat([scores, scores[scores["method"] == "supervised"].assign(method="b")])
    ranked = ranking_table(three).set_index("method")
    assert ranked["missing"].to_dict() == {"a": 24, "b": 0, "supervised": 0}
    assert ranked["first"].fillna(-1).to_dict() == {"a": -1, "b": 0.5, "supervised": 0.5}
    assert set(pairwise(three).set_index(["method", "other"])["verdict"]) == {"incomplete", "identical"}


def test_a_seed_without_some_cases_is_incomplete_too(table: Table) -> None:
    scores = table({"supervised": BASE, "a": BASE})
    lost = (scores["method"] == "a") & (scores["seed"] == 1) & scores["patient"].isin(["p000", "p001"])
    a = row(compare(scores[~lost]), "a")
    assert (a["verdict"], a["missing"], a["structures"]) == ("incomplete", 2, 10)
    whole_seed = (scores["method"] == "a") & (scores["seed"] == 1)
    assert row(compare(scores[~whole_seed]), "a")["missing"] == 0, "a method may have fewer seeds"
    failed = scores.copy()
    failed.loc[whole_seed, ["value", "outcome"]] = [np.nan, "hole"]
    a = row(compare(failed), "a")
    assert (a["verdict"], a["missing"], a["structures"]) == ("incomplete", 12, 12)


def test_values_that_one_method_alone_has_are_left_out_for_both(table: Table) -> None:
    """Precision of a missed structure is undefined: who misses the hard ones must not be compared on the easy ones."""
    hard = BASE[:, :1] - np.repeat([[0.5], [0.0]], [4, 8], axis=0)
    scores = table({"supervised": hard, "a": hard, "b": hard + 0.1}, "precision")
    missed = (scores["method"] == "a") & (scores["patient"] < "p004")
    scores.loc[missed, ["value", "outcome"]] = [np.nan, "missed"]
    found = compare(scores, metrics=["precision"])
    a = row(found, "a")
    assert (a["n"], a["undefined"], a["structures"], a["verdict"]) == (8, 4, 8, "identical")
    assert a["mean"] == a["reference_mean"] == pytest.approx(hard[4:].mean())
    assert row(found, "b")["n"] == 12
    ranked = ranking_table(scores, ["precision"]).set_index("method")
    assert ranked["n"].tolist() == [8, 8, 8]
    assert ranked["rank"].to_dict() == {"a": 2.5, "b": 1, "supervised": 2.5}


def test_identical_scores_are_called_so_whatever_their_number(table: Table) -> None:
    for n in (1, 3, 12):
        a = row(compare(table({"supervised": BASE[:n], "a": BASE[:n]})), "a")
        assert (a["verdict"], a["p"], a["zeros"]) == ("identical", 1, n)


def test_a_verdict_that_the_means_contradict_is_marked(table: Table) -> None:
    """Nineteen small gains and one large loss: the ranks say better, the mean is lower."""
    base = np.full((20, 1), 0.8)
    gains = base + np.linspace(0.001, 0.019, 20)[:, None]
    gains[0] = 0.1
    a = row(compare(table({"supervised": base, "a": gains})), "a")
    assert (a["verdict"], a["mean_against"]) == ("better", "lower mean")
    assert a["mean_difference"] < 0
    turned = row(compare(table({"supervised": gains, "a": base})), "a")
    assert (turned["verdict"], turned["mean_against"]) == ("worse", "higher mean")
    assert row(compare(table({"supervised": BASE, "a": BASE + 0.1})), "a")["mean_against"] == ""
    distances = table({"supervised": 1 - base, "a": 1 - gains}, "hd95", "mm")
    a = row(compare(distances, metrics=["hd95"]), "a")
    assert (a["verdict"], a["mean_against"]) == ("better", "higher mean")
    (pair,) = pairwise(table({"supervised": base, "a": gains})).itertuples()
    assert (pair.verdict, pair.mean_against) == ("better", "lower mean")


def test_intervals_end_where_the_images_do(table: Table) -> None:
    far = np.array([[1.0], [2.0], [90.0]])
    scores = table({"supervised": far, "a": far + 0.5}, "hd95", "mm").assign(diagonal=100.0)
    found = row(compare(scores, metrics=["hd95"]), "supervised")
    assert (found["mean_high"], found["mean_clipped"]) == (100, "high")
    unknown = row(compare(scores.drop(columns="diagonal"), metrics=["hd95"]), "supervised")
    assert unknown["mean_high"] > 100
    assert unknown["mean_clipped"] == ""
    one = scores.copy()
    one.loc[0, "diagonal"] = np.nan
    assert row(compare(one, metrics=["hd95"]), "supervised")["mean_clipped"] == "", "not known of every case"
    apart = compare(table({"supervised": [[0.0], [0.1]], "a": [[0.1], [1.0]]}))
    a = row(apart, "a")
    assert (a["mean_difference_low"], a["mean_difference_high"], a["mean_difference_clipped"]) == (-1, 1, "both")


def test_without_pairs_nothing_is_claimed(table: Table) -> None:
    scores = pd.concat([table({"supervised": BASE}), table({"a": BASE}, labels="r1", label_ratio=1.0)])
    a = row(compare(scores), "a")
    assert (a["n"], a["verdict"], a["family_size"]) == (0, "no pairs", 0)
    assert np.isnan(a["p"])


def test_variants_are_compared_too_and_may_be_the_reference(table: Table) -> None:
    scores = pd.concat([table({"supervised": BASE, "pdcr": BASE + 0.1}), table({"pdcr": BASE - 0.1}, variant="rf")])
    found = compare(scores)
    assert row(found, "pdcr", variant="rf")["verdict"] == "worse"
    found = compare(scores, baseline="pdcr/rf")
    assert row(found, "pdcr", variant="rf")["verdict"] == "reference"
    assert row(found, "supervised")["verdict"] == "better"


def test_bad_requests_list_what_there_is(table: Table) -> None:
    scores = table({"supervised": BASE, "a": BASE})
    with pytest.raises(ScoringError, match="unknown baseline 'b'; there are: a/default, supervised/default"):
        compare(scores, baseline="b")
    with pytest.raises(ScoringError, match="unknown metric"):
        compare(scores, metrics=["dise"])
    with pytest.raises(ScoringError, match="unknown family 'all'; there are: methods, methods_and_ratios"):
        compare(scores, family="all")  # type: ignore[arg-type]
    two = pd.concat([table({"supervised": BASE}, variant="x"), table({"supervised": BASE}, variant="y")])
    with pytest.raises(ScoringError, match="has the variants x, y"):
        compare(two)
    assert compare(scores, metrics=["hd95"]).empty


def test_it_is_deterministic_whatever_the_order_of_the_rows(table: Table) -> None:
    scores = table({"supervised": BASE, "a": BASE + RNG.normal(0, 0.1, BASE.shape)})
    shuffled = scores.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(compare(scores), compare(shuffled))
    assert set(compare(scores)["verdict"]) <= set(VERDICTS)


def test_a_family_without_any_effect_rarely_finds_one(table: Table) -> None:
    rng = np.random.default_rng(7)
    trials, methods = 120, ("supervised", "a", "b", "c", "d")
    one = table({method: np.zeros(14) for method in methods})
    scores = pd.concat([one.assign(dataset=f"trial {trial}") for trial in range(trials)], ignore_index=True)
    patients = np.repeat(rng.normal(0.8, 0.05, (trials, 1, 14)), len(methods), axis=1)
    scores["value"] = (patients + rng.normal(0, 0.02, patients.shape)).ravel()
    found = compare(scores)
    assert (found["family_size"] == 4).all()
    wrong = found["verdict"].isin(["better", "worse"]).groupby(found["dataset"]).any().sum()
    # Family-wise error 0.05: more than 13 of 120 has a chance below 0.005.
    assert wrong <= 13


def test_a_class_called_mean_is_refused_and_not_a_traceback(table: Table) -> None:
    scores = table({"supervised": BASE, "a": BASE}, **{"class": "mean"})
    for statistic in (compare, ranking_table, pairwise):
        with pytest.raises(ScoringError, match="'mean'"):
            statistic(scores)
