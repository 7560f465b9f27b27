"""The data table: valid as it is, and precise about what is wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from contrastseg.data.download.table import DATA_TABLE, published_files, read_table
from contrastseg.data.faults import FaultyCasesError
from contrastseg.data.registry import registry
from contrastseg.errors import DataError
from tests.data_tables import table_of

ROWS = read_table()
GOOD = {
    "name": "set",
    "file": "a.zip",
    "address": "https://example.org/a.zip",
    "licence": "CC0",
    "citation": "Somebody",
    "source": "their page",
}


def test_the_project_s_table_is_valid_and_of_one_form() -> None:
    assert len(ROWS) == len(DATA_TABLE.read_text(encoding="utf-8").splitlines()) - 1
    for row in ROWS:
        assert not row.sha256 or len(bytes.fromhex(row.sha256)) == 32
        assert not row.md5 or len(bytes.fromhex(row.md5)) == 16
        assert re.search(r"doi 10\.|arXiv:|Synapse|\d{4}", row.citation)


def test_no_checksum_without_somebody_who_verified_it() -> None:
    for row in ROWS:
        if row.sha256 or row.md5 or row.size:
            assert row.source, f"{row.name}/{row.file}: where does its checksum come from?"
    hashes = [value for row in ROWS for value in (row.sha256, row.md5) if value]
    assert len(set(hashes)) == len(hashes), "two files with one checksum: one of them is invented"


def test_every_archive_is_unpacked_and_of_a_known_kind() -> None:
    for row in ROWS:
        if row.file:
            assert row.unpack, f"{row.name}/{row.file} stays packed"
            assert re.search(r"\.(zip|tar|tgz|tar\.gz|tar\.bz2|tar\.xz|rar|7z)$", row.file)


@pytest.mark.parametrize("name", [name for name in registry.names() if not registry.get(name).generated])
def test_specs_and_table_agree_on_who_needs_an_account(name: str) -> None:
    rows = published_files(name)
    assert any(row.registration for row in rows) == bool(registry.get(name).registration)


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("sha256", "0" * 63, "64 hexadecimal digits"),
        ("sha256", "G" * 64, "64 hexadecimal digits"),
        ("md5", "A" * 32, "32 hexadecimal digits"),
        ("size", "0", "a count of bytes"),
        ("size", "about 3 GB", "a count of bytes"),
        ("file", "../a.zip", "a plain file name"),
        ("file", ".a.zip", "a plain file name"),
        ("unpack", "/tmp", "a folder below it"),
        ("unpack", "a/../..", "a folder below it"),
        ("address", "ftp://example.org/a", "http"),
        ("mirror", "example.org", "http"),
        ("registration", "yes", "'required'"),
        ("client", "torrent:1", "synapse:syn<number>"),
        ("licence", "", "correct the line"),
        ("name", "", "correct the line"),
    ],
)
def test_what_is_wrong_is_named_with_line_and_column(
    tmp_path: Path, column: str, value: str, words: str | None
) -> None:
    table = table_of(tmp_path, GOOD, {**GOOD, "file": "b.zip", column: value})
    with pytest.raises(DataError, match=rf"line 3, column {column}: ") as caught:
        read_table(table)
    assert caught.value.file == table
    assert words in str(caught.value.remedy)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"md5": "0" * 32, "source": ""}, "without a source"),
        ({"file": "", "address": "", "client": "tcia:Set", "size": "5"}, "without a file"),
        ({"registration": "required"}, "no client"),
        ({"address": ""}, "neither a file"),
        ({"file": "", "registration": "required", "unpack": "."}, "something to unpack"),
    ],
)
def test_columns_that_contradict_each_other(tmp_path: Path, changes: dict[str, str], words: str) -> None:
    with pytest.raises(DataError, match=f"line 2: .*{words}"):
        read_table(table_of(tmp_path, {**GOOD, **changes}))


def test_everything_wrong_is_told_at_once(tmp_path: Path) -> None:
    table = table_of(tmp_path, {**GOOD, "md5": "x"}, GOOD, GOOD, {**GOOD, "name": "other", "size": "-1"})
    with pytest.raises(FaultyCasesError) as caught:
        published_files("other", table)
    assert [fault.reason.partition(":")[0] for fault in caught.value.faults] == [
        "line 2, column md5",
        "line 4, column file",
        "line 5, column size",
    ]


def test_other_columns_and_longer_rows(tmp_path: Path) -> None:
    (tmp_path / "odd.csv").write_text("name,url\n")
    with pytest.raises(DataError, match="other columns"):
        read_table(tmp_path / "odd.csv")
    table = table_of(tmp_path, GOOD)
    table.write_text(table.read_text() + "," * 40 + "\n")
    with pytest.raises(DataError, match="line 3"):
        read_table(table)


def test_mirrors_come_after_the_address(tmp_path: Path) -> None:
    (row,) = read_table(table_of(tmp_path, {**GOOD, "mirror": "http://b.org/a.zip http://c.org/a.zip"}))
    assert row.addresses == ("https://example.org/a.zip", "http://b.org/a.zip", "http://c.org/a.zip")
