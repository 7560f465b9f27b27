"""Downloads over a real connection to a server that breaks off, lies and is busy."""

from __future__ import annotations

import datetime
import email.utils
import shutil
import threading
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from contrastseg.data.download.http import RetryPolicy, TransferError, discard, fetch, part_path
from contrastseg.errors import DataError
from tests.serving import Answer, Site, serving

CONTENT = np.random.default_rng(0).bytes(3_000_000)
PIECE = 1 << 16  # connections break between two pieces here: of a broken one nothing is kept
SHORT = 19 * PIECE


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as running:
        running.files["a.zip"] = CONTENT
        yield running


class Pauses(list):
    """What a download waits for, without waiting."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def get(site: Site, folder: Path, pauses: Pauses | None = None, **options: object) -> bytes:
    sleep = Pauses() if pauses is None else pauses
    return fetch(site.url("a.zip"), folder / "a.zip", sleep=sleep, **options).read_bytes()  # type: ignore[arg-type]


def test_a_whole_file_is_left_as_a_part_for_the_caller_to_check(site: Site, tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    assert get(site, tmp_path, report=lambda done, whole: told.append((done, whole))) == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert not (tmp_path / "a.zip").exists()
    assert site.asked == [("a.zip", None, None)]
    discard(tmp_path / "a.zip")
    assert list(tmp_path.iterdir()) == []


def test_a_dropped_connection_is_resumed_where_it_broke(site: Site, tmp_path: Path) -> None:
    site.answers["a.zip"] = [Answer(cut=SHORT), Answer(cut=PIECE)]
    pauses = Pauses()
    assert get(site, tmp_path, pauses) == CONTENT
    etag = site.etag("a.zip")
    first, second, third = site.asked
    assert first == ("a.zip", None, None)
    assert second == ("a.zip", f"bytes={SHORT}-", etag)
    assert third == ("a.zip", f"bytes={SHORT + PIECE}-", etag)
    assert pauses == [1.0, 2.0]


def test_a_killed_download_is_resumed_by_the_next_process(site: Site, tmp_path: Path) -> None:
    site.answers["a.zip"] = [Answer(cut=SHORT)]
    with pytest.raises(TransferError, match="given up"):
        get(site, tmp_path, retry_policy=RetryPolicy(attempts=1))
    assert part_path(tmp_path / "a.zip").stat().st_size == SHORT
    assert get(site, tmp_path) == CONTENT
    assert site.asked[1][1] == f"bytes={SHORT}-"


def test_a_whole_part_that_was_not_renamed_is_not_asked_for_again(site: Site, tmp_path: Path) -> None:
    get(site, tmp_path)
    assert get(site, tmp_path) == CONTENT
    assert len(site.asked) == 1


def test_a_server_that_ignores_ranges_sends_all_of_it_again(site: Site, tmp_path: Path) -> None:
    site.answers["a.zip"] = [Answer(cut=SHORT), Answer(ranges=False)]
    assert get(site, tmp_path) == CONTENT
    assert site.asked[1][1] == f"bytes={SHORT}-"


@pytest.mark.parametrize("longer", [0, 1000])
def test_a_file_that_changes_between_two_attempts_starts_again(site: Site, tmp_path: Path, longer: int) -> None:
    other = CONTENT[::-1] + bytes(longer)
    site.answers["a.zip"] = [Answer(cut=SHORT), Answer(before=lambda: site.files.update({"a.zip": other}))]
    assert get(site, tmp_path) == other


def test_a_part_of_another_version_is_not_appended(site: Site, tmp_path: Path) -> None:
    """Some servers heed Range and not If-Range."""
    changed = Answer(headers={"ETag": '"another"'})
    shifted = Answer(headers={"Content-Range": f"bytes 7-{len(CONTENT) - 1}/{len(CONTENT)}"})
    for odd in (changed, shifted):
        discard(tmp_path / "a.zip")
        site.asked.clear()
        site.answers["a.zip"] = [Answer(cut=SHORT), odd]
        assert get(site, tmp_path) == CONTENT
        assert [asked for _, asked, _ in site.asked] == [None, f"bytes={SHORT}-", None]


def test_without_a_mark_of_its_version_a_file_starts_again(site: Site, tmp_path: Path) -> None:
    site.answers["a.zip"] = [Answer(cut=SHORT, headers={"ETag": None})]
    assert get(site, tmp_path) == CONTENT
    assert site.asked[1] == ("a.zip", None, None)


def test_the_time_of_the_last_change_marks_a_version_where_there_is_no_strong_etag(site: Site, tmp_path: Path) -> None:
    moment = "Sat, 01 Jan 2022 00:00:00 GMT"
    weak = {"ETag": 'W/"weak"', "Last-Modified": moment}
    site.answers["a.zip"] = [Answer(cut=SHORT, headers=weak)]
    assert get(site, tmp_path) == CONTENT
    assert site.asked[1] == ("a.zip", f"bytes={SHORT}-", moment)


def test_a_part_of_another_address_or_of_nobody_starts_again(site: Site, tmp_path: Path) -> None:
    part_path(tmp_path / "a.zip").write_bytes(b"left by nobody")
    assert get(site, tmp_path) == CONTENT
    discard(tmp_path / "a.zip")
    site.files["b.zip"] = CONTENT[::-1]
    site.answers["b.zip"] = [Answer(cut=SHORT)]
    with pytest.raises(TransferError):
        fetch(site.url("b.zip"), tmp_path / "a.zip", sleep=Pauses(), retry_policy=RetryPolicy(attempts=1))
    assert get(site, tmp_path) == CONTENT
    assert site.asked[-1][1] is None


def test_a_rest_that_is_not_there_starts_again(site: Site, tmp_path: Path) -> None:
    site.answers["a.zip"] = [Answer(cut=SHORT), Answer(status=416)]
    assert get(site, tmp_path) == CONTENT


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again_when_it_says(site: Site, tmp_path: Path, status: int) -> None:
    site.answers["a.zip"] = [Answer(status=status, headers={"Retry-After": "17"}), Answer(status=status)]
    pauses = Pauses()
    assert get(site, tmp_path, pauses) == CONTENT
    assert pauses == [17.0, 2.0]


def test_retry_after_may_be_a_date(site: Site, tmp_path: Path) -> None:
    moment = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=60)
    site.answers["a.zip"] = [Answer(status=503, headers={"Retry-After": email.utils.format_datetime(moment, True)})]
    pauses = Pauses()
    assert get(site, tmp_path, pauses) == CONTENT
    assert 55 < pauses[0] <= 61


def test_patience_ends(site: Site, tmp_path: Path) -> None:
    site.answers["a.zip"] = [Answer(status=503)] * 9
    pauses = Pauses()
    with pytest.raises(TransferError, match=r"503.*6 attempts in a row"):
        get(site, tmp_path, pauses)
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0]
    site.answers["a.zip"] = [Answer(status=429, headers={"Retry-After": "86400"})]
    with pytest.raises(TransferError, match="come back in 86400 s"):
        get(site, tmp_path)


def test_progress_renews_patience_and_crumbs_do_not(site: Site, tmp_path: Path) -> None:
    site.answers["a.zip"] = [Answer(cut=SHORT), Answer(cut=SHORT)]
    assert get(site, tmp_path, retry_policy=RetryPolicy(attempts=2)) == CONTENT
    discard(tmp_path / "a.zip")
    site.answers["a.zip"] = [Answer(cut=10)] * 9
    with pytest.raises(TransferError, match="3 attempts in a row"):
        get(site, tmp_path, retry_policy=RetryPolicy(attempts=3))


def test_a_dead_server_is_given_up(tmp_path: Path) -> None:
    with serving() as site:
        address = site.url("a.zip")
    with pytest.raises(TransferError, match="the connection broke"):
        fetch(address, tmp_path / "a.zip", sleep=Pauses(), retry_policy=RetryPolicy(attempts=2))


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_an_address_that_refuses_is_not_asked_twice(site: Site, tmp_path: Path, status: int) -> None:
    site.answers["a.zip"] = [Answer(status=status)]
    with pytest.raises(TransferError, match=str(status)):
        get(site, tmp_path)
    assert len(site.asked) == 1
    assert not part_path(tmp_path / "a.zip").exists()


def test_a_web_page_is_not_the_file(site: Site, tmp_path: Path) -> None:
    site.answers["a.zip"] = [Answer(headers={"Content-Type": "text/html; charset=utf-8"})]
    with pytest.raises(TransferError, match="web page"):
        get(site, tmp_path)


def test_another_size_than_expected_is_refused_before_it_is_fetched(site: Site, tmp_path: Path) -> None:
    with pytest.raises(TransferError, match=f"{len(CONTENT)} bytes, 5 are expected"):
        get(site, tmp_path, size=5)
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_unknown_size_is_whole_when_its_pieces_end(site: Site, tmp_path: Path) -> None:
    told: list[int | None] = []
    site.answers["a.zip"] = [Answer(chunked=True, cut=SHORT), Answer(chunked=True, ranges=False)]
    assert get(site, tmp_path, report=lambda done, whole: told.append(whole)) == CONTENT
    assert set(told) == {None}


def test_a_file_without_length_or_pieces_needs_a_checksum_or_a_size(site: Site, tmp_path: Path) -> None:
    """The end of the connection may be the end of the file, or not."""
    endless = Answer(headers={"Content-Length": None})
    site.answers["a.zip"] = [endless]
    with pytest.raises(TransferError, match="no checksum is known"):
        get(site, tmp_path)
    for known in ({"checked": True}, {"size": len(CONTENT)}):
        site.answers["a.zip"] = [endless]
        assert get(site, tmp_path, **known) == CONTENT
        discard(tmp_path / "a.zip")


def test_a_file_that_does_not_fit_is_not_begun(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9, len(CONTENT) - 1))
    with pytest.raises(DataError, match=r"no space left on the disk for a\.zip") as caught:
        get(site, tmp_path)
    assert not isinstance(caught.value, TransferError), "another address would not make more room"
    assert part_path(tmp_path / "a.zip").stat().st_size == 0


def test_a_stopped_download_ends_soon_and_keeps_what_is_there(site: Site, tmp_path: Path) -> None:
    stop = threading.Event()
    with pytest.raises(TransferError, match="stopped"):
        get(site, tmp_path, stop=stop, report=lambda done, whole: stop.set())
    assert 0 < part_path(tmp_path / "a.zip").stat().st_size < len(CONTENT)
    assert get(site, tmp_path) == CONTENT


def test_secrets_of_an_address_are_in_no_message_and_no_file(tmp_path: Path) -> None:
    secret = "hunter2hunter2"
    target = tmp_path / "a.zip"
    retry_policy = RetryPolicy(attempts=1)
    nobody = (
        f"http://me:{secret}@127.0.0.1:1/a.zip?X-Amz-Signature={secret}&SeriesInstanceUID=1.2&access_token={secret}"
    )
    with pytest.raises(TransferError) as caught:
        fetch(nobody, target, retry_policy=retry_policy, sleep=lambda seconds: None)
    assert secret not in str(caught.value)
    assert "SeriesInstanceUID=1.2" in str(caught.value), "what is no secret helps"
    assert "127.0.0.1" in str(caught.value)
    assert not any(secret in path.read_text(errors="replace") for path in tmp_path.iterdir())
