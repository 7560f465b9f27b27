"""Recording on a GPU by CUDA graphs."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

_WAITS = "synchronizing CUDA operation"  # as torch words it


class CudaGraphs:
    """A `Recorder` that makes CUDA graphs, on a stream of its own.

    Args:
        device: A CUDA device.
    """

    own_generator = True

    def __init__(self, device: torch.device) -> None:
        self._device = device
        # Steps before the recording take this stream too: autograd remembers the stream a weight's gradient came on.
        self._stream = torch.cuda.Stream(device)

    def run(self, work: Callable[[], None]) -> None:
        """Do it on the stream."""
        main = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(main)
        with torch.cuda.stream(self._stream):
            work()
        main.wait_stream(self._stream)

    @contextlib.contextmanager
    def watching(self) -> Iterator[list[str]]:
        """Collects the places where the host waits, as torch warns of them."""
        waits: list[str] = []
        before = torch.cuda.get_sync_debug_mode()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                yield waits
            finally:
                torch.cuda.set_sync_debug_mode(before)
        for warning in caught:
            if _WAITS in str(warning.message):
                waits.append(f"{Path(warning.filename).name}:{warning.lineno}")
            else:
                warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """One graph of it."""
        graph, pool = torch.cuda.CUDAGraph(), torch.cuda.graph_pool_handle()
        main = torch.cuda.current_stream(self._device)
        try:
            # Of this thread alone: another may be bringing the next batch.
            with torch.cuda.graph(graph, pool=pool, stream=self._stream, capture_error_mode="thread_local"):
                work()
        except BaseException:
            self._leave(main, pool)
            raise
        replay: Callable[[], None] = graph.replay
        return replay

    def _leave(self, main: torch.cuda.Stream, pool: Any) -> None:
        """Leave a recording that failed; torch up to 2.12 stays in it with stream, memory and random numbers."""
        torch.cuda.set_stream(main)
        index = torch.cuda.current_device() if self._device.index is None else self._device.index
        with contextlib.suppress(RuntimeError, AttributeError):  # where torch has left it
            torch._C._cuda_endAllocateToPool(index, pool)
        fresh = torch.Generator(device=torch.device("cuda", index))
        torch.cuda.default_generators[index].graphsafe_set_state(fresh.graphsafe_get_state())
