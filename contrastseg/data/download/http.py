"""One file over HTTP: resumed where it was cut off, tried again while the server is busy, and never half of it."""

from __future__ import annotations

import dataclasses
import datetime
import email.utils
import math
import os
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from contrastseg.data.faults import require_room
from contrastseg.errors import DataError, FileError, redacted
from contrastseg.files import read_json, write_json

if TYPE_CHECKING:
    import requests

Report = Callable[[int, int | None], None]
Sleep = Callable[[float], object]

_PIECE = 1 << 16  # what a broken connection loses at most
_PROGRESS = 1 << 20
_BUSY = frozenset({408, 429, 500, 502, 503, 504})
_MEDIA_THAT_SAY_NO = ("text/html", "application/xhtml+xml")


class TransferError(DataError):
    """A file that one address does not give; another address may."""


@dataclasses.dataclass(frozen=True)
class RetryPolicy:
    """How long an address is tried.

    Attributes:
        attempts: Failures in a row, without a megabyte gained, until it is given up.
        first_wait_s: After the first failure; doubled after each further one.
        longest_wait_s: The longest wait, also where the server asks for more.
        timeout_s: Of the connection, and between two pieces.
    """

    attempts: int = 6
    first_wait_s: float = 1.0
    longest_wait_s: float = 300.0
    timeout_s: float = 60.0


_RETRY_POLICY = RetryPolicy()


@dataclasses.dataclass(frozen=True)
class _Resumption:
    """What the bytes in the ``.part`` file belong to."""

    address: str
    validator: str | None
    size: int | None


class _Cut(Exception):
    """An attempt that another one may finish."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


def part_path(target: Path) -> Path:
    """Where the bytes of `target` are kept until they are all there and checked."""
    return target.with_name(f"{target.name}.part")


def fetch(
    address: str,
    target: Path,
    *,
    size: int | None = None,
    checked: bool = False,
    report: Report | None = None,
    stop: threading.Event | None = None,
    retry_policy: RetryPolicy = _RETRY_POLICY,
    sleep: Sleep | None = None,
) -> Path:
    """Download `address` to the ``.part`` file of `target`, which the caller checks and renames.

    An interrupted download goes on where it was cut off, if the server says that the file is still the same (ETag or
    Last-Modified, asked for with If-Range); in every other case it starts again.

    Args:
        address: http or https.
        target: The file it will become.
        size: Its size in bytes, where it is known beforehand.
        checked: Whether the caller knows a checksum. Without one, a server that does not say how long the file is
            cannot be believed that it was all.
        report: Called with (bytes there, bytes in all or None).
        stop: Ends the download when it is set; what is there stays.
        retry_policy: Attempts and waits.
        sleep: Waits some seconds; until `stop` is set by default.

    Returns:
        The ``.part`` file, whole.

    Raises:
        TransferError: The address does not give the file.
        DataError: It does not fit on the disk.
    """
    download = _Download(address, target, size, checked, report, stop or threading.Event(), retry_policy)
    target.parent.mkdir(parents=True, exist_ok=True)
    download.fetch_with_retries(download.stop.wait if sleep is None else sleep)
    return download.part


def discard(target: Path) -> None:
    """Forget what was downloaded of `target`."""
    part_path(target).unlink(missing_ok=True)
    _state_path(part_path(target)).unlink(missing_ok=True)


@dataclasses.dataclass(frozen=True)
class _Download:
    """The arguments of `fetch`."""

    address: str
    target: Path
    size: int | None
    checked: bool
    report: Report | None
    stop: threading.Event
    retry_policy: RetryPolicy

    @property
    def part(self) -> Path:
        return part_path(self.target)

    def error(self, reason: str) -> TransferError:
        return TransferError(f"{self.address}: {reason}", file=self.target)

    def fetch_with_retries(self, sleep: Sleep) -> None:
        """Try until the file is whole, or the policy allows no further attempt."""
        import requests

        failures, furthest, retry_policy = 0, _bytes_in(self.part), self.retry_policy
        with requests.Session() as session:
            while True:
                try:
                    return self.attempt(session)
                except _Cut as error:
                    cut = error
                except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
                    cut = _Cut(f"the connection broke ({error})")
                except requests.RequestException as error:
                    raise self.error(str(error)) from error
                reached = _bytes_in(self.part)
                failures = 1 if reached >= furthest + _PROGRESS else failures + 1
                furthest = max(furthest, reached)
                if failures >= retry_policy.attempts:
                    raise self.error(f"{cut}; given up after {failures} attempts in a row")
                if cut.wait is not None and cut.wait > retry_policy.longest_wait_s:
                    raise self.error(f"{cut}; it asks to come back in {cut.wait:.0f} s")
                own = min(retry_policy.first_wait_s * 2 ** (failures - 1), retry_policy.longest_wait_s)
                sleep(own if cut.wait is None else cut.wait)
                if self.stop.is_set():
                    raise self.error("stopped")

    def attempt(self, session: requests.Session) -> None:
        """Ask once, for the rest or for all of it."""
        state = _resumption(self.part, self.address)
        offset = _bytes_in(self.part) if state is not None else 0
        if state is not None and offset == state.size:
            return
        headers = {"Accept-Encoding": "identity"}
        if state is not None and state.validator is not None and offset:
            headers |= {"Range": f"bytes={offset}-", "If-Range": state.validator}
        with session.get(self.address, headers=headers, stream=True, timeout=self.retry_policy.timeout_s) as response:
            self.refuse_or_retry(response)
            if response.status_code == 206:
                whole = self.rest(response, state, offset)
            else:
                whole, offset = _length(response), 0
                self.part.write_bytes(b"")
                write_json(
                    _state_path(self.part), vars(_Resumption(redacted(self.address), _validator(response), whole))
                )
            if self.size is not None and whole is not None and whole != self.size:
                discard(self.target)
                raise self.error(f"the file has {whole} bytes, {self.size} are expected")
            if whole is not None:
                require_room(self.target.parent, whole - offset, self.target.name)
            offset = self.receive(response, offset, whole)
        if whole is not None and offset != whole:
            raise _Cut(f"{offset} of {whole} bytes came")
        chunked = "chunked" in response.headers.get("Transfer-Encoding", "").lower()
        if whole is None and not chunked and not self.checked and offset != self.size:
            discard(self.target)
            raise self.error("the server does not say how long the file is, and no checksum is known")

    def refuse_or_retry(self, response: requests.Response) -> None:
        """Go on only where the server sends the file, or the rest of it."""
        status = response.status_code
        answer = f"the server answers {status} {response.reason}"
        if status in _BUSY:
            raise _Cut(answer, _retry_after(response))
        if status == 416:
            discard(self.target)
            raise _Cut("the server does not have the rest of the file: it has changed")
        if status not in (200, 206):
            raise self.error(answer)
        if response.headers.get("Content-Type", "").partition(";")[0].strip() in _MEDIA_THAT_SAY_NO:
            raise self.error("the server sent a web page instead of the file")

    def rest(self, response: requests.Response, state: _Resumption | None, offset: int) -> int | None:
        """The size of the whole file, when what is sent is the rest of what is there."""
        content_range = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if state is not None and content_range is not None and int(content_range[1]) == offset:
            whole = state.size if content_range[2] == "*" else int(content_range[2])
            etag = response.headers.get("ETag", state.validator)
            same_version = etag == state.validator or not str(state.validator).startswith('"')
            if same_version and state.size in (None, whole):
                return whole
        discard(self.target)
        raise _Cut("the server sent a part of another file")

    def receive(self, response: requests.Response, offset: int, whole: int | None) -> int:
        """Append what comes; returns how many bytes are there."""
        with open(self.part, "ab") as file:
            for piece in response.iter_content(_PIECE):
                file.write(piece)
                offset += len(piece)
                if self.report is not None:
                    self.report(offset, whole)
                if self.stop.is_set():
                    raise _Cut("stopped")
            file.flush()
            os.fsync(file.fileno())
        return offset


def _length(response: requests.Response) -> int | None:
    length = response.headers.get("Content-Length", "")
    encoded = response.headers.get("Content-Encoding", "identity").lower() not in ("", "identity")
    return int(length) if length.isdigit() and not encoded else None


def _validator(response: requests.Response) -> str | None:
    """What tells this version of the file from another: a strong ETag, else the time of its last change."""
    etag = response.headers.get("ETag", "")
    if etag.startswith('"'):
        return etag
    return response.headers.get("Last-Modified")


def _retry_after(response: requests.Response) -> float | None:
    asked = response.headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d+", asked):
        return float(asked)
    try:
        moment = email.utils.parsedate_to_datetime(asked)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return float(max(0, math.ceil((moment - datetime.datetime.now(datetime.UTC)).total_seconds())))


def _resumption(part: Path, address: str) -> _Resumption | None:
    """What the bytes at hand belong to; None when they are of another address, or nobody knows."""
    if not part.is_file() or not _state_path(part).is_file():
        return None
    try:
        state = _Resumption(**read_json(_state_path(part)))
    except (TypeError, FileError):
        return None
    too_many = state.size is not None and _bytes_in(part) > state.size
    return None if state.address != redacted(address) or too_many else state


def _state_path(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _bytes_in(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0
