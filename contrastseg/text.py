"""Words for numbers."""

from __future__ import annotations


def plural(count: int, word: str) -> str:
    """Such as "1 patient" and "3 patients"."""
    return f"{count} {word}{'' if count == 1 else 's'}"
