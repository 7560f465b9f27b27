"""Unpacking: whole or not at all, and nothing of what a hostile archive wants."""

from __future__ import annotations

import base64
import io
import os
import shutil
import stat
import sys
import tarfile
import zipfile
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from contrastseg.data.download import archives
from contrastseg.data.download.archives import ArchiveError, Unpacked, unpack
from contrastseg.errors import DataError
from tests import rar

NOISE = np.random.default_rng(0).bytes(200_000)
FILES = {"Set/imagesTr/one.nii.gz": NOISE, "Set/labelsTr/one.nii.gz": b"label", "Set/notes": b""}
# A 7z archive of Mask/Case_00001.nii.gz, and one with Mask/link, a symbolic link to /etc/passwd, beside it.
SEVEN_ZIP = (
    "N3q8ryccAARwryLAZQAAAAAAAAAgAAAAAAAAAFTUmkoBAARsYWJlbAAAAIEzB64P4OxyY2LTejR4Zaj6VcxzqOplswuB7sGtkbF9ZJ7g3lxRnohtS2h3"
    "ZFz4swMhrUs1wZYDjRXbEVfvchGA3kiISjsrIvXq1+2PB6f4xx9WwJArYlP8ABcGCQEJXAAHCwEAASMDAQEFXQAQAAAMdgoBIHKObAAA"
)
SEVEN_ZIP_LINK = (
    "N3q8ryccAARmFPtSjwAAAAAAAAAhAAAAAAAAAC4ItigBAA9sYWJlbC9ldGMvcGFzc3dkAAAAgTMHrg/PObAMB8hDf0Gx+v3i+3npbTyNWaea5PGjnChG"
    "uQ15yvEhGw3ct5wzKie/pp5nYdQr/0flwblaWa0Q6S6cIanrSMES9dIiH/wpejRRJ6kMruq/xX7PRnSK1wdTNo60ImTIAqUV8zg3SLe/t4mSUglPLTwA"
    "ABcGFAEJewAHCwEAASMDAQEFXQAQAAAMgKoKAXE+ffgAAA=="
)


def zipped(path: Path, files: dict[str, bytes], edit: Callable[[zipfile.ZipInfo], object] = lambda info: None) -> Path:
    with zipfile.ZipFile(path, "w") as opened:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            edit(info)
            opened.writestr(info, content)
    return path


def tarred(path: Path, files: dict[str, bytes], edit: Callable[[tarfile.TarInfo], object] = lambda info: None) -> Path:
    mode = {".gz": "w:gz", ".bz2": "w:bz2", ".xz": "w:xz"}.get(path.suffix, "w")
    with tarfile.open(path, mode) as opened:  # type: ignore[call-overload]
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            edit(info)
            opened.addfile(info, io.BytesIO(content))
    return path


def rarred(path: Path, *members: bytes) -> Path:
    pytest.importorskip("rarfile", reason="rar archives need the package rarfile")
    path.write_bytes(rar.archive(*members))
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refuse(archive: Path, words: str, kind: type[DataError] = ArchiveError) -> None:
    """Check that nothing at all comes out of the archive."""
    before = set(archive.parent.parent.rglob("*"))
    with pytest.raises(kind, match=words) as caught:
        unpack(archive, archive.parent / "out")
    assert caught.value.file == archive
    assert caught.value.remedy
    assert set(archive.parent.parent.rglob("*")) == before


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with a neighbourhood that a hostile archive could reach."""
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tgz", "a.tar.bz2", "a.tar.xz", "a.bin", "a.rar"])
def test_every_kind_comes_out_as_it_went_in(here: Path, name: str) -> None:
    if name.endswith("rar"):
        archive = rarred(here / name, rar.folder("Set"), *(rar.file(*item) for item in FILES.items()))
    else:
        archive = (zipped if name.endswith(("zip", "bin")) else tarred)(here / name, FILES)
    assert unpack(archive, here / "out") == Unpacked(3, len(NOISE) + 5, 0)
    assert contents(here / "out") == FILES
    assert sorted(path.name for path in here.iterdir()) == sorted([name, "out"])


@pytest.mark.skipif(shutil.which("bsdtar") is None, reason="7z archives need the program bsdtar")
def test_seven_zip_goes_by_way_of_bsdtar(here: Path) -> None:
    archive = here / "Mask.7z"
    archive.write_bytes(base64.b64decode(SEVEN_ZIP))
    assert unpack(archive, here / "Mask") == Unpacked(1, 5, 0)
    assert contents(here) == {"Mask.7z": archive.read_bytes(), "Mask/Mask/Case_00001.nii.gz": b"label"}
    shutil.rmtree(here / "Mask")
    archive.write_bytes(base64.b64decode(SEVEN_ZIP)[:-20])
    refuse(archive, "damaged")
    archive.write_bytes(base64.b64decode(SEVEN_ZIP_LINK))
    refuse(archive, "symbolic link: 'Mask/link'")


def test_a_missing_tool_is_named(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    (here / "a.7z").write_bytes(base64.b64decode(SEVEN_ZIP))
    refuse(here / "a.7z", "bsdtar", DataError)


def test_a_missing_tool_for_compressed_rar_is_named(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    archive = rarred(here / "a.rar", rar.file("stored", b"a"), rar.file("compressed", b"a", method=3))
    monkeypatch.setattr(sys.modules["rarfile"], "CURRENT_SETUP", None)
    refuse(archive, "unrar, unar, 7z or bsdtar", DataError)


def test_a_missing_package_is_named(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rarfile", None)
    (here / "a.rar").write_bytes(rar.archive(rar.file("a", b"a")))
    refuse(here / "a.rar", r"pip install 'contrastseg\[clients\]'", DataError)


def test_a_second_archive_joins_the_first_in_one_folder(here: Path) -> None:
    first = zipped(here / "1.zip", {"Set/a": b"a", "Set/both": b"same"})
    second = zipped(here / "2.zip", {"Set/b": b"b", "Set/both": b"same"})
    for archive in (first, second, first):
        unpack(archive, here / "out")
    assert contents(here / "out") == {"Set/a": b"a", "Set/b": b"b", "Set/both": b"same"}
    with pytest.raises(ArchiveError, match="another both") as caught:
        unpack(zipped(here / "3.zip", {"Set/both": b"other"}), here / "out")
    assert caught.value.file == here / "out" / "Set" / "both"
    assert (here / "out" / "Set" / "both").read_bytes() == b"same"


def test_a_killed_unpacking_is_done_again(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = zipped(here / "a.zip", FILES)
    left = here / ".a.zip.unpacking" / "Set" / "imagesTr"
    left.mkdir(parents=True)
    (left / "one.nii.gz").write_bytes(NOISE[:10])  # as a killed process leaves it
    unpack(archive, here / "out")
    assert contents(here / "out") == FILES
    shutil.rmtree(here / "out")
    monkeypatch.setattr(archives.os, "replace", lambda *paths: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        unpack(archive, here / "out")
    assert sorted(path.name for path in here.iterdir()) == ["a.zip"]


def test_what_macos_keeps_for_itself_stays_in_the_archive(here: Path) -> None:
    archive = tarred(here / "a.tar", {"Set/._a": b"fork", "__MACOSX/Set/a": b"fork", "Set/a": b"a"})
    assert unpack(archive, here / "out").left_out == 2
    assert contents(here / "out") == {"Set/a": b"a"}


def test_permissions_are_not_taken_over(here: Path) -> None:
    archive = tarred(here / "a.tar", {"Set/a": b"a"}, lambda info: setattr(info, "mode", 0o4777))
    unpack(archive, here / "out")
    assert not (here / "out" / "Set" / "a").stat().st_mode & (stat.S_ISUID | stat.S_IXUSR | stat.S_IWOTH)


@pytest.mark.parametrize("name", ["../out.txt", "Set/../../out.txt", "..\\out.txt", "a/b/..", "Set\\..\\..\\x"])
def test_paths_that_leave_the_folder(here: Path, name: str) -> None:
    refuse(zipped(here / "a.zip", {"good": b"", name: b"evil"}), "leaves the folder")
    refuse(tarred(here / "a.tar.gz", {"good": b"", name: b"evil"}), "leaves the folder")


def test_paths_in_a_rar_that_leave_the_folder(here: Path) -> None:
    for name in ("../out.txt", "Set/../../out.txt"):
        refuse(rarred(here / "a.rar", rar.file("good", b""), rar.file(name, b"evil")), "leaves the folder")


@pytest.mark.parametrize("name", ["/tmp/evil", "C:\\evil", "c:evil", "\\\\host\\evil", "//evil"])
def test_absolute_paths(here: Path, name: str) -> None:
    refuse(zipped(here / "a.zip", {"good": b"", name: b"evil"}), "an absolute path")
    refuse(tarred(here / "a.tar", {"good": b"", name: b"evil"}), "an absolute path")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (tarfile.SYMTYPE, "symbolic link"),
        (tarfile.LNKTYPE, "hard link"),
        (tarfile.CHRTYPE, "device"),
        (tarfile.BLKTYPE, "device"),
        (tarfile.FIFOTYPE, "device"),
    ],
)
def test_links_and_devices_in_a_tar(here: Path, kind: bytes, words: str) -> None:
    def edit(info: tarfile.TarInfo) -> None:
        if info.name == "Set/link":
            info.type, info.linkname, info.size = kind, "../../neighbour", 0

    refuse(tarred(here / "a.tar", {"good": b"", "Set/link": b"", "Set/link/through": b"evil"}, edit), words)


@pytest.mark.parametrize(("mode", "words"), [(stat.S_IFLNK, "symbolic link"), (stat.S_IFCHR, "device")])
def test_links_and_devices_in_a_zip(here: Path, mode: int, words: str) -> None:
    def edit(info: zipfile.ZipInfo) -> None:
        info.external_attr = (mode | 0o777) << 16

    refuse(zipped(here / "a.zip", {"link": b"../neighbour"}, edit), words)


@pytest.mark.parametrize("kind", [rar.SYMBOLIC_LINK, rar.HARD_LINK])
def test_links_in_a_rar(here: Path, kind: int) -> None:
    refuse(rarred(here / "a.rar", rar.file("good", b""), rar.link("link", "../neighbour", kind)), "link")


@pytest.mark.parametrize(
    "names",
    [("a", "a"), ("a/b", "a/./b"), ("a/b", "a\\b"), ("a", "a/b"), ("a/b", "a"), ("a/b", "a//b"), ("good", ".")],
    ids=str,
)
def test_names_that_collide(here: Path, names: tuple[str, str]) -> None:
    with tarfile.open(here / "a.tar", "w") as opened:
        for name in names:
            opened.addfile(tarfile.TarInfo(name), io.BytesIO())
    refuse(here / "a.tar", "of one name|a name that is none")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_that_holds_a_name_twice(here: Path) -> None:
    with zipfile.ZipFile(here / "a.zip", "w") as opened:
        opened.writestr("a", b"first")
        opened.writestr("a", b"second")
    refuse(here / "a.zip", "of one name")


def test_a_disk_that_knows_no_capitals(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = zipped(here / "a.zip", {"A": b"1", "a": b"2"})
    opened = open
    monkeypatch.setattr(archives, "open", lambda path, mode: opened(str(path).lower(), mode), raising=False)
    refuse(archive, "one name on this disk")


def test_encrypted_archives(here: Path) -> None:
    archive = zipped(here / "a.zip", {"a": b"a"})
    content = bytearray(archive.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1  # the flag in the central directory
    archive.write_bytes(content)
    refuse(archive, "encrypted")


def test_an_encrypted_rar(here: Path) -> None:
    refuse(rarred(here / "a.rar", rar.file("a", b"a" * 16, encrypted=True)), "encrypted")


@pytest.mark.parametrize("make", [zipped, tarred])
def test_bombs_are_refused_before_they_are_unpacked(here: Path, make: Callable[..., Path]) -> None:
    refuse(make(here / "a.gz", {f"zeros{number}": bytes(10_000_000) for number in range(4)}), "200 times its own size")


def test_a_member_that_holds_more_or_less_than_it_says(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive, original = zipped(here / "a.zip", FILES), archives._of_zip
    for change in (lambda content: content + b"!", lambda content: content[:-1]):
        monkeypatch.setattr(
            archives, "_of_zip", lambda *member, change=change: io.BytesIO(change(original(*member).read()))
        )
        refuse(archive, "than the archive says")


def test_bytes_are_counted_while_they_are_written(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive, read = zipped(here / "a.zip", FILES), []

    class Endless(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            read.append(size)
            assert len(read) < 5, "a stream without end was not left"
            return bytes(1 << 20)

    monkeypatch.setattr(archives, "_of_zip", lambda *member: Endless())
    refuse(archive, "holds more than the archive says")


def test_an_archive_that_does_not_fit_on_the_disk(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = zipped(here / "a.zip", FILES)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9, len(NOISE)))
    with pytest.raises(DataError, match="no space left on the disk"):
        unpack(archive, here / "out")
    assert not (here / "out").exists()


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tar.bz2", "a.tar.xz"])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
def test_truncated_archives(here: Path, name: str, kept: float) -> None:
    archive = (zipped if name == "a.zip" else tarred)(here / name, FILES)
    whole = archive.read_bytes()
    archive.write_bytes(whole[: int(len(whole) * kept)])
    refuse(archive, "damaged")


def test_a_tar_cut_off_between_two_members(here: Path) -> None:
    archive = tarred(here / "a.tar", {"a": b"x" * 512, "b": b"y" * 512})
    archive.write_bytes(archive.read_bytes()[:1024])
    refuse(archive, "its end is missing")


def test_a_truncated_rar(here: Path) -> None:
    archive = rarred(here / "a.rar", *(rar.file(*item) for item in FILES.items()))
    archive.write_bytes(archive.read_bytes()[:100_000])
    refuse(archive, "damaged")


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.tar.bz2", "a.tar.xz", "a.rar"])
def test_flipped_bits(here: Path, name: str) -> None:
    if name == "a.rar":
        archive = rarred(here / name, rar.file("a", NOISE))
    else:
        archive = (zipped if name == "a.zip" else tarred)(here / name, {"a": NOISE})
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 0xFF
    archive.write_bytes(content)
    refuse(archive, "damaged")


def test_what_is_no_archive(here: Path) -> None:
    (here / "a.zip").write_bytes(b"<!DOCTYPE html>" * 100)
    refuse(here / "a.zip", "zip, tar, rar or 7z")
    refuse(zipped(here / "a.zip", {}), "no file")
    (here / "a.zip").write_bytes(b"")
    refuse(here / "a.zip", "zip, tar, rar or 7z")


def test_a_fault_of_the_disk_is_not_one_of_the_archive(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = zipped(here / "a.zip", FILES)

    def full(*arguments: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(archives, "open", full, raising=False)
    monkeypatch.setattr(archives, "_members", lambda path: archives._zip_members(path))
    with pytest.raises(OSError, match="No space left"):
        unpack(archive, here / "out")
    assert sorted(path.name for path in here.iterdir()) == ["a.zip"]
