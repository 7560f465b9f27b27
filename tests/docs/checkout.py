"""A copy of the repository in which a page is done as it says: its files written, its commands run, in its order."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.docs.pages import ROOT, SHELL, Block, blocks
from tests.workflow.warm import interpreter

PARTS = ("contrastseg", "workflow", "profiles", "benchmarks", "tests", "Snakefile", "environment.yml", "pyproject.toml")


@dataclass
class Checkout:
    """Where a reader would sit: the copy, and what its commands printed so far, by command block.

    Attributes:
        folder: The copy.
        steps: Training steps in the page's suites instead of its own, where what is looked at hangs on none.
        printed: Command blocks, and what they printed.
    """

    folder: Path
    steps: int | None = None
    printed: list[tuple[Block, str]] = field(default_factory=list)

    @classmethod
    def make(cls, folder: Path, steps: int | None = None) -> Checkout:
        """Copy the repository and give it a `.venv` whose commands are those of this environment.

        Jobs of the workflow, `contrastseg` and `pytest` are forked from one process (see `tests.workflow.warm`).
        """
        for part in PARTS:
            if (ROOT / part).is_dir():
                shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / part, folder / part)
        warm = Path(interpreter())
        programs = {
            "contrastseg": f"{warm.with_name('python')} -m contrastseg",
            "snakemake": f"{warm} -m snakemake",
            "pytest": f"{warm.with_name('python')} -m pytest -p no:cacheprovider -n 0",
            "python": sys.executable,
        }
        scripts = folder / ".venv" / "bin"
        scripts.mkdir(parents=True)
        (scripts / "activate").touch()
        for name, command in programs.items():
            (scripts / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
            (scripts / name).chmod(0o755)
        return cls(folder, steps)

    def follow(self, page: Path) -> Checkout:
        """Write the page's files and run its commands; what it shows as output must be printed.

        Lines of a `text` block are looked for in the output of the block before, whatever numbers and spaces they hold.
        """
        for block in blocks(page):
            where = f"{page.name}:{block.line}"
            if block.file is not None:
                self.write(block)
            elif block.language in SHELL:
                self.printed.append((block, self.run(block.text, where)))
            elif block.language == "text":
                assert self.printed, f"{where} shows output of nothing"
                seen = [_shape(line) for line in self.printed[-1][1].splitlines()]
                for line in filter(None, map(_shape, block.text.splitlines())):
                    assert line in seen, f"{where}: {line!r} was not printed, but\n{self.printed[-1][1]}"
        return self

    def write(self, block: Block) -> None:
        assert block.file is not None
        path = self.folder / block.file
        path.parent.mkdir(parents=True, exist_ok=True)
        text = block.text
        if self.steps is not None and path.suffix == ".yaml":
            text, found = re.subn(r"(?m)^  steps: \d+$", f"  steps: {self.steps}", text)
            assert found == 1, f"{block.file} has {found} numbers of steps"
        path.write_text(text, encoding="utf-8")

    def run(self, script: str, where: str = "") -> str:
        """Run shell lines in the copy; both streams of output."""
        scripts = str(self.folder / ".venv" / "bin")
        variables = {
            name: value for name, value in os.environ.items() if not name.startswith(("CONTRASTSEG_", "PYTEST_"))
        }
        variables |= {
            "PATH": os.pathsep.join([scripts, os.environ["PATH"]]),
            "PYTHONPATH": str(self.folder),
            "PYTHONDONTWRITEBYTECODE": "1",
            "COLUMNS": "200",
        }
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.folder,
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, f"{where} ended with {done.returncode}:\n{script}\n{done.stdout[-6000:]}"
        return done.stdout


def _shape(line: str) -> str:
    """A line without what may differ between machines: numbers and the width of spaces."""
    return re.sub(r"\d+(\.\d+)?", "0", " ".join(line.split()))
