"""How long the statistics of a whole grid take: made-up scores, one process, one thread.

Example: `python benchmarks/speed/comparisons.py --methods 20 --ratios 4 --datasets 10 --patients 30 --seeds 3`
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _results import RESULTS, described, results_path, write

from contrastseg.evaluation.scoring.collect import COLUMNS
from contrastseg.evaluation.statistics import compare, critical_table, pairwise, ranking_table, summarise

METRICS = ("dice", "hd95")
RATIOS = (0.05, 0.1, 0.25, 0.5, 0.75, 1.0)
STEPS: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "summary": summarise,
    "comparisons": lambda scores: compare(scores, metrics=METRICS),
    "pairs": lambda scores: pairwise(scores, METRICS),
    "rankings": lambda scores: ranking_table(scores, METRICS),
    "critical": lambda scores: critical_table(scores, METRICS),
}


def grid(datasets: int, methods: int, ratios: int, classes: int, patients: int, seeds: int) -> pd.DataFrame:
    """A collected table of made-up scores: Dice and HD95, patients of unlike difficulty, methods that differ a bit."""
    rng = np.random.default_rng(0)
    shape = (datasets, methods, ratios, len(METRICS), classes, patients, seeds)
    difficulty = rng.normal(0, 0.05, (datasets, 1, 1, 1, classes, patients, 1))
    skill = rng.normal(0, 0.02, (datasets, methods, ratios, 1, 1, 1, 1))
    values = np.clip(0.8 + difficulty + skill + rng.normal(0, 0.03, shape), 0, 1)
    values[:, :, :, 1] = 80 * (1 - values[:, :, :, 1])
    dataset, method, ratio, metric, label, patient, seed = np.indices(shape).reshape(len(shape), -1)

    def named(names: list[str], codes: np.ndarray) -> np.ndarray:
        return np.array(names, dtype=object)[codes]

    entries, people = [f"d{n}" for n in range(datasets)], [f"p{n:03d}" for n in range(patients)]
    columns = {
        **{"suite": "made_up", "split": "random", "fold": 0, "variant": "default", "labelled_patients": 5, "draw": 0},
        **{"checkpoint": "last", "outcome": "scored", "seed": seed, "value": values.ravel()},
        **{"dataset": named(entries, dataset), "evaluated_on": named(entries, dataset)},
        "method": named(["supervised", *(f"m{n:02d}" for n in range(1, methods))], method),
        "label_ratio": np.array(RATIOS)[ratio],
        "labels": named([f"r{value:g}" for value in RATIOS], ratio),
        **{"patient": named(people, patient), "case": named(people, patient)},
        "class": named([f"c{n}" for n in range(classes)], label),
        "metric": named(list(METRICS), metric),
        "unit": named(["1", "mm"], metric),
    }
    return pd.DataFrame(columns).reindex(columns=list(COLUMNS)).astype(COLUMNS)


def measure(scores: pd.DataFrame, note: str) -> list[dict[str, Any]]:
    """One row for each step; CPU seconds beside the wall's, because a busy machine stretches only the second."""
    rows = []
    for step, run in STEPS.items():
        wall, processor = time.perf_counter(), time.process_time()
        found = run(scores)
        rows.append(
            {
                **{"step": step, "scores": len(scores), "rows": len(found)},
                "cpu_seconds": round(time.process_time() - processor, 2),
                "seconds": round(time.perf_counter() - wall, 2),
                **{"hardware": described(), "note": note},
            }
        )
    return rows


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes = {"datasets": 10, "methods": 20, "ratios": 4, "classes": 3, "patients": 30, "seeds": 3}
    for name, default in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--note", default="")
    options = parser.parse_args()
    rows = measure(grid(*(getattr(options, name) for name in sizes)), options.note)
    for row in rows:
        print(", ".join(f"{name} {row[name]}" for name in ("step", "scores", "rows", "cpu_seconds", "seconds")))
    write(results_path(options.output, "comparisons"), list(rows[0]), rows)


if __name__ == "__main__":
    main()
