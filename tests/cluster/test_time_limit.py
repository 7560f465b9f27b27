"""A training that meets its time limit on a real Slurm: the next attempt goes on from its checkpoint."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch

from tests.cluster.conftest import WAIT_S, Sent, sent_to
from tests.cluster.slurm_node import SlurmNode
from tests.workflow.conftest import SUITE, copy_of_the_repository

pytestmark = pytest.mark.long
RUN = Path("results/tiny/runs/lesions/supervised/default/r0.4/draw0-fold0-seed0")
RULE = "train_supervised"
# More steps than a minute can hold: this training is never finished.
ENDLESS = {
    "datasets": SUITE["datasets"][:1],
    "methods": ["supervised"],
    "training": {**SUITE["training"], "steps": 10_000_000, "checkpoint_every": 50, "log_every": 50},
}


def logged(file: Path) -> list[dict]:
    """The rows a checkpoint carries; none where there is no checkpoint."""
    return torch.load(file, weights_only=True)["log"] if file.exists() else []


def wait_for_attempts(sent: Sent, number: int) -> list[int]:
    """The jobs of the training, once there are so many."""
    deadline = time.monotonic() + WAIT_S
    while len(sent.numbers(RULE)) < number:
        assert sent.process.poll() is None, sent.output
        assert time.monotonic() < deadline, sent.output
        time.sleep(0.5)
    return sorted(sent.numbers(RULE))


def test_a_training_that_met_its_limit_goes_on_at_the_next_attempt(node: SlurmNode, tmp_path: Path) -> None:
    space = copy_of_the_repository(tmp_path)
    space.write_suite(**ENDLESS)
    checkpoint = space.work / RUN / "checkpoints" / "resume.ckpt"
    with sent_to(node, space, "tiny.yaml", "--set-resources", f"{RULE}:runtime=1", "--", str(RUN / "run.json")) as sent:
        first, second = wait_for_attempts(sent, 2)
        assert node.jobs()[first].state == "TIMEOUT"
        before = logged(checkpoint)
        assert before, "the first attempt left a checkpoint, and Snakemake has not removed it"
        deadline = time.monotonic() + WAIT_S
        while len(after := logged(checkpoint)) <= len(before):
            assert node.jobs()[second].state in ("PENDING", "RUNNING"), sent.output
            assert time.monotonic() < deadline, sent.output
            time.sleep(0.5)
    assert after[: len(before)] == before, "to the millisecond of their steps: they were not trained again"
