"""The environment in which the workflow's jobs run."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path


def job_environment(base: Path, root: Path | None, environment: Mapping[str, str]) -> dict[str, str]:
    """Environment of jobs: this interpreter as `python`, this checkout's code, the user's data.

    Args:
        base: The folder of the Snakefile. An installed one has no code beside it: the interpreter finds it by itself.
        root: The folder of data sets.
        environment: What is set already.
    """
    paths = {"PATH": Path(sys.executable).parent}
    if (base / "contrastseg").is_dir():
        paths["PYTHONPATH"] = base
    found = {name: os.pathsep.join(filter(None, [str(path), environment.get(name)])) for name, path in paths.items()}
    return found | ({"CONTRASTSEG_DATA": str(root)} if root else {})
