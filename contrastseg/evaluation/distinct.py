"""One row for each case, class, metric and run: two that disagree are an error, and never a mean."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contrastseg.errors import ScoringError

_RUN = ("dataset", "evaluated_on", "checkpoint", "labels", "method", "variant", "draw", "fold", "seed", "convention")
_KEY = (*_RUN, "case", "class", "metric")
_SAID = ("patient", "value", "unit", "outcome")
_LARGEST = 2**62


def distinct_rows(scores: pd.DataFrame, file: str | Path | None = None) -> pd.DataFrame:
    """The table with every row once.

    Args:
        scores: Rows of one run, or the collected table; with or without a column `convention`.
        file: Where they were read, for the message.

    Returns:
        The table itself where nothing is repeated; else without the repetitions of a row.

    Raises:
        ScoringError: Two rows are about the same case, class, metric and run, and differ in value, outcome, unit or
            patient. The message names them and says how many more there are.
    """
    if "case" not in scores:
        return scores
    keys = [name for name in _KEY if name in scores]
    repeated = pd.Series(_codes(scores, keys)).duplicated(keep=False).to_numpy()
    if not repeated.any():
        return scores
    # Two machines, or a file in between, may round one score differently in its last digits.
    suspects = scores[repeated].assign(value=[float(f"{value:.12g}") for value in scores.loc[repeated, "value"]])
    suspects = suspects.drop_duplicates([*keys, *_SAID])
    disagreeing = suspects[suspects.duplicated(keys, keep=False)].sort_values(keys, kind="stable")
    if len(disagreeing):
        raise _disagreement(disagreeing, keys, file)
    return scores.drop_duplicates(keys, ignore_index=True)


def _codes(scores: pd.DataFrame, keys: Sequence[str]) -> NDArray:
    """One whole number a row, equal where all keys are: several times faster than comparing text row by row."""
    codes, size = np.zeros(len(scores), dtype=np.int64), 1
    for key in keys:
        part, names = pd.factorize(scores[key], use_na_sentinel=False)
        if size * len(names) >= _LARGEST:
            codes, known = pd.factorize(codes)
            size = len(known)
        codes, size = codes * len(names) + part, size * max(len(names), 1)
    return codes


def _disagreement(rows: pd.DataFrame, keys: list[str], file: str | Path | None) -> ScoringError:
    pairs = rows.groupby(keys, sort=False, observed=True)
    first, second, *_ = pairs.get_group(next(iter(pairs.groups))).to_dict("records")
    run = ", ".join(f"{name} {first[name]}" for name in _RUN if name in keys)
    about = f"{first['metric']} of class {first['class']}" + (f" ({run})" if run else "")
    differs = [name for name in _SAID if not _same(first[name], second[name])]
    said = " and ".join(", ".join(f"{name} {row[name]}" for name in differs) for row in (first, second))
    more = f"; {pairs.ngroups - 1} more such rows" if pairs.ngroups > 1 else ""
    return ScoringError(
        f"two rows disagree about {about}: {said}{more}",
        case=str(first["case"]),
        file=file,
        remedy="remove the wrong rows, or score the run again and collect again",
    )


def _same(one: object, other: object) -> bool:
    return one == other or (one != one and other != other)
