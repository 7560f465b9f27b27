from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from contrastseg.evaluation.statistics.paired import holm
from contrastseg.evaluation.statistics.pairwise import PAIR_COLUMNS, pairwise

Table = Callable[..., pd.DataFrame]
RNG = np.random.default_rng(0)
BASE = RNG.normal(0.7, 0.05, (14, 2))


def test_every_pair_is_tested_once_and_corrected_together(table: Table) -> None:
    methods = {
        name: BASE + RNG.normal(shift, 0.03, BASE.shape)
        for name, shift in zip("abcd", (0, 0.01, 0.04, 0.1), strict=True)
    }
    found = pairwise(table(methods))
    assert list(found.columns) == list(PAIR_COLUMNS)
    assert found[["method", "other"]].agg("".join, axis=1).tolist() == ["ab", "ac", "ad", "bc", "bd", "cd"]
    expected = [
        stats.wilcoxon(methods[a].mean(axis=1), methods[b].mean(axis=1), method="exact").pvalue
        for a, b in zip(found["method"], found["other"], strict=True)
    ]
    assert found["p"].tolist() == pytest.approx(expected)
    assert found["p_holm"].tolist() == pytest.approx(holm(expected).tolist())
    assert (found["family_size"] == 6).all()
    assert found["p_smallest"].tolist() == [6 * 2 / 2**14] * 6
    assert found.set_index(["method", "other"]).loc[("a", "d"), "verdict"] == "worse"


def test_maps_are_families_of_their_own_and_distances_turn_the_verdict(table: Table) -> None:
    scores = pd.concat(
        [
            table({"a": BASE, "b": BASE + 0.1}),
            table({"a": BASE, "b": BASE + 0.1}, labels="r1", label_ratio=1.0),
            table({"a": BASE * 10, "b": BASE * 11}, "hd95", "mm"),
        ]
    )
    found = pairwise(scores, ("dice", "hd95")).set_index(["metric", "labels"])["verdict"]
    assert found.to_dict() == {("dice", "r0.1"): "worse", ("dice", "r1"): "worse", ("hd95", "r0.1"): "better"}


def test_missing_predictions_are_described_and_not_tested(table: Table) -> None:
    early, late = BASE.copy(), BASE + 0.1
    early[7:], late[:7] = np.nan, np.nan
    found = pairwise(table({"all": BASE - 0.1, "early": early, "late": late})).set_index(["method", "other"])
    assert found["n"].to_dict() == {("all", "early"): 7, ("all", "late"): 7, ("early", "late"): 0}
    assert set(found["verdict"]) == {"incomplete"}, "all lack predictions but one, whom nobody is left to meet"
    assert found.loc[("all", "early"), ["missing", "other_missing"]].tolist() == [0, 14]
    assert found[["p", "p_holm"]].isna().all(axis=None)
    assert (found["family_size"] == 0).all()
    assert found["mean_difference"].iloc[0] == pytest.approx(-0.1)


def test_one_method_makes_no_map(table: Table) -> None:
    assert pairwise(table({"a": BASE})).empty
