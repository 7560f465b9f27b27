"""The tables of tuned suites on the page of results: choices and scores of the chosen settings."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from contrastseg.files import read_json, write_json
from contrastseg.report.site.reference_runs import ReferenceRuns
from contrastseg.report.site.tuned_results import tuned
from tests.docs.stored import PATIENTS, make


def test_choices_stand_beside_the_score_of_the_chosen_settings(tmp_path: Path) -> None:
    folder = make(tmp_path)
    plan = read_json(folder / "plan.json")
    plan["suite"]["tuning"] = {"trials": 4}
    write_json(folder / "plan.json", plan)
    cell = {"suite": "made_up", "dataset": "hearts", "variant": "default", "labels": "n4", "draw": 0, "fold": 0}
    cell |= {"validation": "labelled", "trials": 4, "inner_folds": 4, "n_patients": 4, "diverged": ""}
    cell |= {"rival": 0, "difference": 0.01, "standard_error": 0.01, "hours": 0.25}
    chosen = [
        {"method": "supervised", "trial": 0, "values": json.dumps({}), "dice": 0.6, "dice_defaults": 0.6},
        {
            "method": "mean_teacher",
            "trial": 2,
            "values": json.dumps({"decay": 0.9}),
            "dice": 0.7,
            "dice_defaults": 0.65,
        },
    ]
    pd.DataFrame([cell | row for row in chosen]).to_csv(folder / "tuned.csv", index=False)
    lines = list(tuned(ReferenceRuns(folder)))
    assert "4 trials" in lines[0]
    rows = [line for line in lines if line.startswith("| `")]
    assert len(rows) == 2, "one budget was tuned"
    level = 0.5 + 0.01 * (PATIENTS - 1) / 2 + 0.05
    assert rows[0].startswith(f"| `supervised` [P] | the defaults | 0.600 | 0.600 | {level:.3f} [")
    assert rows[1].startswith(f"| `mean_teacher` [O] | `decay: 0.9` | 0.650 | 0.700 | {level - 0.03:.3f}† [")
    assert all(row.endswith("| 0.25 |") for row in rows)
