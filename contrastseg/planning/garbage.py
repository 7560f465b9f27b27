"""Python's search for objects that can go, in a process that plans and keeps all it makes."""

from __future__ import annotations

import atexit
import gc

ALLOCATIONS = 1_000_000
"""Objects between two searches among the newest; Python's own number is 700."""


def keep_objects() -> None:
    """Look for objects that can go seldom, and not at all at the end.

    A plan is millions of objects that all stay: Python need not look through them again and again. Nor need it take
    them apart one by one when the process ends, as its memory goes back as a whole.
    """
    gc.set_threshold(ALLOCATIONS, 50, 100)
    atexit.register(gc.freeze)
