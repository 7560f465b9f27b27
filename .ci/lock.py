"""Remake requirements.lock and environment.yml from what is installed: `make lock`.

Starting at pyproject.toml (the dependencies and LOCKED_EXTRAS) it follows the requirements of the installed packages
and pins each one found. Packages that merely happen to be installed are left out. To move to newer versions, install
them into `.venv` (`.venv/bin/pip install --upgrade ...`), pass the tests, and run `make lock`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent

# torch's CUDA builds require these at exact versions of their own; its CPU builds do not have them at all.
ACCELERATOR = re.compile(r"(nvidia|cuda)-.*|triton")

LOCKED_EXTRAS = ("test", "docs", "slurm")

LOCK_HEADER = """\
# Every package of the project, its tests and its site, direct and indirect. Remade by `make lock`; not edited by hand.
# No build is named: pip takes the torch of your package index (with CUDA on Linux, unless the index says otherwise).
"""

CONDA_FRAME = """\
# The same set for conda: `conda env create --file environment.yml`. Remade by `make lock`; not edited by hand.
# The pins are those of requirements.lock, which also constrains everything indirect.
name: contrastseg
channels:
  - conda-forge
dependencies:
  - python=3.11
  - make
  - pip
  - pip:
"""


def direct_requirements(pyproject: Path = ROOT / "pyproject.toml") -> list[Requirement]:
    """What pyproject.toml asks for: the dependencies, then the extras that are tested."""
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    extras = [text for name in LOCKED_EXTRAS for text in project["optional-dependencies"][name]]
    return [Requirement(text) for text in project["dependencies"] + extras]


def closure(requirements: Iterable[Requirement]) -> dict[str, str]:
    """The version of every installed package that `requirements` lead to, by its canonical name, sorted."""
    pins: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [(requirement, "") for requirement in requirements]
    while waiting:
        requirement, asked_by_extra = waiting.pop()
        name = canonicalize_name(requirement.name)
        if ACCELERATOR.fullmatch(name):
            continue
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": asked_by_extra}):
            continue
        installed = distribution(name)
        pins[name] = Version(installed.version).public
        for extra in {"", *requirement.extras}:
            if (name, extra) not in seen:
                seen.add((name, extra))
                waiting += [(Requirement(text), extra) for text in installed.requires or ()]
    return dict(sorted(pins.items()))


def lock_text(pins: dict[str, str]) -> str:
    """The content of requirements.lock."""
    return LOCK_HEADER + "".join(f"{name}=={version}\n" for name, version in pins.items())


def conda_text(pins: dict[str, str]) -> str:
    """The content of environment.yml: the direct dependencies, constrained by the lock."""
    names = sorted(canonicalize_name(requirement.name) for requirement in direct_requirements())
    pip = ["--constraint requirements.lock", *(f"{name}=={pins[name]}" for name in names), "--editable ."]
    return CONDA_FRAME + "".join(f"      - {line}\n" for line in pip)


def main() -> None:
    """Write both files."""
    pins = closure(direct_requirements())
    (ROOT / "requirements.lock").write_text(lock_text(pins), encoding="utf-8")
    (ROOT / "environment.yml").write_text(conda_text(pins), encoding="utf-8")
    print(f"{len(pins)} packages pinned in requirements.lock and environment.yml")


if __name__ == "__main__":
    main()
