"""What the list of methods says of parameters and cost, and the script that measures them."""

from __future__ import annotations

import csv
import json
import runpy
from pathlib import Path

from typer.testing import CliRunner

from contrastseg.cli import app
from contrastseg.cli.measured import measurements

ROOT = Path(__file__).resolve().parents[2]


def table(path: Path, **seconds: float) -> None:
    """A file as the script writes it, with a pre-training stage of twice the step before `pdcr`'s last."""
    lines = ["method,stage,spatial_dims,parameters,seconds_per_step,device,torch"]
    for method, time in seconds.items():
        if method == "pdcr":
            lines.append(f"{method},pretrain,2,1,{2 * time},cpu,2.0")
        lines.append(f"{method},train,2,1500000,{time},cpu,2.0")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def listed(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["methods", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_costs_are_steps_of_supervised_on_the_same_machine(tmp_path: Path) -> None:
    table(tmp_path / "methods-a.csv", supervised=0.1, pdcr=0.3, uafr=0.1)
    table(tmp_path / "methods-b.csv", supervised=1.0, pdcr=1.5)
    table(tmp_path / "methods-c.csv", pdcr=9.0)
    found = measurements(tmp_path)
    assert found["pdcr"] == {"parameters": 1500000, "cost": {"pretrain": 3.0, "train": 1.5}, "measured_on": "b"}
    assert found["uafr"]["measured_on"] == "a"
    rows = {row["name"]: row for row in json.loads(listed("--json", "--measured", str(tmp_path)))}
    assert rows["pdcr"]["cost"] == {"pretrain": 3.0, "train": 1.5}
    assert rows["cps"]["parameters"] is None
    shown = listed("--measured", str(tmp_path))
    assert "3× → 1.5×" in shown
    assert "1.50 M" in shown


def test_nothing_measured_is_said_by_nothing(tmp_path: Path) -> None:
    rows = json.loads(listed("--json", "--measured", str(tmp_path / "absent")))
    assert {(row["parameters"], row["measured_on"]) for row in rows} == {(None, None)}
    shown = listed("--measured", str(tmp_path / "absent"))
    assert "train: both" in shown
    assert "NeurIPS 2017" in shown


def test_the_script_measures_what_the_list_reads(tmp_path: Path) -> None:
    script = runpy.run_path(str(ROOT / "benchmarks" / "speed" / "methods.py"))
    quick = ["--steps", "4", "--patch", "32", "32", "--output", str(tmp_path), "--hardware", "here"]
    script["main"]([*quick, "--methods", "supervised", "cps"])
    with open(tmp_path / "methods-here.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["method"] for row in rows] == ["supervised", "cps"]
    assert int(rows[1]["parameters"]) == 2 * int(rows[0]["parameters"])
    found = measurements(tmp_path)
    assert found["supervised"]["cost"] == {"train": 1.0}
    assert found["cps"]["cost"]["train"] > 0
