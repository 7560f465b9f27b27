"""The training data where the loop wants it: on the device, in pinned host memory, or mapped from disk.

A unit is what one sample is taken from: a case, or one slice of a volume when a 2D network trains on volumes.
"""

from __future__ import annotations

import warnings
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from contrastseg.data.cases import PreparedDataset
from contrastseg.errors import TrainingError

Residency = Literal["device", "host", "mapped"]
_POINTS_PER_CLASS = 500


@dataclass(frozen=True)
class Unit:
    """Where a unit lies: its case, and its slice index when units are slices."""

    case: str
    plane: int | None


class Storage:
    """Images of some cases, and the labels of those whose labels may be read.

    Args:
        dataset: The prepared data set.
        cases: Which cases to hold.
        with_labels: Whether their labels may be read; otherwise label files are not opened at all.
        spatial_dims: 2 takes the slices of volumes apart.
        device: Where samples are wanted.
        residency: Where the data is kept; `auto` takes the device when everything fits into half of its free memory.
    """

    def __init__(
        self,
        dataset: PreparedDataset,
        cases: Sequence[str],
        *,
        with_labels: bool,
        spatial_dims: int,
        device: torch.device,
        residency: Literal["auto", "device", "host", "mapped"] = "auto",
    ) -> None:
        if not cases:
            raise TrainingError(
                f"no case of {dataset.info.entry} to train on",
                file=dataset.folder,
                remedy="prepare the data set again, or correct the split",
            )
        slices = dataset.info.spatial_dims == 3 and spatial_dims == 2
        self.device = device
        self.scale = dataset.info.scale
        self.images: dict[str, Tensor] = {}
        self.labels: dict[str, Tensor] = {}
        self.units: list[Unit] = []
        mapped = {name: dataset.load(name, with_label=with_labels, mmap=True) for name in cases}
        size = sum(case.image.nbytes + (0 if case.label is None else case.label.nbytes) for case in mapped.values())
        self.residency: Residency = self._choose(size) if residency == "auto" else residency
        for name, case in mapped.items():
            self.images[name] = self._place(case.image)
            if with_labels:
                if case.label is None:
                    raise TrainingError("a labelled case without a label", case=name, file=dataset.folder)
                self.labels[name] = self._place(case.label)
            planes = range(case.image.shape[1]) if slices else (None,)
            self.units += [Unit(name, plane) for plane in planes]

    def _choose(self, size: int) -> Residency:
        if self.device.type == "cpu":
            return "host"
        free, _ = torch.cuda.mem_get_info(self.device)
        return "device" if size < free / 2 else "host"

    def _place(self, array: np.ndarray) -> Tensor:
        if self.residency == "mapped":
            with warnings.catch_warnings():
                # The map is read-only and torch warns that it cannot know; nothing here writes to it.
                warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
                return torch.from_numpy(array)
        tensor = torch.from_numpy(np.array(array))
        if self.residency == "device":
            return tensor.to(self.device)
        return tensor.pin_memory() if self.device.type == "cuda" else tensor

    def shape(self, unit: int) -> tuple[int, ...]:
        """Spatial shape of a unit."""
        where = self.units[unit]
        shape = self.images[where.case].shape[1:]
        return tuple(shape if where.plane is None else shape[1:])

    def _whole(self, unit: int, labels: bool) -> Tensor:
        """(C, *spatial) image, or (1, *spatial) label."""
        where = self.units[unit]
        whole = self.labels[where.case][None] if labels else self.images[where.case]
        return whole if where.plane is None else whole[:, where.plane]

    def blocks(self, units: Sequence[int], starts: Tensor, shape: Sequence[int], labels: bool = False) -> Tensor:
        """(B, C, *shape) parts of units on the device, from `starts` (B, d); beyond a unit its border continues.

        Images come as float32, labels (C = 1) likewise, since that is what the warp samples.
        """
        parts = []
        for unit, start in zip(units, starts.tolist(), strict=True):
            part = self._whole(unit, labels)
            for axis, (first, length) in enumerate(zip(start, shape, strict=True), start=1):
                index = torch.arange(first, first + length, device=part.device).clamp_(0, part.shape[axis] - 1)
                part = part.index_select(axis, index)
            parts.append(part)
        stacked = torch.stack(parts).to(self.device, non_blocking=True)
        return stacked.float() if labels else stacked.float() * self.scale

    def foreground(self, unit: int) -> list[np.ndarray]:
        """Per class present in a unit, up to 500 of its positions (N, d), evenly spread over them."""
        label = self._whole(unit, labels=True)[0].cpu().numpy()
        found = []
        for value in np.unique(label):
            if value not in (0, 255):
                positions = np.argwhere(label == value)
                found.append(positions[:: max(1, len(positions) // _POINTS_PER_CLASS)][:_POINTS_PER_CLASS])
        return found


class JoinedStorage:
    """The units of several storages as one sequence: those of the first, then those of the second, and so on.

    For data whose labels are not read: a stage that reads labels reads those of one data set.

    Args:
        parts: A storage per data set, by its name; the data sets may differ in stored type, scale and dimensions.
    """

    def __init__(self, parts: Mapping[str, Storage]) -> None:
        self.parts = list(parts.values())
        self.device = self.parts[0].device
        self.residency = self.parts[0].residency
        self.labels: dict[str, Tensor] = {}
        self.units = [Unit(f"{name}/{u.case}", u.plane) for name, storage in parts.items() for u in storage.units]
        self._ends = list(accumulate(len(storage.units) for storage in self.parts))

    def _find(self, unit: int) -> tuple[Storage, int]:
        part = bisect_right(self._ends, unit)
        return self.parts[part], unit - (self._ends[part - 1] if part else 0)

    def shape(self, unit: int) -> tuple[int, ...]:
        """Spatial shape of a unit."""
        storage, own = self._find(unit)
        return storage.shape(own)

    def blocks(self, units: Sequence[int], starts: Tensor, shape: Sequence[int], labels: bool = False) -> Tensor:
        """As `Storage.blocks`."""
        found = [self._find(unit) for unit in units]
        one_each = zip(found, starts.split(1), strict=True)
        return torch.cat([storage.blocks([own], start, shape, labels) for (storage, own), start in one_each])

    def foreground(self, unit: int) -> list[np.ndarray]:
        """As `Storage.foreground`."""
        storage, own = self._find(unit)
        return storage.foreground(own)
