"""Data that is not a file at an address: fetched from Synapse with the user's own account, or from TCIA's catalogue."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from contrastseg.data.download.http import TransferError, part_path
from contrastseg.data.download.table import PublishedFile
from contrastseg.data.faults import require_room
from contrastseg.errors import UnavailableDataError

TOKEN = "SYNAPSE_AUTH_TOKEN"
# The present interface, and the older one of the same catalogue.
NBIA = (
    "https://nbia.cancerimagingarchive.net/nbia-api/services/v4",
    "https://services.cancerimagingarchive.net/nbia-api/services/v1",
)
_TIMEOUT_S = 120.0


def fetch_from_synapse(
    entity: str, target: Path, *, size: int | None = None, environment: Mapping[str, str] = os.environ
) -> Path:
    """Download a file of Synapse to the ``.part`` file of `target`, which the caller checks and renames.

    The account is the user's: its personal access token is read from the environment variable SYNAPSE_AUTH_TOKEN and
    given to the client, and appears in no message, file or log.

    Args:
        entity: Synapse's number of the file, such as ``syn1234``.
        target: The file it will become.
        size: Its size in bytes, where it is known beforehand.
        environment: Where the token is looked up.

    Raises:
        UnavailableDataError: There is no token, or the package synapseclient is not installed.
        TransferError: Synapse refuses, for example because the account has not joined the challenge.
        DataError: It does not fit on the disk.
    """
    token = environment.get(TOKEN, "").strip()
    if not token:
        raise UnavailableDataError(
            f"{target.name} comes from Synapse, which needs an account",
            remedy=f"make a personal access token (scopes view and download) at https://www.synapse.org "
            f"and put it into {TOKEN}",
        )
    try:
        import synapseclient
        from synapseclient import operations
    except ImportError as error:
        raise UnavailableDataError(
            f"{target.name} comes from Synapse, which needs the package synapseclient",
            remedy="pip install 'contrastseg[clients]'",
        ) from error
    if size is not None:
        require_room(target.parent, size, target.name)
    folder = target.with_name(f".{target.name}.synapse")
    folder.mkdir(parents=True, exist_ok=True)
    failure = None
    try:
        client = synapseclient.Synapse(
            silent=True, skip_checks=True, cache_client=False, cache_root_dir=str(folder / "cache")
        )
        client.login(authToken=token, silent=True)
        where = operations.FileOptions(download_location=str(folder), if_collision="overwrite.local")
        fetched: Any = operations.get(entity, file_options=where, synapse_client=client)
        os.replace(fetched.path, part_path(target))
    except Exception as error:  # the client has errors of many kinds, and any of them may hold the token
        failure = f"{type(error).__name__}: {error}".replace(token, "***")
    if failure is not None:  # outside the handler: the error above must not hang on this one as its context
        raise TransferError(
            f"Synapse does not give {entity}: {failure}",
            file=target,
            remedy="check that the token is valid and that its account has joined the challenge and accepted its terms",
        )
    shutil.rmtree(folder, ignore_errors=True)
    return part_path(target)


def tcia_series(row: PublishedFile, catalogues: tuple[str, ...] | None = None) -> list[PublishedFile]:
    """The image series of a public collection of The Cancer Imaging Archive, as files to download and unpack.

    Args:
        row: The row of the collection.
        catalogues: Base addresses of the interface, those of TCIA by default; the first that answers is asked, all
            of them serve the files.

    Returns:
        A row for each series: a zip, unpacked into ``<unpack>/<patient>/<series>``.

    Raises:
        TransferError: No catalogue answers, or not with a list of series.
    """
    import requests

    collection, failures = row.client.partition(":")[2], []
    catalogues = NBIA if catalogues is None else catalogues
    for base in catalogues:
        try:
            answer = requests.get(f"{base}/getSeries", params={"Collection": collection}, timeout=_TIMEOUT_S)
            answer.raise_for_status()
            listed = answer.json()
            series = [_series(row, item, catalogues) for item in listed]
        except (requests.RequestException, ValueError, KeyError, TypeError) as error:
            failures.append(f"{base}: {error}")
            continue
        if series:
            return sorted(series, key=lambda one: one.file)
        failures.append(f"{base}: it knows no series of {collection}")
    raise TransferError(
        f"the list of {collection} cannot be read: {'; '.join(failures)}",
        case=row.name,
        remedy="try again later, or get the collection with the NBIA Data Retriever of "
        "https://www.cancerimagingarchive.net",
    )


def _series(row: PublishedFile, item: Mapping[str, Any], catalogues: tuple[str, ...]) -> PublishedFile:
    uid = str(item["SeriesInstanceUID"])
    if not re.fullmatch(r"[0-9.]{1,64}", uid):
        raise ValueError(f"{uid!r} is not a series")
    addresses = [f"{base}/getImage?SeriesInstanceUID={uid}" for base in catalogues]
    return PublishedFile(
        **{
            **row.model_dump(),
            "file": f"{uid}.zip",
            "address": addresses[0],
            "mirror": " ".join(addresses[1:]),
            "unpack": f"{row.unpack or '.'}/{item['PatientID']}/{uid}".removeprefix("./"),
            "client": "",
        }
    )


def can_fetch(row: PublishedFile, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the row can be had without a person: it is open, or its client has the account's token."""
    if row.client.startswith("synapse:"):
        return bool(environment.get(TOKEN, "").strip())
    return bool(row.client or row.file)


def client_step(row: PublishedFile) -> str:
    """A step for a person: how a client gets what is behind a registration; empty where none does."""
    if not row.client.startswith("synapse:"):
        return ""
    return (
        f"or, once the account has joined, let `contrastseg download {row.name}` fetch it: "
        f"`pip install 'contrastseg[clients]'`, and put a personal access token (scopes view and download) into {TOKEN}"
    )
