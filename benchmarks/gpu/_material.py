"""What the whole runs of `make gpu` train on: a prepared data set, its split, and the runs' settings.

In a checkout it is what the suite's own workflow has prepared; on a bare machine, what a pack carries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _list import METHODS, ROOT
from _quantised import restore_dataset

from contrastseg.errors import DataError
from contrastseg.files import read_json
from contrastseg.paths import MANIFEST

SUITE = ROOT / "benchmarks" / "acdc.yaml"
RUNS = "runs.json"
PACK = "pack.json"
DATA = "data.tar.xz"
PHANTOMS = "phantoms"
SEED = 0
LABELS = "n7"


@dataclass(frozen=True)
class Material:
    """Data and settings of the whole runs.

    Attributes:
        prepared: Folder of the prepared data set.
        split: Split file.
        runs: `dataset`, `labels`, `seed`, `metrics`, and per method of `methods` the suite's configuration of its run.
        pack: What to mark every result with; empty for the complete data.
    """

    prepared: Path
    split: Path
    runs: dict[str, Any]
    pack: str = ""


def resolved(suite_file: Path, methods: Sequence[str], labels: str) -> dict[str, Any]:
    """The settings of these methods' runs on the first data set of a suite."""
    from contrastseg.planning.configuration import run_config
    from contrastseg.suite import load_suite

    suite = load_suite(suite_file)
    entry = suite.datasets[0].name
    return {
        "dataset": entry,
        "labels": labels,
        "seed": SEED,
        "metrics": list(suite.evaluation.metrics),
        "methods": {name: run_config(suite, entry, name, "default") for name in methods},
    }


def of_checkout(
    suite_file: Path = SUITE, prepared: Path | None = None, split: Path | None = None, labels: str = LABELS
) -> Material:
    """The complete data, where the suite's workflow leaves it unless other places are named.

    Raises:
        DataError: It is not prepared, or not split.
    """
    from contrastseg.planning.data_paths import prepared_of, split_of
    from contrastseg.suite import load_suite

    suite = load_suite(suite_file)
    prepared, split = prepared or prepared_of(suite.datasets[0]), split or split_of(suite, suite.datasets[0])
    for file in (prepared / MANIFEST, split):
        if not file.is_file():
            raise DataError(
                f"{suite.datasets[0].name} is not prepared here",
                file=file,
                remedy=f"snakemake --cores all --configfile {suite_file} {prepared / MANIFEST} {split}",
            )
    return Material(prepared, split, resolved(suite_file, METHODS, labels))


def of_pack(pack: Path, state: Path) -> Material:
    """The data of a pack, restored from its 8 bits below `state` once."""
    folder, mark = unpacked_data(pack, state), read_json(pack / PACK)["mark"]
    return Material(folder / "prepared", folder / "split.json", read_json(folder / RUNS), mark)


def unpacked_data(pack: Path, state: Path) -> Path:
    """The folder below `state` with a pack's data, its settings and the phantoms of the tests."""
    digest = read_json(pack / PACK)["sha256"][DATA]
    return restore_dataset(pack / DATA, state / f"data-{digest[:8]}")
