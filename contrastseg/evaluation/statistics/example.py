"""A small table of scores to try the statistics on."""

from __future__ import annotations

import numpy as np
import pandas as pd


def example_scores(metric: str = "dice", patients: int = 8, seed: int = 0) -> pd.DataFrame:
    """Simulate the scores of three methods on one data set, in the columns of `scores.parquet`.

    `mean_teacher` is better than `supervised` by 0.05 on average, `simclr` is equal to it.

    Args:
        metric: Name of the metric; its values lie between 0 and 1.
        patients: Number of patients, with one case and one class each.
        seed: Of the simulation.

    Returns:
        One row per method and patient.

    Example:
        >>> example_scores().shape
        (24, 20)
    """
    generator = np.random.default_rng(seed)
    difficulty = generator.uniform(0.6, 0.85, patients)
    gains = {"supervised": 0.0, "mean_teacher": 0.05, "simclr": 0.0}
    rows = [
        {
            "suite": "example",
            "dataset": "phantoms",
            "split": "random",
            "fold": 0,
            "method": method,
            "variant": "default",
            "labels": "n3",
            "label_ratio": 0.3,
            "labelled_patients": 3,
            "draw": 0,
            "seed": 0,
            "evaluated_on": "phantoms",
            "checkpoint": "last",
            "patient": f"p{number}",
            "case": f"p{number}",
            "class": "organ",
            "metric": metric,
            "value": float(value),
            "unit": "1",
            "outcome": "scored",
        }
        for method, gain in gains.items()
        for number, value in enumerate(difficulty + gain + generator.normal(0, 0.01, patients))
    ]
    return pd.DataFrame(rows)
