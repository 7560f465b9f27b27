"""Unpacks archives without trusting them: looked through before anything is written, then whole or not at all.

Zip, tar (plain, gzip, bzip2, xz), rar and 7z, told apart by their content. What archives hold is not unpacked again:
the published ones hold images, and readers take .nii.gz as it is.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import filecmp
import os
import re
import shutil
import stat
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Generator, Iterable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple, Self, cast

from contrastseg.data.faults import require_room
from contrastseg.errors import ContrastsegError, DataError

# No published data set comes near: images are compressed already, and label maps lie beside them.
LARGEST_RATIO = 200
ALWAYS_ALLOWED = 1 << 20
_CHUNK = 1 << 20
# What the system says of offsets and names that only a damaged archive asks for.
_IMPOSSIBLE = (errno.EINVAL, errno.ENAMETOOLONG, errno.EISDIR, errno.ENOTDIR)
_FRESH = "delete it and download it again"


class ArchiveError(DataError):
    """An archive that is damaged, or that nobody should unpack."""


class Unpacked(NamedTuple):
    """What came out of an archive.

    Attributes:
        files: How many.
        size: Their bytes.
        left_out: How many files that macOS keeps for itself (``__MACOSX``, ``._*``) stayed in the archive.
    """

    files: int
    size: int
    left_out: int


@dataclasses.dataclass(frozen=True)
class _Member:
    """What an archive says about one of its members; `kind` is ``file``, ``folder``, or what nobody wants."""

    name: str
    size: int
    kind: str
    encrypted: bool
    open: Callable[[], BinaryIO]

    @property
    def path(self) -> PurePosixPath:
        return PurePosixPath(self.name.replace("\\", "/"))

    @property
    def is_macos_s_own(self) -> bool:
        return "__MACOSX" in self.path.parts or self.path.name.startswith("._")


def unpack(archive: Path, destination: Path) -> Unpacked:
    """Unpack an archive into a folder, which may hold other files already; the archive itself stays.

    The members are read twice: first everything is refused that could write elsewhere, then they are written to a
    hidden folder beside the archive and moved when the last one is there. A killed unpacking is done again.
    Owners, permissions and times in the archive are not taken over.

    Args:
        archive: The file.
        destination: The folder; made where it is missing.

    Raises:
        ArchiveError: It is damaged, encrypted or of no known kind; a member is a link or a device, leaves the folder,
            collides with another one or with another file that is there; or it is a bomb.
        DataError: The disk is full, or the tool that the kind needs is missing.
    """
    with _wrap_archive_errors(archive), contextlib.closing(_members(archive)) as members:
        accepted = _accept(archive, members)
    temporary = archive.with_name(f".{archive.name}.unpacking")
    shutil.rmtree(temporary, ignore_errors=True)
    require_room(archive.parent, accepted.size, f"the content of {archive.name}")
    try:
        temporary.mkdir(parents=True)
        with _wrap_archive_errors(archive), contextlib.closing(_members(archive)) as members:
            for member in members:
                if not member.is_macos_s_own:
                    _write(member, temporary.joinpath(*member.path.parts), archive)
        destination.parent.mkdir(parents=True, exist_ok=True)
        _settle(temporary, destination, archive)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return accepted


def _accept(archive: Path, members: Iterable[_Member]) -> Unpacked:
    """Look through all members."""
    limit = max(LARGEST_RATIO * archive.stat().st_size, ALWAYS_ALLOWED)
    files: set[PurePosixPath] = set()
    folders: set[PurePosixPath] = set()
    size = left_out = 0
    for member in members:
        if reason := _objection(member, files, folders):
            raise ArchiveError(
                f"the archive is not unpacked: {reason}: {member.name!r}",
                file=archive,
                remedy="do not trust it: get the file from its publisher",
            )
        size += member.size
        if size > limit:
            raise ArchiveError(
                f"the archive says it holds over {LARGEST_RATIO} times its own size",
                file=archive,
                remedy="do not trust it: get the file from its publisher",
            )
        folders.update(member.path.parents)
        (folders if member.kind == "folder" else files).add(member.path)
        left_out += member.kind == "file" and member.is_macos_s_own
    if not files:
        raise ArchiveError("the archive holds no file", file=archive, remedy=_FRESH)
    return Unpacked(len(files) - left_out, size, left_out)


def _objection(member: _Member, files: set[PurePosixPath], folders: set[PurePosixPath]) -> str | None:
    path = member.path
    if member.kind not in ("file", "folder"):
        return f"it holds a {member.kind}"
    if member.encrypted:
        return "it is encrypted"
    if path.is_absolute() or re.match(r"[A-Za-z]:", member.name):
        return "an absolute path"
    if ".." in path.parts:
        return "a path that leaves the folder"
    if "\0" in member.name or (member.kind == "file" and not path.parts):
        return "a name that is none"
    twice = path in files or (member.kind == "file" and path in folders)
    if twice or any(parent in files for parent in path.parents):
        return "two members of one name"
    return None


def _write(member: _Member, path: Path, archive: Path) -> None:
    if member.kind == "folder":
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    try:
        target = open(path, "xb")  # noqa: SIM115 - a with statement below
    except FileExistsError as error:
        raise ArchiveError(
            f"two members of one name on this disk: {member.name!r}",
            file=archive,
            remedy="unpack it on a case-sensitive disk",
        ) from error
    with target, contextlib.closing(member.open()) as source:
        while piece := source.read(_CHUNK):
            written += len(piece)
            if written > member.size:
                break
            target.write(piece)
    if written != member.size:
        how = "more" if written > member.size else "less"
        raise ArchiveError(f"{member.name!r} holds {how} than the archive says", file=archive, remedy=_FRESH)


def _settle(source: Path, target: Path, archive: Path) -> None:
    """Move what was unpacked to where it belongs; what an interrupted move left there is the same."""
    if not target.exists():
        os.replace(source, target)
    elif source.is_dir() and target.is_dir():
        for child in sorted(source.iterdir()):
            _settle(child, target / child.name, archive)
    elif source.is_file() and target.is_file() and filecmp.cmp(source, target, shallow=False):
        source.unlink()
    else:
        raise ArchiveError(
            f"the archive holds another {target.name} than the one on this disk",
            file=target,
            remedy=f"move it away, if it is yours, and unpack {archive.name} again",
        )


@contextlib.contextmanager
def _wrap_archive_errors(archive: Path) -> Iterator[None]:
    """Name the archive in the errors of the libraries that read it."""
    try:
        yield
    except ContrastsegError:
        raise
    except Exception as error:  # on damaged headers the libraries raise errors of every kind
        # Decompressors give no number.
        if isinstance(error, OSError) and error.errno not in (None, *_IMPOSSIBLE):
            raise
        raise ArchiveError(f"the archive is damaged or cut off: {error}", file=archive, remedy=_FRESH) from error


def _members(archive: Path) -> Generator[_Member]:
    with open(archive, "rb") as file:
        head = file.read(512)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zip_members(archive)
    if head.startswith(b"Rar!\x1a\x07"):
        return _rar_members(archive)
    if head.startswith(b"7z\xbc\xaf\x27\x1c"):
        return _seven_zip_members(archive)
    if head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00")) or head[257:262] == b"ustar":
        return _tar_members(archive)
    raise ArchiveError("the file is not a zip, tar, rar or 7z archive", file=archive, remedy=_FRESH)


def _zip_members(archive: Path) -> Generator[_Member]:
    kinds = {0: "", stat.S_IFREG: "", stat.S_IFDIR: "", stat.S_IFLNK: "symbolic link"}
    with zipfile.ZipFile(archive) as opened:
        for info in opened.infolist():
            kind = kinds.get(stat.S_IFMT(info.external_attr >> 16), "device")
            kind = kind or ("folder" if info.is_dir() else "file")
            encrypted = bool(info.flag_bits & 0x41)
            yield _Member(info.filename, info.file_size, kind, encrypted, partial(_of_zip, opened, info))


def _of_zip(opened: zipfile.ZipFile, info: zipfile.ZipInfo) -> BinaryIO:
    return cast(BinaryIO, opened.open(info))


class _TarInfo(tarfile.TarInfo):
    """Raises where tarfile takes garbage, or the end of the file, for the end of the archive."""

    @classmethod
    def fromtarfile(cls, tarfile_: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(tarfile_)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined] # the mark at the archive's end
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"{error}, and its end is missing") from error

    def _block(self, count: int) -> int:
        # A negative size would lead back to a header that was read already, again and again.
        if count < 0:
            raise tarfile.ReadError(f"a member of {count} bytes")
        return super()._block(count)  # type: ignore[misc]


def _tar_members(archive: Path) -> Generator[_Member]:
    with tarfile.open(archive, "r:*", tarinfo=_TarInfo) as opened:
        yield from _of_tar(opened)
        assert opened.fileobj is not None
        while opened.fileobj.read(_CHUNK):  # the checksum of compressed files comes last
            pass


def _of_tar(opened: tarfile.TarFile) -> Generator[_Member]:
    for info in opened:
        kind = "file" if info.isreg() else "folder" if info.isdir() else "device"
        kind = "symbolic link" if info.issym() else "hard link" if info.islnk() else kind
        yield _Member(info.name, info.size, kind, False, partial(_from_tar, opened, info))


def _from_tar(opened: tarfile.TarFile, info: tarfile.TarInfo) -> BinaryIO:
    return cast(BinaryIO, opened.extractfile(info))


def _rar_members(archive: Path) -> Generator[_Member]:
    try:
        import rarfile
    except ImportError as error:
        raise _missing(archive, "rar", "the package rarfile (pip install 'contrastseg[clients]')") from error

    def reader(info: Any) -> BinaryIO:
        try:
            return cast(BinaryIO, opened.open(info))
        except rarfile.RarCannotExec as error:
            raise _missing(archive, "rar", "one of the programs unrar, unar, 7z or bsdtar") from error

    with rarfile.RarFile(archive, errors="strict") as opened:
        for info in opened.infolist():
            kind = "folder" if info.is_dir() else "file" if info.is_file() else "link"
            yield _Member(info.filename, info.file_size, kind, bool(info.needs_password()), partial(reader, info))
        if not opened.infolist() and opened.needs_password():
            raise ArchiveError("the archive is not unpacked: it is encrypted", file=archive, remedy=_FRESH)


def _seven_zip_members(archive: Path) -> Generator[_Member]:
    """By way of bsdtar, which makes a stream of tar of it."""
    program = shutil.which("bsdtar")
    if program is None:
        raise _missing(archive, "7z", "the program bsdtar (libarchive-tools)")
    command = [program, "-cf", "-", "--format=pax", f"@{archive.resolve()}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|", tarinfo=_TarInfo) as opened:
                yield from _of_tar(opened)
            _, complaint = process.communicate()
        finally:
            process.kill()
    if process.returncode:
        said = complaint.decode(errors="replace").strip().replace("\n", "; ")
        raise ArchiveError(f"the archive is damaged, cut off or encrypted: {said}", file=archive, remedy=_FRESH)


def _missing(archive: Path, kind: str, what: str) -> DataError:
    return DataError(
        f"a {kind} archive cannot be unpacked without {what}",
        file=archive,
        remedy="install it and run again, or unpack the archive by hand and put the folder below CONTRASTSEG_DATA",
    )
