"""One thread writes while the next is made; nothing is lost and no error is swallowed."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from contrastseg.training.write_behind import write_behind


def test_items_are_written_in_order_by_one_other_thread_while_the_next_are_made() -> None:
    made, written = threading.Event(), []
    names = set()

    def items() -> Iterator[int]:
        yield 0
        made.set()  # the first is being written: it waits for this
        yield from range(1, 20)

    def write(item: int) -> str:
        assert made.wait(10)
        names.add(threading.current_thread().name)
        written.append(item)
        return str(item)

    assert list(write_behind(items(), write, lambda item: 1)) == [str(item) for item in range(20)]
    assert written == list(range(20))
    assert len(names) == 1
    assert threading.current_thread().name not in names


def test_no_more_waits_than_the_bytes_allow() -> None:
    waiting, most = 0, 0
    lock = threading.Lock()

    def change(by: int) -> None:
        nonlocal waiting, most
        with lock:
            waiting += by
            most = max(most, waiting)

    def items() -> Iterator[int]:
        for item in range(12):
            change(1)
            yield item

    def write(item: int) -> int:
        time.sleep(0.002)
        change(-1)
        return item

    assert list(write_behind(items(), write, lambda item: 10, most=30)) == list(range(12))
    assert 2 <= most <= 4, "three that wait and the one that was just made"
    most = 0
    assert list(write_behind(items(), write, lambda item: 100, most=30)) == list(range(12))
    assert most == 2, "an item larger than what may wait is written by itself"


def test_an_error_of_the_maker_comes_when_all_before_it_is_written() -> None:
    def items() -> Iterator[int]:
        yield from range(4)
        raise KeyError("item 4")

    found: list[int] = []
    written: list[int] = []

    def write(item: int) -> int:
        time.sleep(0.01)
        written.append(item)
        return item

    with pytest.raises(KeyError, match="item 4"):
        found.extend(write_behind(items(), write, lambda item: 1))
    assert found == written == [0, 1, 2, 3]


def test_an_error_of_the_writer_ends_it() -> None:
    written: list[int] = []

    def write(item: int) -> int:
        if item == 2:
            raise OSError("no space left")
        written.append(item)
        return item

    found: list[int] = []
    with pytest.raises(OSError, match="no space left"):
        found.extend(write_behind(range(1000), write, lambda item: 1, most=5))
    assert found == [0, 1]
    assert len(written) < 10, "what was not begun is left"
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("write-behind")]


def test_both_fail() -> None:
    """The files come first: what could not be written was made before what could not be made."""

    def items() -> Iterator[int]:
        yield 0
        raise KeyError("item 1")

    def write(item: int) -> int:
        time.sleep(0.01)
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left") as caught:
        list(write_behind(items(), write, lambda item: 1))
    assert isinstance(caught.value.__context__, KeyError)
