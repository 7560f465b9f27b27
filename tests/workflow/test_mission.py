"""The whole road of the plain command: all methods on all data sets of its suite, in miniature, on four devices."""

from __future__ import annotations

import json

import pandas as pd
import pytest
import yaml

from contrastseg.methods import registry
from tests.workflow.conftest import jobs
from tests.workflow.full_suite import full, shortened, write_data


@pytest.mark.long
def test_the_full_benchmark_from_published_files_to_the_report(workspace):
    suite = shortened("mission")
    write_data(workspace.work / "data", suite)
    (workspace.work / "mission.yaml").write_text(yaml.safe_dump(suite))
    command = ("--configfile", "mission.yaml", "--resources", "gpu=4")
    here = {"CONTRASTSEG_DATA": str(workspace.work / "data"), "CONTRASTSEG_PRETEND_DEVICES": "4"}
    done = workspace.snakemake(*command, cores="all", **here)
    assert done.returncode == 0, done.stdout[-5000:]

    results = workspace.work / "results" / "mission"
    plan = json.loads((results / "plan.json").read_text())
    entries = {entry["name"] for entry in suite["datasets"] if entry.get("evaluate_on") != []}
    wanted = {(entry, method, labels) for entry in entries for method in _methods() for labels in suite["labels"]}
    trained = {(run["dataset"], run["method"], run["labels"]) for run in plan["runs"]}
    reasons = {(item["dataset"], item["method"], item["labels"]): item["reason"] for item in plan["skipped"]}
    assert trained | set(reasons) == wanted
    assert not trained & set(reasons)
    assert all(reasons.values())
    assert {method for _, method, _ in trained} == set(_methods()), "every method trains somewhere"

    cards = [json.loads((results / run["folder"] / "run.json").read_text()) for run in plan["runs"]]
    assert len({card["device_uuid"] for card in cards}) > 1, "runs were given different devices"
    scores = pd.read_parquet(results / "scores.parquet")
    axes = ["dataset", "method", "variant", "label_ratio", "evaluated_on"]
    assert len(scores[axes].drop_duplicates()) == len(plan["evaluations"])
    assert "hole" not in set(scores["outcome"])
    assert {"isic2016", "ph2"} == set(scores.loc[scores["dataset"] == "isic2016", "evaluated_on"])

    for folder, names, suffixes in (
        ("tables", ("main", "comparison", "classes"), ("csv", "md", "tex", "html")),
        ("figures", tuple(figure["name"] for figure in suite["figures"]), ("svg", "pdf", "png")),
    ):
        made = {path.name for path in (results / folder).iterdir() if path.stat().st_size}
        assert {f"{name}.{suffix}" for name in names for suffix in suffixes} <= made
    page = (results / "report.html").read_text(encoding="utf-8")
    assert not [entry for entry in entries if entry not in page]
    assert not [method for method in _methods() if registry.get(method).card.title not in page]

    again = workspace.snakemake(*command, "--dry-run", cores="all", **here)
    assert again.returncode == 0, again.stdout
    assert not jobs(again.stdout), "a second call has nothing to do"


def _methods() -> list[str]:
    return [method if isinstance(method, str) else method["name"] for method in full()["methods"]]
