"""A package that lies elsewhere adds a method, its rule and a data set; no file of the project is touched."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.docs.pages import ROOT
from tests.workflow.conftest import SUITE, Workspace, jobs

METHOD = """
from contrastseg.methods import registry

class Margin(registry.get("mean_teacher")):
    name = "margin"
"""
SPOTS = """
import dataclasses
from contrastseg.data.registry import registry
from contrastseg.data.datasets.phantom_lesions import SPEC as LESIONS

SPEC = dataclasses.replace(LESIONS, name="myspots", title="Spots")
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The folder that holds an installed package, with the entry points that CONTRIBUTING.md shows."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (points,) = re.findall(r'^\[project\.entry-points\."contrastseg\.methods"\]\n.*?(?=^```$)', text, re.M | re.S)
    points = re.sub(r'^\[project\.entry-points\."(.*)"\]$', r"[\1]", points, flags=re.M).replace('"', "")
    folder = tmp_path / "site"
    for name, content in (
        ("mymethod/__init__.py", ""),
        ("mymethod/margin.py", METHOD),
        ("mymethod/spots.py", SPOTS),
        ("mymethod-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: mymethod\nVersion: 1.0\n"),
        ("mymethod-1.0.dist-info/entry_points.txt", re.sub(r" *#.*", "", points)),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


def test_a_package_adds_a_method_with_its_rule_and_a_data_set(workspace: Workspace, package: Path) -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (rule,) = re.findall(r"^(use rule train as train_margin with:\n.*?)^```$", text, re.M | re.S)
    (workspace.work / "margin.smk").write_text(rule)
    suite = {
        "datasets": [{**SUITE["datasets"][0], "dataset": "myspots"}],
        "methods": ["supervised", "margin"],
        "custom_rules": ["margin.smk"],
        "figures": SUITE["figures"][:1],
    }
    (workspace.work / "tiny.yaml").write_text(yaml.safe_dump({**SUITE, **suite}))
    path = f"{workspace.code}:{package}"
    done = workspace.snakemake("--configfile", "tiny.yaml", PYTHONPATH=path)
    assert done.returncode == 0, done.stdout[-3000:]
    assert jobs(done.stdout)["train_margin"] == 1
    scores = pd.read_parquet(workspace.results / "scores.parquet")
    assert set(scores["method"]) == {"supervised", "margin"}
    assert "margin" in (workspace.results / "report.html").read_text()

    with_edit = package / "mymethod" / "margin.py"
    with_edit.write_text(METHOD + "    defaults = {**registry.get('mean_teacher').defaults, 'decay': 0.5}\n")
    again = workspace.snakemake("--configfile", "tiny.yaml", "--dry-run", PYTHONPATH=path)
    planned = jobs(again.stdout)
    assert planned["train_margin"] == 1
    assert "train_supervised" not in planned
