"""Finding, downloading, checking and unpacking published files."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pytest

from contrastseg.data.download import download
from contrastseg.data.download.archives import unpack
from contrastseg.data.download.download import download_dataset, locate
from contrastseg.data.readers.specs import DatasetSpec
from contrastseg.data.registry import registry
from contrastseg.errors import DataError, UnavailableDataError
from contrastseg.files import read_json
from tests.data_tables import table_of
from tests.serving import Answer, Site, serving

OPEN = dataclasses.replace(registry.get("acdc"), name="open_set", folder_names=("OPEN",), registration=())
CONTENT = b"published bytes"
SHA = hashlib.sha256(CONTENT).hexdigest()


def zipped(**files: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as opened:
        for name, data in files.items():
            opened.writestr(f"Set/{name}", data)
    return content.getvalue()


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as running:
        running.files["a.zip"] = CONTENT
        yield running


def row_of(site: Site, file: str = "a.zip", **columns: str) -> dict[str, str]:
    return {"file": file, "address": site.url(file), **columns}


def fetch(folder: Path, table: Path, said: list[str] | None = None, spec: DatasetSpec = OPEN) -> Path:
    announce = (lambda line: None) if said is None else said.append
    options = {"announce": announce, "sleep": lambda seconds: None, "environment": {}}
    found = download_dataset(spec, None, folder / "resources", table=table, **options)  # type: ignore[arg-type]
    assert found is not None
    return found


def test_the_user_s_own_folder_comes_first(tmp_path: Path) -> None:
    (tmp_path / "mine" / "acdc").mkdir(parents=True)
    assert locate("acdc", tmp_path / "mine", tmp_path / "resources") == tmp_path / "mine" / "acdc"
    assert download_dataset("acdc", tmp_path / "mine", tmp_path / "resources") == tmp_path / "mine" / "acdc"


def test_generated_data_needs_no_folder(tmp_path: Path) -> None:
    assert locate("phantom_lesions", None, tmp_path) is None
    assert download_dataset("phantom_lesions", None, tmp_path) is None


@pytest.mark.parametrize("root", [None, "empty"])
def test_registered_data_says_how_to_get_it(tmp_path: Path, root: str | None) -> None:
    data_root = None if root is None else tmp_path / root
    for call in (locate, download_dataset):
        with pytest.raises(UnavailableDataError) as caught:
            call("acdc", data_root, tmp_path / "resources")
        assert caught.value.case == "acdc"
        assert "humanheart-project" in str(caught.value.remedy)
        assert "$CONTRASTSEG_DATA/ACDC" in str(caught.value.remedy)


def test_open_data_says_what_to_run(tmp_path: Path, site: Site) -> None:
    with pytest.raises(DataError, match="contrastseg download open_set") as caught:
        locate(OPEN, None, tmp_path, table_of(tmp_path, row_of(site)))
    assert not isinstance(caught.value, UnavailableDataError)


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_a_checked_download(tmp_path: Path, site: Site, kind: str) -> None:
    good = hashlib.new(kind, CONTENT).hexdigest()
    folder = fetch(tmp_path, table_of(tmp_path, row_of(site, **{kind: good}, size=str(len(CONTENT)))))
    assert (folder / "a.zip").read_bytes() == CONTENT
    assert locate(OPEN, None, tmp_path / "resources") == folder
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "a.zip", "checksums.json"]
    assert read_json(folder / "checksums.json") == {"a.zip": {"sha256": SHA}}


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_a_wrong_checksum_leaves_nothing_that_looks_complete(tmp_path: Path, site: Site, kind: str) -> None:
    length = {"sha256": 64, "md5": 32}[kind]
    with pytest.raises(DataError, match=f"wrong checksum: {kind} .*, not 0000") as caught:
        fetch(tmp_path, table_of(tmp_path, row_of(site, **{kind: "0" * length})))
    assert caught.value.case == OPEN.name
    assert caught.value.file is not None
    assert caught.value.remedy
    assert [path.name for path in caught.value.file.parent.iterdir()] == [".lock"]
    with pytest.raises(DataError, match="not on this machine"):
        locate(OPEN, None, tmp_path / "resources")


def test_an_unknown_checksum_is_trusted_once_and_said(tmp_path: Path, site: Site) -> None:
    table = table_of(tmp_path, row_of(site))
    said: list[str] = []
    folder = fetch(tmp_path, table, said)
    assert said == [f"a.zip: no published checksum, trusted on first use, sha256 {SHA}"]
    site.files["a.zip"] = b"other bytes"
    (folder / "a.zip").unlink()
    (folder / "checksums.json").rename(folder / ".checksums.json")  # as if the download had been interrupted
    with pytest.raises(DataError, match="wrong checksum"):
        fetch(tmp_path, table)


def test_a_file_put_there_by_hand_is_checked_too(tmp_path: Path, site: Site) -> None:
    folder = tmp_path / "resources" / "raw" / OPEN.name
    folder.mkdir(parents=True)
    (folder / "a.zip").write_bytes(CONTENT)
    table = table_of(tmp_path, row_of(site, sha256=SHA))
    fetch(tmp_path, table)
    assert site.asked == []
    (folder / "a.zip").write_bytes(b"damaged")
    (folder / "checksums.json").rename(folder / ".checksums.json")
    said: list[str] = []
    fetch(tmp_path, table, said)
    assert (folder / "a.zip").read_bytes() == CONTENT
    assert "wrong checksum" in said[0]
    assert "downloaded again" in said[0]


@pytest.mark.parametrize("fault", [Answer(status=404), Answer(headers={"Content-Type": "text/html"}), None])
def test_mirrors_serve_in_turn_where_the_address_fails(tmp_path: Path, site: Site, fault: Answer | None) -> None:
    site.files |= {"first.zip": b"another file", "second.zip": b"yet another"}
    site.answers["first.zip"] = [fault] if fault else []
    mirrors = f"{site.url('second.zip')} {site.url('a.zip')}"
    table = table_of(tmp_path, {"file": "a.zip", "address": site.url("first.zip"), "mirror": mirrors, "sha256": SHA})
    said: list[str] = []
    assert (fetch(tmp_path, table, said) / "a.zip").read_bytes() == CONTENT
    assert [path for path, _, _ in site.asked] == ["first.zip", "second.zip", "a.zip"]
    (line,) = said
    assert line.startswith(f"a.zip: taken from {site.url('a.zip')}, because {site.url('first.zip')}: ")


def test_dead_links_are_all_named(tmp_path: Path, site: Site) -> None:
    table = table_of(tmp_path, {"file": "a.zip", "address": site.url("gone.zip"), "mirror": site.url("lost.zip")})
    with pytest.raises(DataError, match=r"gone\.zip.*404.*lost\.zip.*404"):
        fetch(tmp_path, table)


def test_one_bad_file_does_not_cost_the_others(tmp_path: Path, site: Site) -> None:
    names = [f"{number}.zip" for number in range(9)]
    site.files |= dict.fromkeys(names, CONTENT)
    table = table_of(tmp_path, *(row_of(site, name) for name in ["gone.zip", *names, "lost.zip"]))
    with pytest.raises(DataError, match="2 faults") as caught:
        fetch(tmp_path, table)
    assert {fault.file.name for fault in caught.value.faults} == {"gone.zip", "lost.zip"}  # type: ignore[attr-defined]
    site.files |= dict.fromkeys(["gone.zip", "lost.zip"], CONTENT)
    site.asked.clear()
    fetch(tmp_path, table)
    assert {path for path, _, _ in site.asked} == {"gone.zip", "lost.zip"}


def test_several_files_come_at_once(tmp_path: Path, site: Site) -> None:
    meeting = threading.Barrier(download.AT_ONCE, timeout=20)
    names = [f"{number}.zip" for number in range(download.AT_ONCE)]
    for name in names:
        site.files[name] = CONTENT
        site.answers[name] = [Answer(before=meeting.wait)]
    fetch(tmp_path, table_of(tmp_path, *(row_of(site, name) for name in names)))


def test_progress_adds_up_the_files(tmp_path: Path, site: Site) -> None:
    site.files["b.zip"] = CONTENT * 10
    told: list[tuple[int, int | None]] = []
    table = table_of(tmp_path, row_of(site), row_of(site, "b.zip", size=str(10 * len(CONTENT))))
    download_dataset(OPEN, None, tmp_path, table=table, announce=str, progress=lambda *pair: told.append(pair))
    assert told[-1] == (11 * len(CONTENT), 11 * len(CONTENT))
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_the_room_is_looked_at_before_anything_is_asked(
    tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**13, 0, 10**12))
    rows = [row_of(site, name, size=str(6 * 10**11)) for name in ("a.zip", "b.zip")]
    with pytest.raises(DataError, match=r"it takes 1200\.00 GB, 1000\.00 GB are free"):
        fetch(tmp_path, table_of(tmp_path, *rows))
    assert site.asked == []


def test_archives_are_unpacked_where_the_table_says(tmp_path: Path, site: Site) -> None:
    site.files |= {"a.zip": zipped(image=b"i"), "b.zip": zipped(label=b"l"), "c.zip": zipped(mask=b"m")}
    rows = [row_of(site, "a.zip", unpack="."), row_of(site, "b.zip", unpack="."), row_of(site, "c.zip", unpack="Mask")]
    folder = fetch(tmp_path, table_of(tmp_path, *rows))
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("Set/*")}
    assert found == {"Set/image": b"i", "Set/label": b"l", "Mask/Set/mask": b"m"}
    assert [entry["unpacked"] for entry in read_json(folder / "checksums.json").values()] == [1, 1, 1]


def test_an_interrupted_unpacking_is_finished_by_the_next_run(
    tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.files |= {"a.zip": zipped(image=b"i"), "b.zip": zipped(label=b"l")}
    table = table_of(tmp_path, row_of(site, "a.zip", unpack="."), row_of(site, "b.zip", unpack="."))
    unpacked: list[str] = []
    kills = [KeyboardInterrupt]

    def once(archive: Path, destination: Path) -> object:
        if archive.name == "b.zip" and kills:
            raise kills.pop()
        unpacked.append(archive.name)
        return unpack(archive, destination)

    monkeypatch.setattr(download, "unpack", once)
    with pytest.raises(KeyboardInterrupt):
        fetch(tmp_path, table)
    with pytest.raises(DataError, match="not on this machine"):
        locate(OPEN, None, tmp_path / "resources")
    asked = len(site.asked)
    folder = fetch(tmp_path, table)
    assert unpacked == ["a.zip", "b.zip"], "the first archive was unpacked once, the second again"
    assert len(site.asked) == asked
    assert {path.name for path in folder.glob("Set/*")} == {"image", "label"}


def test_a_hostile_archive_is_told_and_not_complete(tmp_path: Path, site: Site) -> None:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as opened:
        opened.addfile(tarfile.TarInfo("../../evil"))
    site.files["a.tar"] = content.getvalue()
    with pytest.raises(DataError, match="leaves the folder"):
        fetch(tmp_path, table_of(tmp_path, row_of(site, "a.tar", unpack=".")))
    assert not list(tmp_path.rglob("evil"))
    with pytest.raises(DataError, match="not on this machine"):
        locate(OPEN, None, tmp_path / "resources")


SECOND = """
import dataclasses, sys
from contrastseg.data.registry import registry
from contrastseg.data.download.download import download_dataset
spec = dataclasses.replace(registry.get("acdc"), name="open_set", folder_names=("OPEN",), registration=())
download_dataset(spec, None, sys.argv[1], table=sys.argv[2], announce=lambda line: print(line, flush=True))
"""


def test_two_processes_at_once_do_no_harm(tmp_path: Path, site: Site) -> None:
    site.files["a.zip"] = zipped(image=bytes(100_000))
    table = table_of(tmp_path, row_of(site, unpack="."))
    command = [sys.executable, "-c", SECOND, str(tmp_path), str(table)]
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    started: list[subprocess.Popen[str]] = []
    said: list[str] = []

    def start_the_second() -> None:
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=variables))
        assert started[0].stdout is not None
        said.append(started[0].stdout.readline())

    site.answers["a.zip"] = [Answer(before=start_the_second)]
    folder = download_dataset(OPEN, None, tmp_path, table=table, announce=str)
    assert started[0].communicate(timeout=60)[0] == ""
    assert started[0].returncode == 0
    assert said == ["open_set: another process downloads it, waiting\n"]
    assert len(site.asked) == 1, "the second found what the first had brought"
    assert folder is not None
    assert (folder / "Set" / "image").read_bytes() == bytes(100_000)


def test_a_data_set_without_rows(tmp_path: Path, site: Site) -> None:
    with pytest.raises(UnavailableDataError, match=r"no address of it is known\n.*\n.*\$CONTRASTSEG_DATA/OPEN"):
        fetch(tmp_path, table_of(tmp_path, row_of(site, name="another")))
