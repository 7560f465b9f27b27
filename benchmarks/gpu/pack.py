"""One folder with all that the list of `make gpu` needs where nothing can be downloaded: `make gpu-pack`.

The folder holds this project's code, the packages that a bare machine with torch lacks, the slices of the patients
with labels, of some without and of those tested on, in 8 bits, and `start.py`, which works off the list there. Every
result of that data carries the mark `8-bit subset`. It takes 40 MiB at most: beyond that nothing is written.

    make gpu-pack PACK_PYTHON=3.12 PACK_THERE="numpy scipy pandas"
    python3 results/gpu-pack/start.py --minutes 8          # on the other machine

Example: `python benchmarks/gpu/pack.py --python 3.12 --unlabelled 7`
"""

from __future__ import annotations

import argparse
import lzma
import os
import platform
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from _list import HERE, ROOT
from _material import DATA, LABELS, PACK, PHANTOMS, RUNS, SUITE, of_checkout
from _packages import bounds, gather, needed
from _quantised import MARK, chosen, store_dataset

from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.splits.split_files import Split
from contrastseg.errors import ContrastsegError
from contrastseg.files import sha256, write_json
from contrastseg.training.records import git_commit
from tests.phantoms import make_phantoms

LIMIT_MIB = 40.0
PROJECT = (
    *("contrastseg", "benchmarks/gpu", "benchmarks/speed", "pyproject.toml", "LICENSE"),
    *("tests/gpu", "tests/device_steps.py", "tests/phantoms.py", "tests/pretended.py", "tests/rehearsal.py"),
)


def project_files(root: Path = ROOT) -> list[Path]:
    """What the list needs of the project: code, and no results."""
    found = []
    for name in PROJECT:
        place = root / name
        found += [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file()]
    return sorted(path for path in found if "__pycache__" not in path.parts and path.suffix != ".csv")


def compress(folder: Path, archive: Path, files: Sequence[Path] | None = None) -> None:
    """A folder, or some files of it, as a tar file that names no user and no time."""

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        member.mtime = 0
        return member

    listed = sorted(path for path in folder.rglob("*") if path.is_file()) if files is None else files
    with lzma.open(archive, "wb", preset=6) as packed, tarfile.open(fileobj=packed, mode="w") as tar:
        for path in listed:
            tar.add(path, str(path.relative_to(folder)), filter=plain)


def check_size(sizes: Mapping[str, int], limit_mib: float = LIMIT_MIB) -> None:
    """Refuse a pack that is too large.

    Raises:
        SystemExit: It is, with the size of each part and what makes it smaller.
    """
    total = sum(sizes.values()) / 2**20
    if total > limit_mib:
        shown = ", ".join(f"{name} {size / 2**20:.1f}" for name, size in sorted(sizes.items()))
        sys.exit(
            f"the pack would take {total:.1f} MiB, {limit_mib:g} are allowed: {shown}. Fix: name packages that the "
            'machine has, PACK_THERE="numpy scipy pandas h5py", or take fewer patients, PACK_UNLABELLED=0'
        )


def make(given: argparse.Namespace) -> dict[str, Any]:
    """Write the pack; what `pack.json` says."""
    material = of_checkout(given.suite, given.prepared, given.split, given.labels)
    dataset, split = PreparedDataset(material.prepared), Split.from_file(material.split)
    patients = chosen(split, given.labels, given.unlabelled)
    packages, oldest = needed(given.there), bounds()
    given.output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=given.output.parent) as place:
        work, made = Path(place), Path(place) / "made"
        made.mkdir()
        print(f"data: {', '.join(f'{len(group)} {part}' for part, group in patients.items())}", flush=True)
        store_dataset(dataset, split, patients, work / "data")
        write_json(work / "data" / RUNS, material.runs)
        make_phantoms(work / "data" / PHANTOMS)
        compress(work / "data", made / DATA)
        print(f"packages for Python {given.python}: {', '.join(packages)}", flush=True)
        (work / "packages").mkdir()
        taken = gather(packages, given.python, work / "packages")
        compress(work / "packages", made / "packages.tar.xz")
        compress(ROOT, made / "project.tar.xz", project_files())
        shutil.copy(HERE / "start.py", made)
        said = {
            "mark": MARK,
            "commit": git_commit(),
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "python": given.python,
            "machine": platform.machine(),
            "expected": {name: oldest.get(name, "") for name in ("torch", *given.there)},
            "packages": {
                name: {**taken[name], "of": of, "oldest": oldest.get(name, "")} for name, of in packages.items()
            },
            "patients": patients,
            "sha256": {file.name: sha256(file) for file in sorted(made.glob("*.tar.xz"))},
        }
        write_json(made / PACK, said)
        check_size({file.name: file.stat().st_size for file in made.iterdir()}, given.limit_mib)
        if given.output.exists():
            shutil.rmtree(given.output)
        os.replace(made, given.output)
    return said


def main() -> None:
    """Make the pack and say how large it is."""
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=here, help="version of the other machine's Python")
    parser.add_argument("--there", nargs="*", default=["numpy", "scipy"], help="packages it has beside torch")
    parser.add_argument("--labels", default=LABELS, help="label budget")
    parser.add_argument("--unlabelled", type=int, default=7, help="patients without labels, the next of the order")
    parser.add_argument("--suite", type=Path, default=SUITE)
    parser.add_argument("--prepared", type=Path, help="prepared folder; the entry's in resources/ where left out")
    parser.add_argument("--split", type=Path, help="split file, likewise")
    parser.add_argument("--limit-mib", type=float, default=LIMIT_MIB)
    parser.add_argument("--output", type=Path, default=Path("results/gpu-pack"), help="folder of the pack")
    given = parser.parse_args()
    try:
        said = make(given)
    except ContrastsegError as error:
        sys.exit(f"{error}")
    sizes = {file.name: file.stat().st_size / 2**20 for file in sorted(given.output.iterdir())}
    print("\n".join(f"{size:8.2f} MiB  {name}" for name, size in sizes.items()))
    print(f"{sum(sizes.values()):8.2f} MiB in {given.output}, unlabelled: {', '.join(said['patients']['unlabelled'])}")


if __name__ == "__main__":
    main()
