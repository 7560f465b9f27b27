"""The packages that a bare machine with torch lacks, for one version of Python: installed ones, or from the index.

The project's own bounds say which version is old: where the machine has one that is within, that one is used.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Collection
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from _list import ROOT

PACKAGES = (
    *("pydantic", "nibabel", "pandas", "psutil", "h5py", "filelock"),
    *("scipy", "numpy", "packaging", "tensorboard", "protobuf", "absl-py", "pytest"),
)
# What one of them needs and nothing else does: taken where that one is, whatever the machine has.
COMPANIONS = {
    "pydantic": ("pydantic-core", "annotated-types", "typing-inspection", "typing-extensions"),
    "pandas": ("python-dateutil", "six"),
    "pytest": ("pluggy", "iniconfig", "pygments"),
}
PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in (5, 12, 17, 24, 27, 28)] + ["manylinux2014_x86_64"]
# Tests of packages, sources for compilers, and TensorBoard's pages.
_LEFT_OUT = re.compile(r"(^|/)(tests?|__pycache__|include)/|\.(pyi|pxd|pyx|h|c|lib|zip|pyc)$")


def needed(there: Collection[str]) -> dict[str, str]:
    """The packages to take along, each with the one it accompanies, or itself; `there` is on the machine already.

    Raises:
        SystemExit: A name is none of the list.
    """
    if unknown := sorted(set(there) - {*PACKAGES}):
        sys.exit(f"not in the pack anyway: {', '.join(unknown)}. Fix: name some of {', '.join(PACKAGES)}.")
    wanted = [name for name in PACKAGES if name not in there]
    return {one: name for name in wanted for one in (name, *COMPANIONS.get(name, ()))}


def bounds() -> dict[str, str]:
    """The oldest version the project takes, by package; the empty string where any will do."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {name: oldest for name, _, oldest in (text.partition(">=") for text in project["dependencies"])}


def locked() -> dict[str, str]:
    """The version of every package that the project is tested with."""
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def gather(names: Collection[str], python: str, folder: Path) -> dict[str, dict[str, Any]]:
    """Put each package into a folder of its own: the installed one if Python's version is this one's, else a wheel.

    Args:
        names: Of packages.
        python: `3.12`.
        folder: Where the folders come to lie.

    Returns:
        By package, its version and whether it is compiled for this Python alone.
    """
    here = python == f"{sys.version_info.major}.{sys.version_info.minor}"
    found = {}
    for name in names:
        place = folder / name
        version = _installed(name, place) if here else _from_index(name, python, place)
        tagged = [path for path in place.rglob("*.so") if ".abi3." not in path.name and "cpython" in path.name]
        found[name] = {"version": version, "compiled": bool(tagged)}
    return found


def _installed(name: str, place: Path) -> str:
    found = distribution(name)
    for file in found.files or ():
        source = Path(str(found.locate_file(file)))
        if ".." not in file.parts and not _LEFT_OUT.search(str(file)) and source.is_file():
            (place / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, place / file)
    return found.version


def _from_index(name: str, python: str, place: Path) -> str:
    version = locked()[name]
    wheels = place.parent / ".wheels"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--implementation", "cp", "--python-version", python, "--dest", str(wheels), f"{name}=={version}"]
    subprocess.run([*command, *(f"--platform={tag}" for tag in PLATFORMS)], check=True)
    (wheel,) = wheels.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(place, [file for file in packed.namelist() if not _LEFT_OUT.search(file)])
    shutil.rmtree(wheels)
    return version
