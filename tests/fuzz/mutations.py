"""Damages a valid file as disks, broken connections and hostile people do; the same number, the same damage."""

from __future__ import annotations

import copy
import json
import random
import re
import struct
from typing import Any

# What writers of files and of exploits have put where a number is expected.
_NUMBERS = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 10**12, 2**63 - 1, 2**64 - 1)
_REALS = (float("nan"), float("inf"), -1.0, 0.0, 1e300)
_WORDS = (
    b"", b"null", b"NaN", b"-1", b"0", b"1e999", b"1.5", b"9" * 5000, b"[]", b"{}", b"true", b"''", b"\xff\xfe",
    b"\x00", b"../../x", b"a;rm -rf x", b"$(x)", b"2024-13-45", b"!!int x", b"&a [*a]", b'"', b",", b"\n", b"[" * 3000,
)  # fmt: skip
_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1.5, 10**30, float("nan"), "", "x", "../../x", "$(x)", [], {}, [[]], [None], {"x": 1}, [1, 2],
)  # fmt: skip
_HEAD = 400


def damaged(seed: bytes, rng: random.Random, structured: bool = False) -> tuple[str, bytes]:
    """A damaged copy of a file.

    Args:
        seed: The whole file.
        rng: Decides what happens to it.
        structured: Whether it is JSON, of which parts may be exchanged for other values.

    Returns:
        What was done (`truncated` alone means that nothing but the end is missing), and the bytes.
    """
    if structured and rng.random() < 0.5:
        return "value", _other_value(seed, rng)
    name = rng.choice(sorted(_CHANGES))
    return name, _CHANGES[name](seed, rng)


def _place(seed: bytes, rng: random.Random) -> int:
    """Where headers are, half of the time."""
    return rng.randrange(min(len(seed), _HEAD) if rng.random() < 0.5 else len(seed))


def _truncated(seed: bytes, rng: random.Random) -> bytes:
    return seed[: rng.randrange(len(seed))]


def _bits(seed: bytes, rng: random.Random) -> bytes:
    found = bytearray(seed)
    for _ in range(rng.choice((1, 1, 2, 8))):
        found[_place(seed, rng)] ^= 1 << rng.randrange(8)
    return bytes(found)


def _bytes(seed: bytes, rng: random.Random) -> bytes:
    found = bytearray(seed)
    for _ in range(rng.choice((1, 2, 4, 16))):
        found[_place(seed, rng)] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
    return bytes(found)


def _zeros(seed: bytes, rng: random.Random) -> bytes:
    first, length = _place(seed, rng), rng.choice((4, 64, 512, len(seed)))
    return seed[:first] + bytes(len(seed[first : first + length])) + seed[first + length :]


def _spliced(seed: bytes, rng: random.Random) -> bytes:
    first, source = _place(seed, rng), _place(seed, rng)
    piece = seed[source : source + rng.choice((2, 16, 256))]
    return seed[:first] + piece + seed[first + rng.choice((0, len(piece))) :]


def _cut_out(seed: bytes, rng: random.Random) -> bytes:
    first = _place(seed, rng)
    return seed[:first] + seed[first + rng.choice((1, 4, 64)) :]


def _number(seed: bytes, rng: random.Random) -> bytes:
    kind = rng.choice("BHIQfd")
    order = rng.choice("<>")
    size = struct.calcsize(order + kind)
    number = rng.choice(_REALS if kind in "fd" else _NUMBERS)
    if kind == "f":
        number = min(number, 1e30)
    elif kind != "d":
        number &= (1 << 8 * size) - 1
    first = _place(seed, rng)
    first -= first % rng.choice((1, size))
    return (seed[:first] + struct.pack(order + kind, number) + seed[first + size :])[: max(len(seed), first + size)]


def _word(seed: bytes, rng: random.Random) -> bytes:
    words = list(re.finditer(rb"[A-Za-z0-9_.+-]{1,200}", seed))
    if not words:
        return _bits(seed, rng)
    found = rng.choice(words)
    other = rng.choice((rng.choice(_WORDS), rng.choice(words)[0]))
    return seed[: found.start()] + other + seed[found.end() :]


_CHANGES = {
    "truncated": _truncated,
    "bits": _bits,
    "bytes": _bytes,
    "zeros": _zeros,
    "spliced": _spliced,
    "cut out": _cut_out,
    "number": _number,
    "word": _word,
}


def _other_value(seed: bytes, rng: random.Random) -> bytes:
    """JSON with one or two of its values exchanged, left out, or put where another belongs."""
    value = json.loads(seed)
    for _ in range(rng.choice((1, 1, 2))):
        places = list(_places(value))
        if not places:
            break
        holder, key = rng.choice(places)
        what = rng.random()
        if what < 0.25:
            del holder[key]
        elif what < 0.5:
            other, name = rng.choice(places)
            # Copied: a value inside itself has no JSON.
            holder[key] = copy.deepcopy(other[name])
        else:
            holder[key] = copy.deepcopy(rng.choice(_VALUES))
    return json.dumps(value).encode()


def _places(value: Any) -> Any:
    """(container, key) of everything inside a value."""
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield value, key
            yield from _places(item)
