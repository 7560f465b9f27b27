"""The workflow on a copy of the repository: edits are made there, runs happen in a folder beside it."""

from __future__ import annotations

import compileall
import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest
import yaml

from tests.moving import move
from tests.workflow.warm import interpreter, planner

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("contrastseg", "workflow", "profiles", "benchmarks", "Snakefile", "environment.yml")
SUITE = {
    "name": "tiny",
    "datasets": [
        {"name": "lesions", "dataset": "phantom_lesions", "options": {"cases": 10, "size": [32, 40]}},
        {"name": "organs", "dataset": "phantom_organs", "spatial_dims": 2, "options": {"cases": 8, "size": [32, 32]}},
    ],
    "methods": ["supervised", "mean_teacher"],
    "labels": ["r0.4"],
    "training": {
        "steps": 3,
        "batch_size": 2,
        "patch_size": [32, 32],
        "network": {"name": "unet", "channels": [4, 8], "convolutions": 1},
    },
    "evaluation": {"metrics": ["dice"]},
    "tables": [{"name": "main", "kind": "main", "caption": "As it was."}],
    "figures": [{"name": "box", "kind": "box"}, {"name": "overlays", "kind": "overlays", "dpi": 50}],
}


@dataclass
class Workspace:
    """A copy of the code and a folder to work in."""

    code: Path
    work: Path

    @property
    def results(self) -> Path:
        return self.work / "results" / "tiny"

    def start(
        self,
        *arguments: str,
        cores: str = "2",
        warm: bool = True,
        output: int | IO[str] = subprocess.PIPE,
        environment: Mapping[str, str] | None = None,
        **options: Any,
    ) -> subprocess.Popen[str]:
        """Start Snakemake on the copy; its output comes with errors and all.

        Jobs, and a Snakemake that only plans, are forked from one process (see `tests.workflow.warm`) unless `warm` is
        false.
        """
        python = sys.executable
        if warm:
            python = planner() if "--dry-run" in arguments else interpreter()
        command = [python, "-m", "snakemake", "--snakefile", str(self.code / "Snakefile"), "--cores", cores]
        variables = {**os.environ, "PYTHONPATH": str(self.code), "PYTHONDONTWRITEBYTECODE": "1"}
        variables.pop("CONTRASTSEG_DATA", None)
        variables |= environment or {}
        return subprocess.Popen(
            [*command, *arguments],
            cwd=self.work,
            env=variables,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            **options,
        )

    def snakemake(
        self, *arguments: str, cores: str = "2", warm: bool = True, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run Snakemake on the copy, to its end."""
        process = self.start(*arguments, cores=cores, warm=warm, environment=environment)
        said, _ = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, said)

    def write_suite(self, **changes: object) -> Path:
        path = self.work / f"{changes.get('name', 'tiny')}.yaml"
        path.write_text(yaml.safe_dump({**SUITE, **changes}))
        return path

    def suite(self) -> dict:
        """The suite as it stands."""
        return yaml.safe_load((self.work / "tiny.yaml").read_text())

    def run(self, *arguments: str, suite: str = "tiny", **environment: str) -> str:
        """Run a suite for real."""
        done = self.snakemake("--configfile", f"{suite}.yaml", *arguments, **environment)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def planned(self, *arguments: str, suite: str = "tiny") -> dict[str, int]:
        """Jobs that would run, by rule."""
        return jobs(self.run("--dry-run", *arguments, suite=suite))

    @contextlib.contextmanager
    def edited(self, file: str, old: str, new: str) -> Iterator[None]:
        """The copy with one edit in it."""
        path = self.code / file
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{file} has no {old!r} any more: choose another edit"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        try:
            yield
        finally:
            path.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def moved(space: Workspace, files: Mapping[str, str]) -> Iterator[None]:
    """The copy with modules of the package elsewhere, and imports that follow."""
    package, aside = space.code / "contrastseg", space.code / "as-it-was"
    shutil.copytree(package, aside)
    try:
        move(package, files)
        yield
    finally:
        shutil.rmtree(package)
        aside.rename(package)


def jobs(output: str) -> dict[str, int]:
    """The table of jobs in Snakemake's output; empty when there is nothing to do."""
    _, _, table = output.partition("Job stats:")
    found = {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}
    found.pop("total", None)
    found.pop("all", None)
    return found


def copy_of_the_repository(folder: Path) -> Workspace:
    space = Workspace(folder / "code", folder / "work")
    space.work.mkdir(parents=True)
    space.code.mkdir()
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, space.code / part)
        else:
            shutil.copy(source, space.code / part)
    # Edits must not meet stale bytecode, so nothing that runs here writes any; what is there saves every job compiling.
    compileall.compile_dir(space.code / "contrastseg", quiet=2)
    space.write_suite()
    return space


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A copy of one's own, to run anything in."""
    return copy_of_the_repository(tmp_path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A copy that the tests of one file share, one after the other."""
    return copy_of_the_repository(tmp_path_factory.mktemp("shared"))


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A copy in which nothing was run; for plans only."""
    return copy_of_the_repository(tmp_path_factory.mktemp("fresh"))


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A copy in which the tiny suite was run once, from raw data to report."""
    space = copy_of_the_repository(tmp_path_factory.mktemp("finished"))
    space.run()
    return space
