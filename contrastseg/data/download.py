"""Where the published files of a data set are: found in the user's folder, or downloaded and checked."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from contrastseg.data import registry
from contrastseg.data.faults import room_on_disk
from contrastseg.data.specs import DatasetSpec
from contrastseg.errors import DataError, UnavailableDataError
from contrastseg.files import read_json, sha256, write_json

DATA_TABLE = Path(__file__).resolve().parents[2] / "benchmarks" / "datasets.csv"
_TRUSTED = "checksums.json"


class PublishedFile(NamedTuple):
    """A row of the data table; every column is text, empty where it is not known."""

    name: str
    version: str
    file: str
    address: str
    mirror: str
    sha256: str
    md5: str
    size: str
    licence: str
    registration: str
    citation: str


def published_files(dataset: str, table: Path = DATA_TABLE) -> list[PublishedFile]:
    """The rows of one data set.

    Raises:
        DataError: The table has other columns.
    """
    with open(table, newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != PublishedFile._fields:
            raise DataError(f"the data table's columns are not {', '.join(PublishedFile._fields)}", file=table)
        return [PublishedFile(**row) for row in reader if row["name"] == dataset]


def locate(dataset: str | DatasetSpec, data_root: str | Path | None, resources: str | Path) -> Path | None:
    """The folder with the published files: the user's own, which is never changed, before a downloaded one.

    Args:
        dataset: Name or spec.
        data_root: The user's folder of data sets (``CONTRASTSEG_DATA``), one sub-folder each.
        resources: The project's resources folder.

    Returns:
        The folder; None for generated data.

    Raises:
        UnavailableDataError: It is in neither place and needs an account, with the steps to get it.
        DataError: It is in neither place and can be downloaded.
    """
    spec = registry.get(dataset) if isinstance(dataset, str) else dataset
    if spec.generated or spec.folder is not None:
        return spec.folder
    if data_root is not None:
        for folder in (Path(data_root) / name for name in spec.folder_names):
            if folder.is_dir():
                return folder
    downloaded = download_folder(spec, resources)
    if (downloaded / _TRUSTED).is_file():
        return downloaded
    if spec.registration:
        steps = "; ".join(f"({number}) {step}" for number, step in enumerate(spec.registration, start=1))
        raise UnavailableDataError(
            f"{spec.title} needs an account and is not on this machine", case=spec.name, remedy=steps
        )
    raise DataError(
        f"{spec.title} is not on this machine", case=spec.name, remedy=f"run `contrastseg download {spec.name}`"
    )


def download_folder(spec: DatasetSpec, resources: str | Path) -> Path:
    """Where downloads of a data set go."""
    return Path(resources) / "raw" / spec.name


def download_dataset(
    dataset: str | DatasetSpec,
    data_root: str | Path | None,
    resources: str | Path,
    *,
    table: Path = DATA_TABLE,
    announce: Callable[[str], None] = print,
    progress: bool = False,
) -> Path | None:
    """Make sure the published files are on this machine; a complete download is checked, not repeated.

    Files without a published checksum are trusted on first use: their SHA-256 is recorded beside them, announced, and
    must be the same ever after.

    Returns:
        As `locate`.

    Raises:
        UnavailableDataError: The data set needs an account.
        DataError: A checksum is wrong, an address fails, or the disk is full.
    """
    spec = registry.get(dataset) if isinstance(dataset, str) else dataset
    try:
        return locate(spec, data_root, resources)
    except UnavailableDataError:
        raise
    except DataError:
        rows = published_files(spec.name, table)
    if not rows:
        raise DataError(f"the data table has no file of {spec.name}", file=table, remedy="add its addresses there")
    folder = download_folder(spec, resources)
    trusted_file = folder / f".{_TRUSTED}"  # complete only when it loses its dot: until then `locate` does not see it
    trusted = read_json(trusted_file) if trusted_file.is_file() else {}
    with room_on_disk(folder):
        for row in rows:
            path = _fetch(row, folder, trusted.get(row.file), progress)
            if row.file not in trusted:
                trusted[row.file] = sha256(path)
                if not row.sha256:
                    how = "checked by md5" if row.md5 else "no published checksum, trusted on first use"
                    announce(f"{row.file}: {how}, sha256 {trusted[row.file]}")
                write_json(trusted_file, trusted)
        trusted_file.rename(folder / _TRUSTED)
    return folder


def _fetch(row: PublishedFile, folder: Path, recorded: str | None, progress: bool) -> Path:
    import pooch  # type: ignore[import-untyped]
    import requests

    known = f"sha256:{row.sha256}" if row.sha256 else f"md5:{row.md5}" if row.md5 else None
    if recorded and not row.sha256:
        known = f"sha256:{recorded}"
    addresses = [address for address in (row.address, row.mirror) if address]
    failures = []
    for address in addresses:
        try:
            downloader = pooch.HTTPDownloader(progressbar=progress)
            return Path(pooch.retrieve(address, known, fname=row.file, path=folder, downloader=downloader))
        except (requests.RequestException, ValueError) as error:
            failures.append(f"{address}: {error}")
    raise DataError(
        "the file cannot be downloaded: " + "; ".join(failures),
        case=row.name,
        file=folder / row.file,
        remedy="a wrong checksum means a damaged or changed file; otherwise try again, or put the file there yourself",
    )
