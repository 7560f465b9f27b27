"""Which data is here, which can be downloaded, and how many patients it has, before anything is prepared."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from contrastseg.data.download.download import download_folder, locate
from contrastseg.data.download.table import published_files
from contrastseg.data.readers.specs import DatasetSpec
from contrastseg.data.splits.splits import Population, population_of
from contrastseg.errors import DataError, UnavailableDataError
from contrastseg.paths import MANIFEST, RESOURCES
from contrastseg.planning.sources import Sources
from contrastseg.planning.stores import prepared_of
from contrastseg.suite import DatasetEntry, Options, Suite
from contrastseg.text import plural


def missing_data(suite: Suite, data_root: Path | None = None, resources: Path = RESOURCES) -> dict[str, str]:
    """Entries whose data is neither prepared, nor here, nor openly downloadable, each with the steps to get it."""
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
    """One message for all data that is not here."""
    listed = "\n".join(f"{name}: {steps}" for name, steps in missing.items())
    said = f"{plural(len(missing), 'data set')} {'is' if len(missing) == 1 else 'are'} not on this machine"
    return (
        f"{said}; nothing was started.\n{listed}\n"
        "Name the folder that holds them in CONTRASTSEG_DATA, or run the rest with --config skip_unavailable=true"
    )


def needs_download(spec: DatasetSpec, data_root: Path | None = None, resources: Path = RESOURCES) -> bool:
    """Whether a data set is to be (or was) downloaded, rather than generated or found in the user's folder."""
    try:
        return locate(spec, data_root, resources) == download_folder(spec, resources)
    except UnavailableDataError:
        return False
    except DataError:
        return True


def population(entry: DatasetEntry, sources: Sources | None = None) -> Population:
    """What an entry has to train on; how many patients is None while it is not known (before a download)."""
    return population_of(entry.split, (sources or Sources()).cohort(entry), subset=bool(entry.subset))


def data_root(options: Options, environment: Mapping[str, str], asked: Path | None = None) -> Path | None:
    """The user's folder of data sets, for the workflow and by hand alike.

    Args:
        options: A suite's own options, with what a command line says over them.
        environment: Where CONTRASTSEG_DATA may stand, for suites that say nothing.
        asked: What `--data-root` says; it comes first.

    Returns:
        The folder, absolute; None where nobody names one.
    """
    named = asked or options.data_root or environment.get("CONTRASTSEG_DATA")
    return Path(named).expanduser().resolve() if named else None
