"""Which item of the list comes next, and whether it fits into the seconds that are left."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MARGIN_S = 10.0
"""Seconds kept back for the last files and the table; a tenth of the whole where that is less."""
AGAIN = 1.25
"""An item that was cut off needs more than it had: this multiple of it at least."""


@dataclass(frozen=True)
class Item:
    """One line of the list.

    Attributes:
        name: Its name in the record.
        what: What it measures, in words.
        command: The script and its arguments.
        seconds: What it takes on a large GPU. For a sliced item, the shortest slice worth its start.
        benchmark: The CSV file it adds rows to.
        keys: Columns that tell rows apart: a row replaces the one with equal values there.
        sliced: Whether it stops by itself before the deadline and goes on from there the next time.
    """

    name: str
    what: str
    command: tuple[str, ...]
    seconds: float
    benchmark: str = ""
    keys: tuple[str, ...] = ()
    sliced: bool = False


class Deadline:
    """The end of this call.

    Args:
        minutes: From now.
        clock: Seconds since the epoch.
    """

    def __init__(self, minutes: float, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.at = clock() + 60 * minutes - min(MARGIN_S, 6 * minutes)

    def left(self) -> float:
        """Seconds to go; negative afterwards."""
        return self.at - self._clock()


def needed(item: Item, entry: Mapping[str, Any] | None) -> float:
    """Seconds that must be left for an item to start: by the list, or by what cut it off the last time."""
    if item.sliced or entry is None or entry["status"] != "cut off":
        return item.seconds
    return max(item.seconds, AGAIN * float(entry["last_s"]))


def following(
    items: Sequence[Item], record: Mapping[str, Mapping[str, Any]], tried: Collection[str], left: float
) -> Item | None:
    """The first item that is not done, was not tried in this call, and fits; what failed before comes last.

    Args:
        items: The list.
        record: By item, its `status` (`done`, `failed`, `cut off`, `begun`) and `last_s`, the seconds of its last try.
        tried: Items of this call.
        left: Seconds.
    """
    open_items = [item for item in items if item.name not in tried and status(record, item) != "done"]
    open_items.sort(key=lambda item: status(record, item) == "failed")
    return next((item for item in open_items if needed(item, record.get(item.name)) <= left), None)


def status(record: Mapping[str, Mapping[str, Any]], item: Item) -> str:
    """Of an item; empty before its first try."""
    return str(record[item.name]["status"]) if item.name in record else ""
