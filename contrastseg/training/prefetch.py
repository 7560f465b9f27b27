"""The next batch while the present one is worked on, for data that has a way to go."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from contrastseg.methods.contract import Sample
from contrastseg.training.batches import Batches, BatchSource


@contextmanager
def prefetch(batches: Batches, steps: int) -> Iterator[BatchSource]:
    """Give the same batches, the next one built by a thread where it comes from disk, or from the host to a GPU.

    Where the data lies in the memory of the device that computes there is nothing to wait for, and a thread would only
    compete. A batch is a function of (seed, step), so who builds it, and when, makes no difference.

    Args:
        batches: Of the run.
        steps: How many there are; none beyond is read.
    """
    storages = [source.storage for source in batches.sources.values()]
    if not any(
        storage.residency == "mapped" or (storage.residency, storage.device.type) == ("host", "cuda")
        for storage in storages
    ):
        yield batches
        return
    with ThreadPoolExecutor(1, "read-ahead") as thread:
        yield _Prefetched(batches, steps, thread)


class _Prefetched:
    def __init__(self, batches: Batches, steps: int, thread: ThreadPoolExecutor) -> None:
        self.sources = batches.sources
        self.views = batches.views
        self._batches = batches
        self._steps = steps
        self._thread = thread
        self._coming: tuple[int, Future[dict[str, Sample]]] | None = None

    def __call__(self, step: int) -> dict[str, Sample]:
        """The batch of this step; the one after it is begun."""
        if self._coming is not None and self._coming[0] == step:
            batch = self._coming[1].result()
        else:
            batch = self._batches(step)
        following = step + 1
        self._coming = (following, self._thread.submit(self._batches, following)) if following < self._steps else None
        return batch
