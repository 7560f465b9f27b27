"""Python's garbage collection in a process that plans and keeps nearly every object."""

from __future__ import annotations

import atexit
import gc

ALLOCATIONS = 1_000_000
"""Allocations between two collections of the youngest objects; Python's default is 700."""


def keep_objects() -> None:
    """Collect garbage rarely, and not at all when the process ends.

    A plan is millions of objects that all stay, so collections find next to nothing. At the end the operating system
    takes the memory back as a whole, which is faster than deleting objects one by one.
    """
    gc.set_threshold(ALLOCATIONS, 50, 100)
    atexit.register(gc.freeze)
