"""Counts the values of all masks of a data set and decides what they mean, before any case is loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from contrastseg.data.faults import Faults
from contrastseg.data.readers.layouts import load_photo, photo_masks
from contrastseg.data.readers.mask_values import (
    THRESHOLD,
    Coding,
    FileValues,
    count_values,
    structure_coding,
    with_coding,
)
from contrastseg.data.readers.specs import DatasetSpec, RawCase
from contrastseg.errors import DataError


def decide_masks(
    spec: DatasetSpec,
    cases: Sequence[RawCase],
    options: Any,
    faults: Faults,
    *,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[list[RawCase], Coding | None]:
    """The cases with what the values of their masks mean; as they are where the data set publishes its values.

    Every mask file is decoded once more than without it; no image is.

    Args:
        spec: The data set.
        cases: What its `discover` found.
        options: Its parsed options.
        faults: Takes values that mean nothing in common. Masks that cannot be read are left to `load`, which says so.
        workers: Processes.
        progress: Called with (cases counted, cases to count).

    Returns:
        The cases; and the coding, None where nothing had to be decided.
    """
    masks = spec.undeclared_masks or (photo_masks if spec.load is load_photo else None)
    if masks is None:
        return list(cases), None
    # Tiles of one image share its files.
    several = list({raw.files: raw for raw in cases}.values())
    file_values: list[FileValues] = []
    for done, values in enumerate(_run(partial(_values, masks, options), several, workers), start=1):
        file_values += values
        if progress is not None:
            progress(done, len(several))
    if not file_values:
        return list(cases), None
    coding = Coding(threshold=THRESHOLD)  # so that the other faults show as well
    with faults.collect():
        coding = structure_coding(file_values)
    return [with_coding(raw, coding) for raw in cases], coding


def _run(
    count: Callable[[RawCase], list[FileValues]], cases: Sequence[RawCase], workers: int
) -> Iterator[list[FileValues]]:
    if workers <= 1:
        yield from map(count, cases)
    else:
        with ProcessPoolExecutor(workers) as pool:
            yield from pool.map(count, cases, chunksize=8)


def _values(
    masks: Callable[[RawCase, Any], Iterable[tuple[Path, Any]]], options: Any, raw: RawCase
) -> list[FileValues]:
    values: list[FileValues] = []
    try:
        for path, array in masks(raw, options):
            values.append(FileValues(raw.case, path, count_values(array)))
    except DataError:
        pass  # `load` reads the file again and reports it
    return values
