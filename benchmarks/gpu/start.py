"""Unpacks this pack and works off the list of `make gpu` on a machine where nothing can be installed.

Needs Python with torch, and what `pack.json` says the pack expects; the standard library is enough to start it.
Packages that the machine has, in a version that will do, are used from there; the others come from the pack.

    python3 gpu-pack/start.py --minutes 8 --output results/gpu
"""

import argparse
import hashlib
import json
import os
import platform
import re
import sys
import tarfile
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

HERE = Path(__file__).resolve().parent


def numbers(text):
    """`2.11.0+cu130` as (2, 11): what versions are compared by."""
    return tuple(int(part) for part in re.findall(r"\d+", text.partition("+")[0])[:2])


def has(name, oldest):
    """Whether the machine has a package in this version or a later one; any will do where it is empty."""
    try:
        return numbers(version(name)) >= numbers(oldest)
    except PackageNotFoundError:
        return False


def wanting(said):
    """Packages that must come from the pack, in the order of its list.

    Args:
        said: The content of `pack.json`.

    Raises:
        SystemExit: One that the pack does not have either, or has for another Python.
    """
    absent = [f"{name} {oldest}" for name, oldest in said["expected"].items() if not has(name, oldest)]
    if absent:
        sys.exit(f"this machine lacks {', '.join(absent)} or newer, and so does the pack. Fix: see docs/speed.md.")
    missing = {name for name, one in said["packages"].items() if name == one["of"] and not has(name, one["oldest"])}
    found = [name for name, one in said["packages"].items() if one["of"] in missing]
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    compiled = [name for name in found if said["packages"][name]["compiled"]]
    if compiled and (here, platform.machine()) != (said["python"], said["machine"]):
        sys.exit(
            f"the pack has {', '.join(compiled)} for Python {said['python']} on {said['machine']}, and this is Python "
            f"{here} on {platform.machine()}. Fix: make gpu-pack PACK_PYTHON={here}"
        )
    return found


def unpacked(name, digest, state):
    """The folder of an archive's content, unpacked once, after its checksum was seen to be right."""
    folder = state / f"{name.partition('.')[0]}-{digest[:8]}"
    if not folder.is_dir():
        state.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=state) as place:
            with tarfile.open(HERE / name) as archive:
                archive.extractall(Path(place) / "made", filter="data")
            os.replace(Path(place) / "made", folder)
    return folder


def main():
    """Check, unpack, and become the list's own program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("results/gpu"), help="folder of the results")
    parser.add_argument("--state", type=Path, help="folder of half-trained runs and logs; OUTPUT/state if unset")
    given, others = parser.parse_known_args()
    state = (given.state or given.output / "state").resolve()
    said = json.loads((HERE / "pack.json").read_text(encoding="utf-8"))
    for name, digest in said["sha256"].items():
        if hashlib.sha256((HERE / name).read_bytes()).hexdigest() != digest:
            sys.exit(f"{HERE / name} is not what was packed. Fix: copy the pack again.")
    packages = wanting(said)
    project = unpacked("project.tar.xz", said["sha256"]["project.tar.xz"], state)
    places = [project]
    if packages:
        folder = unpacked("packages.tar.xz", said["sha256"]["packages.tar.xz"], state)
        places += [folder / name for name in packages]
    print(f"from the pack: {', '.join(packages) or 'nothing'}", flush=True)
    path = os.pathsep.join([*map(str, places), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, str(project / "benchmarks" / "gpu" / "measure.py"), "--pack", str(HERE)]
    command += ["--output", str(given.output.resolve()), "--state", str(state), *others]
    os.execve(sys.executable, command, {**os.environ, "PYTHONPATH": path})


if __name__ == "__main__":
    main()
