"""Finding and downloading published files."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from contrastseg.data import registry
from contrastseg.data.download import DATA_TABLE, PublishedFile, download_dataset, locate, published_files
from contrastseg.data.specs import DatasetSpec
from contrastseg.errors import DataError, UnavailableDataError

OPEN = dataclasses.replace(registry.get("acdc"), name="open_set", folder_names=("OPEN",), registration=())
CONTENT = b"published bytes"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "a.zip").write_bytes(CONTENT)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=tmp_path / "site")) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


def table_of(folder: Path, **columns: str) -> Path:
    row = dict.fromkeys(PublishedFile._fields, "") | {"name": OPEN.name, "file": "a.zip"} | columns
    with open(folder / "table.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, PublishedFile._fields)
        writer.writeheader()
        writer.writerow(row)
    return folder / "table.csv"


def fetch(folder: Path, table: Path, said: list[str] | None = None, spec: DatasetSpec = OPEN) -> Path | None:
    announce = (lambda line: None) if said is None else said.append
    return download_dataset(spec, None, folder / "resources", table=table, announce=announce)


def test_the_project_s_table_is_well_formed() -> None:
    with open(DATA_TABLE, newline="") as file:
        rows = [PublishedFile(**row) for row in csv.DictReader(file)]
    assert {row.name for row in rows} <= set(registry.names())
    for row in rows:
        assert not row.sha256 or len(bytes.fromhex(row.sha256)) == 32
        assert not row.md5 or len(bytes.fromhex(row.md5)) == 16
        assert row.licence
    assert published_files("acdc")[0].registration == "required"


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


def test_open_data_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="contrastseg download open_set") as caught:
        locate(OPEN, None, tmp_path)
    assert not isinstance(caught.value, UnavailableDataError)


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_a_checked_download(tmp_path: Path, server: str, kind: str) -> None:
    good = hashlib.new(kind, CONTENT).hexdigest()
    table = table_of(tmp_path, address=f"{server}/a.zip", **{kind: good})
    folder = fetch(tmp_path, table)
    assert folder is not None
    assert (folder / "a.zip").read_bytes() == CONTENT
    assert locate(OPEN, None, tmp_path / "resources") == folder


def test_a_wrong_checksum_leaves_nothing_that_looks_complete(tmp_path: Path, server: str) -> None:
    table = table_of(tmp_path, address=f"{server}/a.zip", sha256="0" * 64)
    with pytest.raises(DataError, match=r"checksum|hash") as caught:
        fetch(tmp_path, table)
    assert caught.value.file is not None
    assert caught.value.remedy
    assert not caught.value.file.exists()
    with pytest.raises(DataError, match="not on this machine"):
        locate(OPEN, None, tmp_path / "resources")


def test_an_unknown_checksum_is_trusted_once_and_said(tmp_path: Path, server: str) -> None:
    table = table_of(tmp_path, address=f"{server}/a.zip")
    said: list[str] = []
    folder = fetch(tmp_path, table, said)
    assert folder is not None
    assert said == [f"a.zip: no published checksum, trusted on first use, sha256 {hashlib.sha256(CONTENT).hexdigest()}"]
    (tmp_path / "site" / "a.zip").write_bytes(b"other bytes")
    (folder / "a.zip").unlink()
    (folder / "checksums.json").rename(folder / ".checksums.json")  # as if the download had been interrupted
    with pytest.raises(DataError, match=r"hash|checksum"):
        fetch(tmp_path, table)


def test_the_mirror_serves_where_the_address_fails(tmp_path: Path, server: str) -> None:
    table = table_of(tmp_path, address=f"{server}/gone.zip", mirror=f"{server}/a.zip")
    folder = fetch(tmp_path, table)
    assert folder is not None
    assert (folder / "a.zip").read_bytes() == CONTENT


def test_dead_links_are_all_named(tmp_path: Path, server: str) -> None:
    table = table_of(tmp_path, address=f"{server}/gone.zip", mirror=f"{server}/lost.zip")
    with pytest.raises(DataError, match=r"gone\.zip.*lost\.zip"):
        fetch(tmp_path, table)


def test_a_data_set_without_rows_and_a_table_of_other_columns(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no file of"):
        fetch(tmp_path, table_of(tmp_path, name="another"))
    (tmp_path / "odd.csv").write_text("name,url\n")
    with pytest.raises(DataError, match="columns"):
        published_files("acdc", tmp_path / "odd.csv")
