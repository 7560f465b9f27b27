"""What is asked of CUDA, and in which order; `tests/gpu` has what comes of it on a GPU."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from contrastseg.training.cuda_graphs import CudaGraphs

GPU = torch.device("cuda", 0)


class Stream:
    """Writes down what it is asked to wait for."""

    def __init__(self, name: str, asked: list[str]) -> None:
        self.name, self.asked = name, asked

    def wait_stream(self, other: Stream) -> None:
        self.asked.append(f"{self.name} waits for {other.name}")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Calls of torch.cuda, in order; nothing of them is done."""
    calls: list[str] = []
    main, mode = Stream("main", calls), [0]

    @contextmanager
    def stream(side: Stream) -> Iterator[None]:
        calls.append(f"on {side.name}")
        yield
        calls.append(f"off {side.name}")

    @contextmanager
    def graph(graph: Any, *, pool: Any, stream: Stream, capture_error_mode: str) -> Iterator[None]:
        calls.append(f"record {pool} on {stream.name}, {capture_error_mode}")
        yield  # an exception goes on from here, as when ending the capture fails
        calls.append("recorded")

    class Graph:
        def replay(self) -> None:
            calls.append("replay")

    class Generator:
        def __init__(self, device: torch.device) -> None:
            self.device = device

        def graphsafe_get_state(self) -> str:
            return f"fresh state of {self.device}"

        def graphsafe_set_state(self, state: str) -> None:
            calls.append(f"default generator has {state}")

    for name, value in {
        "Stream": lambda device: Stream("side", calls),
        "current_stream": lambda device: main,
        "stream": stream,
        "graph": graph,
        "CUDAGraph": Graph,
        "graph_pool_handle": lambda: "pool",
        "set_stream": lambda chosen: calls.append(f"back to {chosen.name}"),
        "default_generators": (Generator(GPU),),
        "get_sync_debug_mode": lambda: mode[0],
        "set_sync_debug_mode": lambda chosen: mode.__setitem__(0, chosen),
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(torch, "Generator", Generator)
    return calls


def test_steps_before_the_recording_are_taken_on_its_stream(asked: list[str]) -> None:
    CudaGraphs(GPU).run(lambda: asked.append("work"))
    assert asked == ["side waits for main", "on side", "work", "off side", "main waits for side"]


def test_a_recording_is_replayed_and_its_work_is_not_done_again(asked: list[str]) -> None:
    replay = CudaGraphs(GPU).record(lambda: asked.append("work"))
    assert asked == ["record pool on side, thread_local", "work", "recorded"]
    replay()
    replay()
    assert asked[3:] == ["replay", "replay"]


@pytest.mark.parametrize("left", [True, False])
def test_a_failed_recording_is_left(asked: list[str], monkeypatch: pytest.MonkeyPatch, left: bool) -> None:
    """Whether torch has left its memory pool by itself, which is an error to leave twice, or not."""

    def leave(index: int, pool: str) -> None:
        if left:
            raise RuntimeError("endAllocatePool: not currently recording to mempool_id")
        asked.append(f"device {index} leaves {pool}")

    monkeypatch.setattr(torch._C, "_cuda_endAllocateToPool", leave, raising=False)

    def work() -> None:
        raise ValueError("planted")

    with pytest.raises(ValueError, match="planted"):
        CudaGraphs(GPU).record(work)
    after = ["back to main", *([] if left else ["device 0 leaves pool"])]
    assert asked[1:] == [*after, "default generator has fresh state of cuda:0"]


def test_a_watched_step_tells_where_the_host_waits(asked: list[str]) -> None:
    waits: list[str] = []

    def watch() -> None:
        with CudaGraphs(GPU).watching() as found:
            assert torch.cuda.get_sync_debug_mode() == "warn"
            warnings.warn_explicit("called a synchronizing CUDA operation", UserWarning, "/a/method.py", 7)
            warnings.warn_explicit("of something else", UserWarning, "/a/method.py", 8)
        waits.extend(found)

    with pytest.warns(UserWarning, match="of something else") as others:
        watch()
    assert waits == ["method.py:7"]
    assert [warning.lineno for warning in others] == [8]
    assert torch.cuda.get_sync_debug_mode() == 0
