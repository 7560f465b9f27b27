"""Every paper suite runs from published files to its tables under its own recipe, in miniature."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from contrastseg import planning
from contrastseg.methods import registry
from contrastseg.suite import load_suite
from tests.workflow.paper_suites import BENCHMARKS, CUTS, LENGTHS, miniature, write_data

RECIPE = ("segmentation", "optimiser", "augmentation", "inference", "overlap", "foreground_fraction", "network")


@pytest.mark.long
@pytest.mark.parametrize("name", CUTS)
def test_a_paper_suite_runs_under_its_own_recipe(name: str, workspace: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    suite = miniature(name)
    write_data(workspace.work / "data", suite, monkeypatch)
    (workspace.work / f"{name}.yaml").write_text(yaml.safe_dump(suite, sort_keys=False))
    here = {"CONTRASTSEG_DATA": str(workspace.work / "data")}
    done = workspace.snakemake("--configfile", f"{name}.yaml", cores="2", **here)
    assert done.returncode == 0, done.stdout[-5000:]

    results = workspace.work / "results" / name
    plan = json.loads((results / "plan.json").read_text())
    methods = {method if isinstance(method, str) else method["name"] for method in suite["methods"]}
    entries = {entry["name"] for entry in suite["datasets"] if entry.get("evaluate_on") != []}
    trained = {(run["dataset"], run["method"]) for run in plan["runs"]}
    assert not [item for item in plan["skipped"] if (item["dataset"], item["method"]) in trained]
    assert {method for _, method in trained} == methods, "every method trains"
    assert {entry for entry, _ in trained} == entries, "every data set is trained on"

    scores = pd.read_parquet(results / "scores.parquet")
    axes = ["dataset", "method", "variant", "evaluated_on", "checkpoint"]
    assert len(scores[axes].drop_duplicates()) == len(plan["evaluations"])
    assert set(scores["method"]) == methods
    assert "hole" not in set(scores["outcome"])
    for table in suite.get("tables", [{"name": "main"}]):
        assert (results / "tables" / f"{table['name']}.csv").stat().st_size

    for run in plan["runs"]:
        record = json.loads((results / run["folder"] / "run.json").read_text())
        assert not differing(name, run, record), run


def differing(name: str, run: dict[str, Any], record: dict[str, Any]) -> list[str]:
    """Keys of the shipped suite's recipe that a run did not have."""
    config = planning.run_config(load_suite(BENCHMARKS / f"{name}.yaml"), run["dataset"], run["method"], run["variant"])
    cut = {f"network.{key}" for key in CUTS[name].network} | {"optimiser.warmup_epochs", "inference.stride"} | LENGTHS
    # An engine of its own trains by its own plan: of the suite's values, it has the method's settings alone.
    keys = RECIPE if registry.get(run["method"]).engine is None else ()
    wanted = flat({key: config["training"][key] for key in keys if key in config["training"]})
    found = flat(record["training"])
    wrong = [key for key, value in wanted.items() if key not in cut and found.get(key) != value]
    settings = {
        key: value for key, value in config["settings"].items() if key not in ("epochs", "iterations_per_epoch")
    }
    own = json.loads(json.dumps(settings))
    return wrong + [key for key, value in own.items() if record["settings"][key] != value]


def flat(nested: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """The same with dotted keys."""
    found: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = list(value) if isinstance(value, tuple) else value
    return found


def test_suites_have_their_cut() -> None:
    claiming = {path.stem for path in Path(BENCHMARKS).glob("*.yaml") if load_suite(path).recipe is not None}
    assert claiming == set(CUTS)
