"""Every method against every other: the family behind a significance map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from contrastseg.evaluation.aggregation import CONTEST
from contrastseg.evaluation.comparison import verdict_of
from contrastseg.evaluation.contests import Contest, contests
from contrastseg.evaluation.paired import holm, signed_rank_rows, smallest_p

PAIR_COLUMNS = (
    *(*CONTEST, "method", "variant", "other", "other_variant", "n", "zeros", "mean_difference", "median_difference"),
    *("p", "p_holm", "p_smallest", "family_size", "verdict"),
)


def pairwise(scores: pd.DataFrame, metrics: Sequence[str] = ("dice",), alpha: float = 0.05) -> pd.DataFrame:
    """Test every pair of methods of one data set, evaluation set, checkpoint, metric and label budget, two-sided.

    The tests are `compare`'s (Wilcoxon's signed-rank on patients both have, averaged over frames, classes, seeds and
    draws). The family that Holm corrects is all pairs of one map, another one than `compare` declares: a method can
    differ from the reference there and not here.

    Returns:
        The columns PAIR_COLUMNS, each pair once; differences are `method` minus `other`, the verdict is `method`'s:
        `better`, `worse`, `n.s.`, `n too small` or `no pairs`.
    """
    parts = [_family(contest, alpha) for contest in contests(scores, metrics)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(PAIR_COLUMNS))


def _family(contest: Contest, alpha: float) -> pd.DataFrame:
    first, second = np.triu_indices(len(contest.methods), 1)
    differences = contest.values.T[first] - contest.values.T[second]
    tests = signed_rank_rows(differences)
    names = [(*contest.place, *contest.methods[a], *contest.methods[b]) for a, b in zip(first, second, strict=True)]
    table = pd.DataFrame(names, columns=list(PAIR_COLUMNS[:9]))
    table["n"], table["zeros"] = [test.n for test in tests], [test.zeros for test in tests]
    table["mean_difference"] = pd.DataFrame(differences).mean(axis=1)
    table["median_difference"] = pd.DataFrame(differences).median(axis=1)
    paired = table["n"] > 0
    p = np.array([test.p for test in tests])
    table["p"] = np.where(paired, p, np.nan)
    table.loc[paired, "p_holm"] = holm(p[paired])
    table.loc[paired, "p_smallest"] = smallest_p((table["n"] - table["zeros"])[paired])
    table["family_size"] = int(paired.sum())
    judged = zip(table["p_holm"], table["p_smallest"], tests, strict=True)
    table["verdict"] = [
        verdict_of(corrected, reach, test.balance, contest.direction, alpha) if test.n else "no pairs"
        for corrected, reach, test in judged
    ]
    return table[list(PAIR_COLUMNS)]
