"""The workflow on a real Slurm of one node: all its jobs, their limits, another attempt, and pre-emption.

CONTRASTSEG_SLURM_SUITE=benchmarks/demo.yaml sends that whole suite through the same Slurm as well.
"""

from __future__ import annotations

import csv
import os
import shutil
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
import torch

from tests.cluster.conftest import PRETENDED, WAIT_S, Sent, one, sent_to, wait
from tests.cluster.slurm_node import SlurmJob, SlurmNode
from tests.workflow.conftest import SUITE, Workspace, copy_of_the_repository

pytestmark = pytest.mark.long
# More memory than this is what every training takes, and less than three times as much.
TOO_LITTLE_MB = 400
SMALL = {
    "datasets": SUITE["datasets"][:1],
    "training": {**SUITE["training"], "steps": 1500, "checkpoint_every": 50, "log_every": 10},
    "figures": SUITE["figures"][:1],
}


def prepared(folder: Path) -> Workspace:
    """A copy of the repository in which `mean_teacher` asks for too little memory."""
    space = copy_of_the_repository(folder)
    space.write_suite(**SMALL)
    file = space.code / "contrastseg" / "methods" / "mean_teacher.py"
    text = file.read_text(encoding="utf-8")
    assert "memory_mb = 6000" in text
    file.write_text(text.replace("memory_mb = 6000", f"memory_mb = {TOO_LITTLE_MB}"), encoding="utf-8")
    return space


def preempt_a_training(sent: Sent, space: Workspace, node: SlurmNode) -> None:
    """Send a job of higher priority that wants all GPUs, once the training of `supervised` has a checkpoint."""
    deadline = time.monotonic() + WAIT_S
    pattern = "runs/lesions/supervised/**/checkpoints/resume.ckpt"
    while not any(space.results.glob(pattern)):
        assert sent.process.poll() is None, sent.output
        assert time.monotonic() < deadline, sent.output
        time.sleep(0.1)
    (number,) = sent.numbers("train_supervised")
    urgent = ("--partition=urgent", "--ntasks=1", "--mem=100", "--gpus=2", "--time=1", "--wrap=sleep 3")
    sent.urgent = int(node.ask("sbatch", "--parsable", "--output=/dev/null", *urgent))
    while node.jobs()[number].state not in ("PENDING", "RUNNING") or not node.jobs()[number].restarts:
        assert time.monotonic() < deadline, node.jobs()
        time.sleep(0.1)
    sent.resumable = torch.load(one(space.results, pattern), weights_only=True)


@pytest.fixture(scope="module")
def done(node: SlurmNode, tmp_path_factory: pytest.TempPathFactory) -> tuple[Sent, Workspace, dict[int, SlurmJob]]:
    """A small suite, run through Slurm, whose training of `supervised` was pre-empted."""
    space = prepared(tmp_path_factory.mktemp("sent"))
    with sent_to(node, space, "tiny.yaml", "--set-resources", "predict:mem_mb=4000") as sent:
        preempt_a_training(sent, space, node)
        wait(sent)
    return sent, space, node.jobs()


def test_every_job_goes_through_slurm_with_its_limits(done) -> None:
    sent, _, jobs = done
    names = sent.numbers()
    assert set(names) == set(jobs) - {sent.urgent}
    expected = {"prepare", "train_supervised", "train_mean_teacher", "predict", "scoring", "collect", "compare"}
    assert set(names.values()) == expected | {"drawing", "report"}
    assert {jobs[number].gpus for number in sent.numbers("train_supervised")} == {1}
    assert {jobs[number].gpus for number in sent.numbers("predict")} == {1}
    assert {jobs[number].gpus for number in sent.numbers("scoring")} == {0}
    (training,) = sent.numbers("train_supervised")
    assert (jobs[training].memory_mb, jobs[training].limit_minutes) == (4000, 60)


def test_nothing_is_left_running(done) -> None:
    """Least of all the first start of the training that was pre-empted, which would remove what the second makes."""
    _, space, _ = done
    commands = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    assert not [command for command in commands if str(space.code) in command]


def test_short_steps_share_a_job(done) -> None:
    sent, _, jobs = done
    (scoring,) = sent.numbers("scoring")
    assert jobs[scoring].memory_mb == 2 * 4000
    assert len(sent.numbers("drawing")) == 1


def test_a_job_beyond_its_memory_is_tried_again_with_more(done) -> None:
    sent, space, jobs = done
    numbers = sorted(sent.numbers("train_mean_teacher"))
    attempts = [jobs[number] for number in numbers]
    assert len(attempts) in (2, 3)
    assert [job.memory_mb for job in attempts] == [TOO_LITTLE_MB * n for n in range(1, len(attempts) + 1)]
    assert [job.limit_minutes for job in attempts] == [60 * n for n in range(1, len(attempts) + 1)]
    for number in numbers[:-1]:
        log = one(space.work, f".snakemake/slurm_logs/rule_train_mean_teacher/*/{number}.log")
        assert "exceeded memory limit" in log.read_text(encoding="utf-8", errors="replace")
        assert jobs[number].state != "COMPLETED"
    assert attempts[-1].state == "COMPLETED"


def test_a_preempted_training_goes_on_from_its_checkpoint(done) -> None:
    """Its log holds the rows of the checkpoint to the millisecond of their steps: they were not trained again."""
    sent, space, jobs = done
    (number,) = sent.numbers("train_supervised")
    assert (jobs[number].restarts, jobs[number].state) == (1, "COMPLETED")
    assert jobs[sent.urgent].state == "COMPLETED"
    carried = sent.resumable["log"]
    with open(one(space.results, "runs/lesions/supervised/**/log.csv"), newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert 0 < carried[-1]["step"] < int(rows[-1]["step"]) == 1500
    seconds = [float(row["seconds"]) for row in rows]
    assert seconds[: len(carried)] == [row["seconds"] for row in carried]


def test_the_results_are_those_of_a_local_run(done, tmp_path: Path) -> None:
    _, space, _ = done
    local = prepared(tmp_path)
    local.run("--resources", "gpu=2", **PRETENDED)
    scores = [pd.read_parquet(each.results / "scores.parquet") for each in (space, local)]
    pd.testing.assert_frame_equal(*scores, check_exact=True)


def test_a_whole_suite(node: SlurmNode, tmp_path: Path) -> None:
    suite = os.environ.get("CONTRASTSEG_SLURM_SUITE")
    if not suite:
        pytest.skip("CONTRASTSEG_SLURM_SUITE names no suite: benchmarks/demo.yaml, for example")
    space = copy_of_the_repository(tmp_path)
    shutil.copy(Path(suite).resolve(), space.work / "asked.yaml")
    with sent_to(node, space, "asked.yaml") as sent:
        wait(sent)
    assert {node.jobs()[number].state for number in sent.numbers()} == {"COMPLETED"}
    assert list(space.work.glob("results/*/report.html"))
