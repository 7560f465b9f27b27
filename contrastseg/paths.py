"""Where the project's own files, prepared data, splits and scores lie, for every package."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Final

PACKAGE: Final = Path(str(files("contrastseg"))).resolve()
"""The package's own folder."""
CHECKOUT: Final = PACKAGE.parent
"""The repository, where the package lies in one."""
INSTALLED: Final = (PACKAGE / "_shipped").is_dir()
"""Whether this is the package of a wheel, which brings the repository's data files inside it (setup.py says which)."""
SHIPPED: Final = PACKAGE / "_shipped" if INSTALLED else CHECKOUT
"""The folder of Snakefile, workflow, profiles and benchmarks."""
MEASURED: Final = SHIPPED / "benchmarks" / "speed" / "results"
"""What steps were measured to take: `methods-<hardware>.csv`."""
RESOURCES = Path("resources")
MANIFEST: Final = "manifest.json"
"""Hashes of a prepared data set's cases: written last, so whoever finds it finds the whole set."""
SCORES: Final = "scores.parquet"
ENTERED: Final = "entered"
"""Folder of a suite's results with predictions of other trainers, beside `runs`. No rule writes predictions there."""
EXTERNAL: Final = "external"
"""The provenance of their rows."""


def prepared_folder(name: str, resources: Path = RESOURCES) -> Path:
    """Where prepared data lies; `contrastseg.data.prepare.stores` says under which name."""
    return resources / "prepared" / name


def split_file(name: str, resources: Path = RESOURCES) -> Path:
    """Where a split lies; `contrastseg.data.prepare.stores` says under which name."""
    return resources / "splits" / f"{name}.json"
