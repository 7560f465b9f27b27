"""Whether the elements of a DICOM file end inside it: asked before a decoder reserves what a damaged length claims."""

from __future__ import annotations

import struct
from pathlib import Path

from contrastseg.errors import DataError

_PREAMBLE, _MAGIC = 128, b"DICM"
_META = 0x0002
_SYNTAX = (0x0002, 0x0010)
_IMPLICIT = b"1.2.840.10008.1.2"
_OTHERS = (b"1.2.840.10008.1.2.2", b"1.2.840.10008.1.2.1.99")  # big-endian and deflated
_SHORT = {
    *(b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FL", b"FD", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL", b"SS"),
    *(b"ST", b"TM", b"UI", b"UL", b"US"),
}
_LONG = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
_UNDEFINED = 0xFFFFFFFF


def check_lengths(path: Path, case: str | None = None) -> None:
    """Refuse a file with an element that claims more bytes than follow.

    Elements are followed as far as their lengths tell where the next one is: to the first of undefined length or of an
    unknown kind, and not through files without the usual start, in big-endian order or deflated. The rest is the
    decoder's.

    Raises:
        DataError: An element ends beyond the file, or the file's own head has one of a kind that there is not.
    """
    content = path.read_bytes()
    offset, implicit = _PREAMBLE + len(_MAGIC), False
    if content[_PREAMBLE:offset] != _MAGIC:
        return
    syntax = b""
    while offset + 8 <= len(content):
        tag = struct.unpack_from("<HH", content, offset)
        if tag[0] != _META:
            if syntax in _OTHERS:
                return
            implicit = syntax == _IMPLICIT
        start_and_length = _length(content, offset, implicit)
        name, remedy = f"element ({tag[0]:04x},{tag[1]:04x})", "download or copy it again"
        if start_and_length is None and tag[0] == _META:  # decoders go on, and take what follows for a length
            raise DataError(f"{name} is of no kind that there is", case=case, file=path, remedy=remedy)
        if start_and_length is None or start_and_length[1] == _UNDEFINED:
            return
        start, length = start_and_length
        if start + length > len(content):
            said = f"{name} claims {length} bytes, and {len(content) - start} follow"
            raise DataError(said, case=case, file=path, remedy=remedy)
        if tag == _SYNTAX:
            syntax = content[start : start + length].rstrip(b"\0 ")
        offset = start + length


def _length(content: bytes, offset: int, implicit: bool) -> tuple[int, int] | None:
    """Where an element's value begins and its length; None where neither can be told."""
    value_type = content[offset + 4 : offset + 6]
    if implicit:
        return offset + 8, struct.unpack_from("<I", content, offset + 4)[0]
    if value_type in _SHORT:
        return offset + 8, struct.unpack_from("<H", content, offset + 6)[0]
    if value_type in _LONG and offset + 12 <= len(content):
        return offset + 12, struct.unpack_from("<I", content, offset + 8)[0]
    return None
