"""A Slurm for the tests of one file, and Snakemake sending jobs to it."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.cluster.slurm_node import SlurmNode, lacking, slurm_node
from tests.workflow.conftest import Workspace

PLUGIN = "snakemake_executor_plugin_slurm"
WAIT_S = 3600
PRETENDED = {"CONTRASTSEG_PRETEND_DEVICES": "2"}


@dataclass
class Sent:
    """What a Snakemake that sends its jobs to Slurm has done so far."""

    process: subprocess.Popen[str]
    file: Path
    urgent: int = 0
    resumable: dict[str, object] = field(default_factory=dict)

    @property
    def output(self) -> str:
        return self.file.read_text(encoding="utf-8", errors="replace")

    def numbers(self, name: str = "") -> dict[int, str]:
        """Jobs of Slurm by number, each with its rule or group; those of one name alone, if given."""
        place = r"slurm_logs/(?:rule_([^/]+)|group_([a-z]+)_[^/]+)/"
        found = re.findall(rf"SLURM jobid (\d+) \(log: \S*?/{place}", self.output)
        return {int(number): rule or group for number, rule, group in found if name in ("", rule, group)}


@pytest.fixture(scope="module")
def node() -> Iterator[SlurmNode]:
    absent = lacking()
    if absent:
        pytest.skip(f"not on this machine: {', '.join(absent)} (Debian: slurmctld slurmd slurm-client munge)")
    if importlib.util.find_spec(PLUGIN) is None:
        pytest.skip(f"{PLUGIN} is not installed: pip install --constraint requirements.lock '.[slurm]'")
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder, slurm_node(Path(folder)) as running:
        yield running


@contextlib.contextmanager
def sent_to(node: SlurmNode, space: Workspace, suite: str, *options: str) -> Iterator[Sent]:
    """Snakemake with the profile, on a Slurm that keeps no accounts. It is killed in the end if it still runs.

    Asked to end, it would wait for its jobs, which end with Slurm and without its notice.
    """
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(space.code / "Snakefile")]
    command += ["--configfile", suite, "--profile", str(space.code / "profiles" / "slurm")]
    command += ["--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "2"]
    command += options
    variables = {**os.environ, **node.environment, **PRETENDED, "PYTHONPATH": str(space.code)}
    variables.pop("CONTRASTSEG_DATA", None)
    file = space.work / "snakemake.out"
    with open(file, "w", encoding="utf-8") as out:
        process = subprocess.Popen(command, cwd=space.work, env=variables, stdout=out, stderr=out, text=True)
    try:
        yield Sent(process, file)
    finally:
        process.kill()
        process.wait()


def wait(sent: Sent) -> None:
    sent.process.wait(WAIT_S)
    assert sent.process.returncode == 0, sent.output


def one(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found
