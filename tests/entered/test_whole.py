"""Entered runs are whole or not there: kills, failures, removal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from contrastseg import planning
from contrastseg.errors import EnterError
from tests.entered.conftest import (
    ROOT,
    enter,
    invoke,
    maps,
    refused,
    stored,
    suite,
)


@pytest.mark.parametrize("sent", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.long)])
def test_an_interrupted_enter_leaves_no_row_and_the_next_one_starts_afresh(work: Path, sent: signal.Signals) -> None:
    folder = maps("lesions")
    halting = (
        "import sys, time\nfrom contrastseg.evaluation.entered import entering\nfrom contrastseg.cli import app\n"
        "write = entering.write_label\n"
        "def slow(*a):\n    write(*a); print('wrote', flush=True); time.sleep(60)\n"
        "entering.write_label = slow\napp(sys.argv[1:])"
    )
    command = [sys.executable, "-c", halting, "enter", folder, "--suite", "tiny.yaml", "--entry", "lesions"]
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [*map(str, command), "--method", "mine", "--labels", "r0.4"],
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "wrote\n"
    with pytest.raises(EnterError, match="at work"):
        enter(folder)
    process.send_signal(sent)
    process.wait(timeout=30)
    assert planning.expand(suite()).entered == ()
    enter(folder)
    assert not [name for name in stored() if name.startswith(".")]
    assert len(planning.expand(suite()).entered) == 1


def test_a_replacement_that_fails_keeps_the_row(work: Path) -> None:
    enter(maps("lesions"))
    broken = maps("lesions", "broken", change=lambda labels: labels + 3)
    refused(broken, "--replace")


def test_a_row_that_was_moved_aside_comes_back(work: Path) -> None:
    """A kill between the two renames of --replace."""
    folder = maps("lesions")
    enter(folder)
    kept = stored()
    root = Path("results/tiny/entered")
    (root / ".replaced").mkdir()
    (root / "lesions").rename(root / ".replaced" / "lesions")
    enter(folder, method="another")
    assert {name: stored()[name] for name in kept} == kept


def test_what_is_to_be_removed_has_to_be_there(work: Path) -> None:
    enter(maps("lesions"))
    where = ("--suite", "tiny.yaml", "--entry", "lesions")
    with pytest.raises(EnterError, match="mine on lesions"):
        invoke("enter", "--remove", *where, "--method", "yours")
    with pytest.raises(EnterError, match="FOLDER"):
        invoke("enter", *where, "--method", "mine")
