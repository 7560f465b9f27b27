"""Writing beside computing: one thread writes what is there while the next is computed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_Item = TypeVar("_Item")
_Written = TypeVar("_Written")
_WAITING_BYTES = 2**28


def write_behind(
    items: Iterable[_Item],
    write: Callable[[_Item], _Written],
    size: Callable[[_Item], int],
    most: int = _WAITING_BYTES,
) -> Iterator[_Written]:
    """Write every item in a thread of its own, one after the other, while `items` makes the next.

    Args:
        items: What to write.
        write: Called in the thread, in the order of `items`.
        size: Bytes that an item holds.
        most: Bytes that may wait to be written before the next item is waited with; a single item may be larger.

    Yields:
        What `write` returned, in order.

    Raises:
        Exception: What `items` raised, after everything before it is written; or what `write` raised, and then items
            that came after the faulty one are not written.
    """
    waiting: deque[tuple[Future[_Written], int]] = deque()
    source = iter(items)
    thread = ThreadPoolExecutor(1, "write-behind")

    def written() -> _Written:
        return waiting.popleft()[0].result()

    try:
        while True:
            try:
                item = next(source)
            except StopIteration:
                break
            except Exception:
                while waiting:
                    yield written()
                raise
            bytes_here = size(item)
            while waiting and (waiting[0][0].done() or sum(held for _, held in waiting) + bytes_here > most):
                yield written()
            waiting.append((thread.submit(write, item), bytes_here))
            del item
        while waiting:
            yield written()
    finally:
        thread.shutdown(cancel_futures=True)
