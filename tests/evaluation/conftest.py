"""Masks and tables that several test modules start from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

from contrastseg.evaluation.scoring.collect import COLUMNS

AXES: dict[str, Any] = {
    "suite": "tiny",
    "dataset": "hearts",
    "split": "random",
    "fold": 0,
    "method": "supervised",
    "variant": "default",
    "label_ratio": 0.1,
    "labels": "r0.1",
    "labelled_patients": 2,
    "draw": 0,
    "seed": 0,
    "evaluated_on": "hearts",
    "checkpoint": "last",
}


@pytest.fixture
def axes() -> dict[str, Any]:
    """The axes of one run."""
    return dict(AXES)


@pytest.fixture
def table() -> Callable[..., pd.DataFrame]:
    """Makes a collected table: `table({"supervised": matrix (patients, seeds)}, metric=…)`."""

    def make(methods: Mapping[str, Any], metric: str = "dice", unit: str = "1", **axes: Any) -> pd.DataFrame:
        rows = []
        for method, values in methods.items():
            matrix = np.asarray(values, dtype=float)
            matrix = matrix[:, None] if matrix.ndim == 1 else matrix
            for (patient, seed), value in np.ndenumerate(matrix):
                name = f"p{patient:03d}"
                rows.append(
                    AXES
                    | {"method": method, "seed": seed, "patient": name, "case": name, "class": "RV"}
                    | {"metric": metric, "value": value, "unit": unit}
                    | {"outcome": "hole" if np.isnan(value) else "scored"}
                    | ({"case": axes["patient"]} if "patient" in axes else {})
                    | axes
                )
        return pd.DataFrame(rows).reindex(columns=list(COLUMNS)).astype(COLUMNS)

    return make
