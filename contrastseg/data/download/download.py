"""Where the published files of a data set are: found in the user's folder, or downloaded, checked and unpacked."""

from __future__ import annotations

import dataclasses
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from contrastseg.data.download.archives import unpack
from contrastseg.data.download.clients import can_fetch, client_step, fetch_from_synapse, tcia_series
from contrastseg.data.download.http import Report, Sleep, TransferError, discard, fetch, part_path
from contrastseg.data.download.table import DATA_TABLE, PublishedFile, published_files
from contrastseg.data.faults import Faults, require_room, wrap_disk_errors
from contrastseg.data.readers.specs import DatasetSpec
from contrastseg.data.registry import registry
from contrastseg.data.registry.described import missing_folder
from contrastseg.errors import DataError, UnavailableDataError, redacted
from contrastseg.files import md5, read_json, sha256, write_json

AT_ONCE = 4
_TRUSTED = "checksums.json"
_UNFINISHED = f".{_TRUSTED}"  # complete only when it loses its dot: until then `locate` does not see it


def locate(
    dataset: str | DatasetSpec, data_root: str | Path | None, resources: str | Path, table: Path = DATA_TABLE
) -> Path | None:
    """The folder with the published files: the user's own, which is never changed, before a downloaded one.

    Args:
        dataset: Name or spec.
        data_root: The user's folder of data sets (``CONTRASTSEG_DATA``), one sub-folder each.
        resources: The project's resources folder.
        table: The data table.

    Returns:
        The folder; None for generated data.

    Raises:
        UnavailableDataError: It is in neither place, and needs an account (with the steps to get it), or no address is
            known.
        DataError: It is in neither place and can be downloaded.
    """
    spec = registry.get(dataset) if isinstance(dataset, str) else dataset
    if spec.folder is not None and not spec.folder.is_dir():
        raise missing_folder(spec.folder)
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
        steps = "; ".join(f"({number}) {step}" for number, step in enumerate(registration_steps(spec), start=1))
        raise UnavailableDataError(
            f"{spec.title} needs an account and is not on this machine", case=spec.name, remedy=steps
        )
    if not published_files(spec.name, table):
        places = " or ".join(f"$CONTRASTSEG_DATA/{name}" for name in spec.folder_names)
        raise UnavailableDataError(
            f"{spec.title} is not on this machine, and no address of it is known",
            case=spec.name,
            remedy=f"put its folder at {places}",
        )
    raise DataError(
        f"{spec.title} is not on this machine", case=spec.name, remedy=f"run `contrastseg download {spec.name}`"
    )


def registration_steps(spec: DatasetSpec, table: Path = DATA_TABLE) -> tuple[str, ...]:
    """What a person does to get data behind a registration; nothing for open data."""
    if not spec.registration:
        return ()
    clients = (client_step(row) for row in published_files(spec.name, table))
    return (*spec.registration, *filter(None, clients))


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
    progress: Report | None = None,
    sleep: Sleep | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Path | None:
    """Make sure the published files are on this machine; a complete download is not repeated.

    Several files are fetched at once, each resumed where an earlier download was cut off, tried at its mirrors in turn,
    checked, and unpacked; archives stay beside what came out of them. Files without a published checksum are trusted
    on first use: their SHA-256 is recorded beside them, announced, and must be the same ever after. A second process
    that wants the same data set waits for the first.

    Args:
        dataset: Name or spec.
        data_root: The user's folder of data sets.
        resources: The project's resources folder.
        table: The data table.
        announce: Takes what a person should know.
        progress: Called with (bytes there, bytes in all or None), from several threads in turn.
        sleep: Waits some seconds between two attempts.
        environment: Where clients find the user's token.

    Returns:
        As `locate`.

    Raises:
        UnavailableDataError: The data set needs an account that is not at hand.
        DataError: A checksum is wrong, an address fails, an archive is not to be trusted, or the disk is full.
    """
    from filelock import FileLock, Timeout

    spec = registry.get(dataset) if isinstance(dataset, str) else dataset
    try:
        return locate(spec, data_root, resources, table)
    except UnavailableDataError:
        rows = published_files(spec.name, table)
        if not rows or not all(can_fetch(row, environment) for row in rows):
            raise
    except DataError:
        rows = published_files(spec.name, table)
    folder = download_folder(spec, resources)
    with wrap_disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            announce(f"{spec.name}: another process downloads it, waiting")
            lock.acquire()
        try:
            if not (folder / _TRUSTED).is_file():
                _Downloads(folder, announce, progress, sleep, environment).run(rows)
        finally:
            lock.release()
    return folder


@dataclasses.dataclass
class _Downloads:
    """The files of one data set on their way, under the lock of its folder."""

    folder: Path
    announce: Callable[[str], None]
    progress: Report | None
    sleep: Sleep | None
    environment: Mapping[str, str]
    stop: threading.Event = dataclasses.field(default_factory=threading.Event)
    mutex: threading.Lock = dataclasses.field(default_factory=threading.Lock)
    counts: dict[str, tuple[int, int | None]] = dataclasses.field(default_factory=dict)
    recorded: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)

    def run(self, rows: list[PublishedFile]) -> None:
        """Fetch what is missing, all of it even where one file fails; then unpack; then say that it is complete."""
        if (self.folder / _UNFINISHED).is_file():
            self.recorded = read_json(self.folder / _UNFINISHED)
        rows = [file for row in rows for file in (tcia_series(row) if row.client.startswith("tcia:") else [row])]
        missing = [row for row in rows if not (self.folder / row.file).is_file()]
        there = sum(path.stat().st_size for row in missing if (path := part_path(self.folder / row.file)).is_file())
        require_room(self.folder, sum(row.size or 0 for row in missing) - there, "the files")
        self.counts = {row.file: (0, row.size) for row in rows}
        faults = Faults()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            tasks = {pool.submit(self.obtain, row): row for row in rows}
            try:
                for task in as_completed(tasks):
                    with faults.collect():
                        self.record(tasks[task], task.result())
            except BaseException:
                self.stop.set()
                pool.shutdown(cancel_futures=True)
                raise
        faults.raise_any()
        for row in rows:
            self.unpack(row)
        (self.folder / _UNFINISHED).rename(self.folder / _TRUSTED)

    def obtain(self, row: PublishedFile) -> str:
        """Have the file, checked; returns its SHA-256."""
        target = self.folder / row.file
        if target.is_file():
            checksum, wrong = self.check(row, target)
            if wrong is None:
                self.report(row, target.stat().st_size, target.stat().st_size)
                return checksum
            self.say(f"{row.file}: {wrong}; downloaded again")
        failures = []
        for address in (row.client,) if row.client else row.addresses:
            try:
                checksum = self.fetch(row, address, target)
            except TransferError as error:
                failures.append(error)
                if self.stop.is_set():
                    break
                continue
            if failures:
                self.say(f"{row.file}: taken from {address}, because {'; '.join(fail.reason for fail in failures)}")
            return checksum
        remedies = [error.remedy for error in failures if error.remedy]
        raise DataError(
            "the file cannot be downloaded: " + "; ".join(error.reason for error in failures),
            case=row.name,
            file=target,
            remedy=remedies[0]
            if remedies
            else "a wrong checksum means a damaged or changed file; otherwise try again, what is there is kept; "
            "or put the file there yourself",
        )

    def fetch(self, row: PublishedFile, address: str, target: Path) -> str:
        """Download from one address; the file gets its name only when it is whole and the right one."""
        if row.client:
            entity = row.client.partition(":")[2]
            part = fetch_from_synapse(entity, target, size=row.size, environment=self.environment)
        else:
            checked = bool(row.sha256 or row.md5 or self.known(row))
            report = lambda done, whole: self.report(row, done, whole)  # noqa: E731
            part = fetch(
                address, target, size=row.size, checked=checked, report=report, stop=self.stop, sleep=self.sleep
            )
        checksum, wrong = self.check(row, part)
        if wrong is not None:
            discard(target)
            raise TransferError(f"{address}: {wrong}", file=target)
        os.replace(part, target)
        discard(target)
        return checksum

    def known(self, row: PublishedFile) -> str | None:
        """The SHA-256 recorded at an earlier, interrupted download."""
        record = self.recorded.get(row.file)
        return None if record is None else str(record["sha256"])

    def check(self, row: PublishedFile, path: Path) -> tuple[str, str | None]:
        """(SHA-256, what is wrong with the file)."""
        checksum = sha256(path)
        expected = row.sha256 or self.known(row)
        if row.size is not None and path.stat().st_size != row.size:
            return checksum, f"the file has {path.stat().st_size} bytes, not {row.size}"
        if expected and checksum != expected:
            return checksum, f"wrong checksum: sha256 {checksum}, not {expected}"
        if row.md5 and not row.sha256 and (other := md5(path)) != row.md5:
            return checksum, f"wrong checksum: md5 {other}, not {row.md5}"
        return checksum, None

    def record(self, row: PublishedFile, checksum: str) -> None:
        """Remember a whole file, and what it was checked by."""
        if row.file in self.recorded and self.recorded[row.file]["sha256"] == checksum:
            return
        if not row.sha256:
            how = "checked by md5" if row.md5 else "no published checksum, trusted on first use"
            self.say(f"{row.file}: {how}, sha256 {checksum}")
        self.recorded[row.file] = {"sha256": checksum}
        write_json(self.folder / _UNFINISHED, self.recorded)

    def unpack(self, row: PublishedFile) -> None:
        """Unpack an archive, once."""
        mark = self.recorded[row.file]
        if not row.unpack or mark.get("unpacked") is not None:
            return
        done = unpack(self.folder / row.file, self.folder / row.unpack)
        if done.left_out:
            self.say(f"{row.file}: {done.left_out} files that macOS keeps for itself are left in the archive")
        mark["unpacked"] = done.files
        write_json(self.folder / _UNFINISHED, self.recorded)

    def say(self, line: str) -> None:
        """Announce, one thread at a time."""
        with self.mutex:
            self.announce(redacted(line))

    def report(self, row: PublishedFile, done: int, whole: int | None) -> None:
        """Add up the bytes of all files."""
        if self.progress is not None:
            with self.mutex:
                self.counts[row.file] = (done, whole)
                totals = [whole for _, whole in self.counts.values()]
                known = sum(whole or 0 for whole in totals)
                self.progress(sum(done for done, _ in self.counts.values()), None if None in totals else known)
