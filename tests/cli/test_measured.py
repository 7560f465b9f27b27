"""What the list of methods says of parameters and cost, and the script that measures them."""

from __future__ import annotations

import csv
import importlib
import json
import runpy
from pathlib import Path

import pytest
from typer.testing import CliRunner

from contrastseg.cli import app
from contrastseg.planning.step_times import method_costs, step_costs, step_times
from contrastseg.report.site.costs import page
from contrastseg.training.settings import TrainingSettings

SPEED = Path(__file__).resolve().parents[2] / "benchmarks" / "speed"


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
    monkeypatch.syspath_prepend(SPEED)  # where a script finds what it shares with others
    script = runpy.run_path(str(SPEED / "methods.py"))
    script["main"]([*QUICK, "--output", str(folder), "--methods", *names])
    (written,) = folder.glob("methods-*.csv")
    with open(written, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.long
def test_the_script_measures_what_the_list_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`lrc_supervised` takes over weights between its stages and reads super-pixels; `pretrained` lacks its file."""
    rows = measured_by_the_script(tmp_path, monkeypatch, "supervised", "pretrained", "lrc_supervised")
    failed = rows.pop(1)
    assert (failed["method"], failed["stage"], failed["seconds_per_step"]) == ("pretrained", "train", "")
    assert "weights" in failed["error"]
    assert [row["method"] for row in rows] == ["supervised", *["lrc_supervised"] * 3]
    assert not [row["error"] for row in rows if row["error"]]
    assert [int(row["images_per_step"]) for row in rows] == [8, 8, 8, 8]
    assert all(int(row["peak_memory_bytes"]) > 1e8 and float(row["seconds_supervised"]) > 0 for row in rows)
    # The second stage sees two views of each image.
    arithmetic = [int(row["flops_per_step"]) / int(rows[0]["flops_per_step"]) for row in rows]
    assert arithmetic == pytest.approx([1, 1, 2, 1], rel=0.05)
    found = method_costs(tmp_path)
    assert found["supervised"]["cost"] == {"train": 1.0}
    assert list(found["lrc_supervised"]["cost"]) == ["supervised", "local", "train"]
    assert set(found) == {"supervised", "lrc_supervised"}


def test_images_of_a_step_count_once_however_many_views_they_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(SPEED)
    images_of = importlib.import_module("_method_steps").images_of
    training = TrainingSettings(batch_size=8, unlabelled_batch_size=12)
    assert images_of("supervised", "train", training) == 8
    assert images_of("cps", "train", training) == 8 + 12
    assert images_of("unimatch", "train", training) == 8 + 12 + 12, "it pastes from a second unlabelled batch"
    assert images_of("simclr", "pretrain", training) == 12, "two views"


def test_steps_beside_supervised_on_as_many_images(tmp_path: Path) -> None:
    lines = [
        "method,stage,spatial_dims,seconds_per_step,images_per_step,seconds_supervised,flops_per_step,peak_memory_bytes",
        "supervised,train,2,0.5,8,0.5,100,1000",
        "unimatch,train,2,3.0,24,1.5,500,2000",
        "nnunet,train,2,9.0,,,,",
        "unimatch,train,3,3.0,24,1.5,500,2000",
    ]
    file = tmp_path / "methods-a.csv"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    first, second = step_costs(file)
    assert (first.method, first.step, first.as_many, first.arithmetic, first.beyond) == ("supervised", 1, 1, 1, 0)
    assert (second.method, second.step, second.as_many, second.arithmetic) == ("unimatch", 6, 2, 5)
    assert (second.images, second.memory) == (24, 2000)
    assert second.beyond == pytest.approx(0.2)


def test_the_page_of_costs_has_the_steps_of_the_last_file_that_has_them(tmp_path: Path) -> None:
    (tmp_path / "benchmarks").mkdir()
    heads = "method,stage,spatial_dims,parameters,seconds_per_step,pixels_per_step,images_per_step,seconds_supervised"
    rows = ["supervised,train,2,10,0.5,64,8,0.5,100,1000000000,cpu", "cps,train,2,20,1.5,64,16,1.0,300,1200000000,cpu"]
    table = "\n".join([f"{heads},flops_per_step,peak_memory_bytes,device", *rows])
    (tmp_path / "methods-a.csv").write_text(table + "\n", encoding="utf-8")
    shown = page(tmp_path, tmp_path)
    assert "| `cps` | train | 2 | 16 | 3.00 | 1.50 | 3.00 | +0 % | 1.20 GB |" in shown
