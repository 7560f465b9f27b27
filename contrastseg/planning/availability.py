"""Data on this machine, data to download, and its number of patients, before anything is prepared."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from contrastseg.data.download.download import download_folder, locate
from contrastseg.data.download.table import published_files
from contrastseg.data.readers.specs import DatasetSpec
from contrastseg.data.splits.splits import Population, population_of
from contrastseg.errors import DataError, UnavailableDataError
from contrastseg.paths import MANIFEST, RESOURCES
from contrastseg.planning.data_folders import DataFolders
from contrastseg.planning.data_paths import prepared_of
from contrastseg.suite import DatasetEntry, Options, Suite
from contrastseg.text import plural


def missing_data(suite: Suite, data_root: Path | None = None, resources: Path = RESOURCES) -> dict[str, str]:
    """Entries whose data is not prepared, not on this machine and not openly downloadable, with the steps to get it."""
    missing = {}
    for entry in suite.datasets:
        try:
            spec = entry.spec  # a folder in nnU-Net's layout is needed even when it is prepared: it says what it holds
            if not prepared_of(entry, resources).joinpath(MANIFEST).is_file():
                locate(spec, data_root, resources)
        except UnavailableDataError as error:
            missing[entry.name] = str(error)
        except DataError as error:
            if not published_files(entry.dataset):
                missing[entry.name] = str(error)
    return missing


def describe_missing(missing: Mapping[str, str]) -> str:
    """One message that lists all missing data."""
    listed = "\n".join(f"{name}: {steps}" for name, steps in missing.items())
    said = f"{plural(len(missing), 'data set')} {'is' if len(missing) == 1 else 'are'} not on this machine"
    return (
        f"{said}; no job was started.\n{listed}\n"
        "Fix: set CONTRASTSEG_DATA to the folder that holds them, or skip them with --config skip_unavailable=true"
    )


def needs_download(spec: DatasetSpec, data_root: Path | None = None, resources: Path = RESOURCES) -> bool:
    """Whether the workflow downloads a data set or did so; it may be generated or in the user's folder instead."""
    try:
        return locate(spec, data_root, resources) == download_folder(spec, resources)
    except UnavailableDataError:
        return False
    except DataError:
        return True


def population(entry: DatasetEntry, data_folders: DataFolders | None = None) -> Population:
    """Training patients and images of an entry; None where the number is unknown before a download."""
    return population_of(entry.split, (data_folders or DataFolders()).cohort(entry), subset=bool(entry.subset))


def data_root(options: Options, environment: Mapping[str, str], option: Path | None = None) -> Path | None:
    """The user's folder of data sets, for the workflow and by hand alike.

    Args:
        options: A suite's own options, with what a command line says over them.
        environment: Where CONTRASTSEG_DATA may stand, for suites that say nothing.
        option: `--data-root`; it comes first.

    Returns:
        The folder, absolute; None where none is named.
    """
    named = option or options.data_root or environment.get("CONTRASTSEG_DATA")
    return Path(named).expanduser().resolve() if named else None
