"""`make gpu` from its pack to its table, on the CPU in miniature: killed in the middle, and called again."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.phantoms import make_phantoms

ROOT = Path(__file__).resolve().parent.parent
SUITE = """
name: rehearsal
datasets: [{name: phantom, dataset: phantom_organs, spatial_dims: 2, options: {cases: 8, size: [40, 40]}}]
methods: [supervised, mean_teacher]
labels: [n2]
training:
  network: {name: unet, channels: [4, 8, 8], strides: [2, 2], convolutions: 1}
  steps: 300
  batch_size: 4
  patch_size: [32, 32]
  checkpoint_every: 10
evaluation: {metrics: [dice, hd95]}
"""
THERE = "pydantic nibabel pandas psutil h5py filelock scipy numpy packaging tensorboard protobuf absl-py pytest"


def rows(folder: Path, benchmark: str) -> list[dict[str, str]]:
    (file,) = folder.glob(f"{benchmark}-cpu-*.csv")
    with open(file, newline="", encoding="utf-8") as opened:
        return list(csv.DictReader(opened))


@pytest.mark.long
def test_from_the_pack_to_the_table(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    phantom = make_phantoms(tmp_path / "phantoms")[3]
    (tmp_path / "suite.yaml").write_text(SUITE)
    pack = [sys.executable, str(ROOT / "benchmarks" / "gpu" / "pack.py"), "--suite", str(tmp_path / "suite.yaml")]
    pack += ["--prepared", str(phantom.data), "--split", str(phantom.split), "--labels", "n2", "--unlabelled", "1"]
    pack += ["--there", *THERE.split(), "--output", str(tmp_path / "pack")]
    subprocess.run(pack, check=True, env=environment, capture_output=True)
    assert sum(file.stat().st_size for file in (tmp_path / "pack").iterdir()) < 5 * 2**20

    command = [sys.executable, str(tmp_path / "pack" / "start.py"), "--device", "cpu", "--miniature"]
    command += ["--minutes", "6", "--output", str(tmp_path / "out")]
    first = subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=subprocess.DEVNULL)
    state = tmp_path / "out" / "state"
    while not (begun := list(state.glob("*/supervised/checkpoints/resume.ckpt"))) and first.poll() is None:
        time.sleep(0.01)
    trainings = psutil.Process(first.pid).children(recursive=True)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert begun
    assert trainings
    assert not psutil.wait_procs(trainings, timeout=10)[1], "a training has outlived what started it"
    results = tmp_path / "out" / "miniature"
    (record_file,) = results.glob("record-cpu-*.json")
    before = json.loads(record_file.read_text())["items"]
    assert {name: entry["status"] for name, entry in before.items()} == {"tests": "done"}
    assert not (begun[0].parent.parent / "run.json").exists(), "it was to be killed in the middle"

    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    record = json.loads(record_file.read_text())
    assert {entry["status"] for entry in record["items"].values()} == {"done"}
    assert record["items"]["tests"] == before["tests"], "what is finished does not run again"
    assert "nothing is left" in done.stdout.splitlines()
    boards = list(begun[0].parent.parent.glob("tensorboard/events*"))
    assert len(boards) == 2, "the second attempt went on in the first one's folder"

    files = sorted(file.name for file in results.iterdir() if file.is_file())
    assert [name.partition("-cpu-")[0] for name in files] == [
        *("inference", "losses", "record", "runs", "scores", "sharing", "training")
    ]
    runs = rows(results, "runs")
    assert [(row["method"], row["pack"], row["steps"]) for row in runs] == [
        ("supervised", "8-bit subset", "300"),
        ("mean_teacher", "8-bit subset", "300"),
    ]
    assert runs[1]["unlabelled_patients"] == "1"
    assert all(0 <= float(row["dice"]) <= 1 and float(row["seconds_per_step"]) > 0 for row in runs)
    scores = rows(results, "scores")
    assert {row["pack"] for row in scores} == {"8-bit subset"}
    assert {row["method"] for row in scores} == {"supervised", "mean_teacher"}
    assert {card["pack"] for card in record["cards"].values()} == {"8-bit subset"}
    assert record["cards"]["supervised"]["steps"] == 300
    tests = record["tests"]
    assert tests
    assert {row["outcome"] for row in tests} == {"passed"}
    assert {row["runs"] for row in rows(results, "sharing")} == {"1", "2"}
    assert {row["contender"] for row in rows(results, "training")} == {"contrastseg", "bare", "dataloader"}

    again = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert not [line for line in again.stdout.splitlines() if line.startswith("= ")], "there is nothing to do"
