"""What label values mean, for every room."""

from __future__ import annotations

from typing import Final

IGNORE: Final = 255
"""The label of pixels that neither train nor score."""
