"""Makes small rar archives (version 5) after the published description of the format: no free program writes them."""

from __future__ import annotations

import zlib

SYMBOLIC_LINK, HARD_LINK = 1, 4


def archive(*members: bytes) -> bytes:
    """The members of `file`, `folder` and `link`, between the archive's own headers."""
    return b"Rar!\x1a\x07\x01\x00" + _block(1, b"\0") + b"".join(members) + _block(5, b"\0")


def file(name: str, content: bytes, *, method: int = 0, encrypted: bool = False) -> bytes:
    """A file, stored as it is; with another method its content has to be compressed, which nothing here can."""
    extra = _sized(b"\x01" + b"\0\0" + bytes(33)) if encrypted else b""
    return _member(name, content, method=method, extra=extra)


def folder(name: str) -> bytes:
    """A folder."""
    return _member(name, b"", flags=1)


def link(name: str, target: str, kind: int) -> bytes:
    """A symbolic or hard link."""
    where = target.encode()
    return _member(name, b"", extra=_sized(b"\x05" + _number(kind) + b"\0" + _sized(where)))


def _member(name: str, content: bytes, *, flags: int = 0, method: int = 0, extra: bytes = b"") -> bytes:
    crc = zlib.crc32(content).to_bytes(4, "little")
    unix_mode = 0o40755 if flags else 0o100644
    fields = _number(flags | 4) + _number(len(content)) + _number(unix_mode) + crc + _number(method << 7) + b"\x01"
    return _block(2, fields + _sized(name.encode()), extra, content)


def _block(kind: int, fields: bytes, extra: bytes = b"", data: bytes = b"") -> bytes:
    flags = (1 if extra else 0) | (2 if kind == 2 else 0)
    sizes = (_number(len(extra)) if extra else b"") + (_number(len(data)) if kind == 2 else b"")
    header = _sized(_number(kind) + _number(flags) + sizes + fields + extra)
    return zlib.crc32(header).to_bytes(4, "little") + header + data


def _sized(content: bytes) -> bytes:
    return _number(len(content)) + content


def _number(value: int) -> bytes:
    found = b""
    while value > 127:
        found += bytes([value & 127 | 128])
        value >>= 7
    return found + bytes([value])
