"""What the list of methods says of parameters and cost, and the script that measures them."""

from __future__ import annotations

import csv
import json
import runpy
from pathlib import Path

import pytest
from typer.testing import CliRunner

from contrastseg.cli import app
from contrastseg.errors import TrainingError
from contrastseg.methods import registry
from contrastseg.planning.step_times import method_costs, step_times

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
    found = method_costs(tmp_path)
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


def test_costs_are_of_the_fewest_dimensions_and_failed_stages_are_none(tmp_path: Path) -> None:
    lines = [
        "method,stage,spatial_dims,parameters,seconds_per_step,pixels_per_step,device,torch,error",
        "supervised,train,2,10,0.5,64,cpu,2.0,",
        "cvrl,train,2,,,,,,DataError: no volumes",
        "pdcr,train,2,11,1.0,64,cpu,2.0,",
        "supervised,train,3,20,4.0,512,cpu,2.0,",
        "cvrl,train,3,22,6.0,512,cpu,2.0,",
        "pdcr,train,3,21,5.0,512,cpu,2.0,",
    ]
    (tmp_path / "methods-a.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = method_costs(tmp_path)
    assert found["pdcr"] == {"parameters": 11, "cost": {"train": 2.0}, "measured_on": "a"}
    assert found["cvrl"] == {"parameters": 22, "cost": {"train": 1.5}, "measured_on": "a"}
    steps = step_times(tmp_path)
    assert set(steps["pdcr"].steps) == {("train", 2), ("train", 3)}
    assert set(steps["cvrl"].steps) == {("train", 3)}


QUICK = ["--steps", "4", "--patch", "32", "32", "--dims", "2"]


def measured_by_the_script(folder: Path, monkeypatch: pytest.MonkeyPatch, *names: str) -> list[dict[str, str]]:
    monkeypatch.syspath_prepend(ROOT / "benchmarks" / "speed")  # where a script finds what it shares with others
    script = runpy.run_path(str(ROOT / "benchmarks" / "speed" / "methods.py"))
    script["main"]([*QUICK, "--output", str(folder), "--methods", *names])
    (written,) = folder.glob("methods-*.csv")
    with open(written, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_script_measures_what_the_list_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`lrc_supervised` takes over weights between its stages and reads super-pixels."""
    rows = measured_by_the_script(tmp_path, monkeypatch, "supervised", "cps", "lrc_supervised")
    assert [row["method"] for row in rows] == ["supervised", "cps", *["lrc_supervised"] * 3]
    assert not [row["error"] for row in rows if row["error"]]
    assert int(rows[1]["parameters"]) == 2 * int(rows[0]["parameters"])
    found = method_costs(tmp_path)
    assert found["supervised"]["cost"] == {"train": 1.0}
    assert found["cps"]["cost"]["train"] > 0
    assert list(found["lrc_supervised"]["cost"]) == ["supervised", "local", "train"]


def test_a_method_that_fails_is_a_row_with_its_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: object, batch: object, step: int) -> None:
        raise TrainingError("out of order", remedy="repair it")

    monkeypatch.setattr(registry.get("cps"), "training_step", broken)
    rows = measured_by_the_script(tmp_path, monkeypatch, "cps", "supervised")
    assert [(row["method"], row["stage"]) for row in rows] == [("cps", "train"), ("supervised", "train")]
    assert rows[0]["error"].startswith("TrainingError: out of order")
    assert rows[0]["seconds_per_step"] == ""
    assert float(rows[1]["seconds_per_step"]) > 0
    assert list(method_costs(tmp_path)) == ["supervised"]
