from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from contrastseg.errors import ScoringError
from contrastseg.evaluation.coverage import detectable_shift
from contrastseg.evaluation.statistics import COMPARISON_COLUMNS, VERDICTS, compare

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


def test_only_patients_of_both_are_compared_and_n_says_so(table: Table) -> None:
    holed = BASE + 0.1
    holed[:3] = np.nan
    a = row(compare(table({"supervised": BASE, "a": holed})), "a")
    assert (a["n"], a["verdict"]) == (9, "better")
    assert a["reference_mean"] == pytest.approx(BASE[3:].mean())


def test_without_pairs_nothing_is_claimed(table: Table) -> None:
    scores = pd.concat([table({"supervised": BASE}), table({"a": BASE}, labels="r1", label_ratio=1.0)])
    a = row(compare(scores), "a")
    assert (a["n"], a["verdict"], a["family_size"]) == (0, "no pairs", 0)
    assert np.isnan(a["p"])


def test_variants_are_compared_too_and_may_be_the_reference(table: Table) -> None:
    scores = pd.concat([table({"supervised": BASE, "pdcr": BASE + 0.1}), table({"pdcr": BASE - 0.1}, variant="rf")])
    found = compare(scores)
    assert row(found, "pdcr", variant="rf")["verdict"] == "worse"
    found = compare(scores, reference="pdcr/rf")
    assert row(found, "pdcr", variant="rf")["verdict"] == "reference"
    assert row(found, "supervised")["verdict"] == "better"


def test_bad_requests_list_what_there_is(table: Table) -> None:
    scores = table({"supervised": BASE, "a": BASE})
    with pytest.raises(ScoringError, match="unknown reference 'b'; there are: a/default, supervised/default"):
        compare(scores, reference="b")
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
