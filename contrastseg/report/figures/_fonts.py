"""Fonts of a figure's text: the one that comes with matplotlib, and for letters it lacks one that this machine has."""

from __future__ import annotations

import unicodedata
import warnings
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

FAMILY = "DejaVu Sans"  # comes with matplotlib, so that every machine draws the same letters
# Looked at first, for they hold the letters of many names; then every other font of the machine, by name.
PREFERRED = (
    *(f"{maker} {region}" for maker in ("Noto Sans CJK", "Source Han Sans") for region in ("SC", "TC", "JP", "KR")),
    *("WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "Droid Sans Fallback", "PingFang SC", "Hiragino Sans"),
    *("Microsoft YaHei", "SimHei", "Yu Gothic", "Meiryo", "Malgun Gothic", "Apple SD Gothic Neo"),
    *("Noto Sans", "Arial Unicode MS", "Noto Emoji", "Segoe UI Symbol"),
)
_REMEDY = "install a font that has them, such as Noto Sans CJK for Chinese, Japanese and Korean names"


@cache
def family_of(letter: str) -> str | None:
    """The family that draws a letter; None where no font of this machine has it."""
    code = ord(letter)
    if letter.isspace() or code in _letters(font_manager.findfont(FAMILY)):
        return FAMILY
    return next((name for name, file in _installed() if code in _letters(file)), None)


def families(text: str) -> list[str]:
    """The families that a text is drawn with, the bundled one first; letter by letter the first that has it."""
    return list(dict.fromkeys([FAMILY, *(family for letter in text if (family := family_of(letter)))]))


def legible(text: str) -> str:
    """The text with code points, such as U+540D after a backslash, in place of letters that no font here has."""
    if text.isascii():
        return text
    return "".join(letter if family_of(letter) else _code_point(letter) for letter in text)


def warn_of_missing_letters(texts: Iterable[str]) -> None:
    """Warn, once for all of them, of letters that no font of this machine has."""
    missing = sorted({letter for text in texts for letter in text if not text.isascii() and not family_of(letter)})
    missing = [letter for letter in missing if unicodedata.category(letter) not in ("Cc", "Cf", "Cs")]
    if missing:
        listed = " ".join(missing[:20]) + (f" and {len(missing) - 20} more" if len(missing) > 20 else "")
        warnings.warn(
            f"no font on this machine has {listed}: figures show code points instead, tables and report.html the "
            f"letters. Fix: {_REMEDY}, and draw the figures again.",
            stacklevel=2,
        )


def _code_point(letter: str) -> str:
    code = ord(letter)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


@cache
def _letters(file: str) -> frozenset[int]:
    """Code points that a font file has outlines for; none where it cannot be read or holds pictures only."""
    try:
        font = FT2Font(file)
        outlined = bool(font.scalable) if hasattr(font, "scalable") else True
        return frozenset(font.get_charmap()) if outlined else frozenset()
    except (OSError, RuntimeError, ValueError):
        return frozenset()


@cache
def _installed() -> list[tuple[str, str]]:
    """Family and file of the upright fonts of this machine, those preferred first; matplotlib's own list may be old."""
    manager = font_manager.fontManager
    known = {Path(entry.fname) for entry in manager.ttflist}
    for file in sorted(font_manager.findSystemFonts()):
        if Path(file) not in known:
            try:
                manager.addfont(file)
            except (OSError, RuntimeError, ValueError):
                continue  # a file that matplotlib cannot read draws nothing
    upright = {(entry.name, entry.fname) for entry in manager.ttflist if entry.style == "normal"}
    upright = {font for font in upright if "lastresort" not in font[0].lower().replace(" ", "")}  # boxes for everything
    place = {name: at for at, name in enumerate(PREFERRED)}
    return sorted(upright, key=lambda font: (place.get(font[0], len(place)), font))
