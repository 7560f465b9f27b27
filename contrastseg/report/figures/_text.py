"""Text that fits: names are cleaned, wrapped and shortened to a width in inches, before anything is drawn."""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from functools import cache, lru_cache

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from contrastseg.report.figures._fonts import families, legible

SMALL = 7.0  # points: the smallest text of any figure, at the width it is printed


def clean(text: str) -> str:
    """The text without line breaks, control characters, marks that turn the reading direction, and unknown letters."""
    kinds = {letter: unicodedata.category(letter) for letter in set(text)}
    drawn = (" " if kinds[letter] == "Cc" else letter for letter in text if _shows(letter, kinds[letter]))
    return legible(" ".join("".join(drawn).split()))


def _shows(letter: str, kind: str) -> bool:
    """Whether a character is more than an instruction to who draws it, such as a variation selector."""
    return kind not in ("Cf", "Cs") and not "\ufe00" <= letter <= "\ufe0f"


@cache
def _font(bold: bool, families: tuple[str, ...]) -> FontProperties:
    return FontProperties(family=list(families), weight="bold" if bold else "normal", size=100)


@lru_cache(maxsize=20000)
def width_of(text: str, size: float, bold: bool = False) -> float:
    """Width in inches of one line of text at `size` points."""
    width: float = text_to_path.get_text_width_height_descent(text, _font(bold, tuple(families(text))), False)[0]
    return width * size / 100 / 72


def shortened(text: str, width: float, size: float, bold: bool = False) -> str:
    """The text, or its beginning and end around an ellipsis where it is wider than `width` inches."""
    if width_of(text, size, bold) <= width:
        return text
    too_many = bisect_right(range(len(text)), width, key=lambda kept: width_of(_cut(text, kept), size, bold))
    # Some more letters may yet fit: a cut at a space is narrower than the one before it.
    for kept in range(min(too_many + 3, len(text) - 1), 1, -1):
        if width_of(short := _cut(text, kept), size, bold) <= width:
            return short
    return "…"


def _cut(text: str, kept: int) -> str:
    """So many letters of the text around an ellipsis, half of them from its end; no space beside it."""
    return f"{text[: (kept + 1) // 2].rstrip()}…{text[len(text) - kept // 2 :].lstrip()}"


def fitted(text: str, width: float, size: float, bold: bool = False, lines: int = 1) -> str:
    """The cleaned text in at most `lines` lines of `width` inches; what does not fit is shortened.

    Two lines are broken before a bracket or at a dot between phrases where both parts fit, else at spaces.
    """
    text = clean(text)
    if lines == 2 and width_of(text, size, bold) > width:
        for mark in (" · ", " ("):
            head, separator, tail = text.rpartition(mark)
            tail = f"({tail}" if mark == " (" else tail
            if separator and max(width_of(piece, size, bold) for piece in (head, tail)) <= width:
                return f"{head}\n{tail}"
    rest = text.split(" ")
    written: list[str] = []
    while rest and len(written) < lines - 1:
        count = len(rest)
        while count > 1 and width_of(" ".join(rest[:count]), size, bold) > width:
            count -= 1
        written.append(shortened(" ".join(rest[:count]), width, size, bold))
        rest = rest[count:]
    if rest:
        written.append(shortened(" ".join(rest), width, size, bold))
    return "\n".join(written)


def distinct(names: list[str], width: float, size: float, bold: bool = False, lines: int = 1) -> list[str]:
    """All names fitted; those that look the same once shortened are numbered, for two methods must not pass for one."""
    short = [fitted(name, width, size, bold, lines) for name in names]
    numbered = []
    for place, text in enumerate(short):
        mark = f" #{short[: place + 1].count(text)}" if short.count(text) > 1 else ""
        numbered.append(fitted(names[place], width - width_of(mark, size, bold), size, bold, lines) + mark)
    return numbered
