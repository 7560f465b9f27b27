"""The training data where the loop wants it: on the device, in pinned host memory, or mapped from disk.

A unit is what one sample is taken from: a case, or one slice of a volume when a 2D network trains on volumes.
"""

from __future__ import annotations

import warnings
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Literal

import numpy as np
import psutil
import torch
from torch import Tensor

from contrastseg.data.cases import PreparedDataset
from contrastseg.errors import TrainingError

Layer = Literal["image", "label", "superpixels"]
Residency = Literal["device", "host", "mapped"]
_POINTS_PER_CLASS = 500


@dataclass(frozen=True)
class Unit:
    """Where a unit lies.

    Attributes:
        case: Its case.
        plane: Its slice index when units are slices.
        number: Index of the case among those stored.
        position: Of a slice in its volume, 0 to 1; 0.5 for whole cases.
        patient: Index of the patient among those stored.
    """

    case: str
    plane: int | None
    number: int
    position: float
    patient: int


class Storage:
    """Images of some cases, and the labels of those whose labels may be read.

    Args:
        dataset: The prepared data set.
        cases: Which cases to hold.
        with_labels: Whether their labels may be read; otherwise label files are not opened at all.
        spatial_dims: 2 takes the slices of volumes apart.
        device: Where samples are wanted.
        residency: Where the data is kept; `auto` takes the device when everything fits into half of its free memory,
            then the host's memory, and maps what is larger from disk.
        with_superpixels: Whether their super-pixel maps are wanted too.
        cache_gb: What `auto` may take of the host's memory, in 10^9 bytes; half of what is free if unset.
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
        with_superpixels: bool = False,
        cache_gb: float | None = None,
    ) -> None:
        if not cases:
            raise TrainingError(
                f"no case of {dataset.info.entry} to train on",
                file=dataset.folder,
                remedy="prepare the data set again, or correct the split",
            )
        order = {patient: index for index, patient in enumerate(dict.fromkeys(map(dataset.patient, cases)))}
        slices = dataset.info.spatial_dims == 3 and spatial_dims == 2
        self.device = device
        self.scale = dataset.info.scale
        self.images: dict[str, Tensor] = {}
        self.labels: dict[str, Tensor] = {}
        self.superpixels: dict[str, Tensor] = {}
        self.units: list[Unit] = []
        mapped = {name: dataset.load(name, with_labels, mmap=True, with_superpixels=with_superpixels) for name in cases}
        layers = [layer for case in mapped.values() for layer in (case.image, case.label, case.superpixels)]
        size = sum(layer.nbytes for layer in layers if layer is not None)
        self.residency: Residency = self._choose(size, cache_gb) if residency == "auto" else residency
        for name, case in mapped.items():
            self.images[name] = self._place(case.image)
            if with_labels:
                if case.label is None:
                    raise TrainingError("a labelled case without a label", case=name, file=dataset.folder)
                self.labels[name] = self._place(case.label)
            if case.superpixels is not None:
                self.superpixels[name] = self._place(case.superpixels)
            number, depth, patient = len(self.images) - 1, case.image.shape[1], order[dataset.patient(name)]
            if slices:
                self.units += [Unit(name, plane, number, plane / max(1, depth - 1), patient) for plane in range(depth)]
            else:
                self.units.append(Unit(name, None, number, 0.5, patient))

    def _choose(self, size: int, cache_gb: float | None) -> Residency:
        if self.device.type == "cuda" and size < torch.cuda.mem_get_info(self.device)[0] / 2:
            return "device"
        allowed = psutil.virtual_memory().available / 2 if cache_gb is None else cache_gb * 1e9
        return "host" if size < allowed else "mapped"

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

    def _whole(self, unit: int, layer: Layer) -> Tensor:
        """(C, *spatial) image, or (1, *spatial) of another layer."""
        where = self.units[unit]
        if layer == "image":
            whole = self.images[where.case]
        else:
            whole = (self.labels if layer == "label" else self.superpixels)[where.case][None]
        return whole if where.plane is None else whole[:, where.plane]

    def blocks(self, units: Sequence[int], starts: Tensor, shape: Sequence[int], layer: Layer = "image") -> Tensor:
        """(B, C, *shape) parts of units on the device, from `starts` (B, d); beyond a unit its border continues.

        Images come as float32, other layers (C = 1) likewise, since that is what the warp samples; it holds whole
        numbers up to 2^24 exactly.
        """
        parts = []
        for unit, start in zip(units, starts.tolist(), strict=True):
            part = self._whole(unit, layer)
            for axis, (first, length) in enumerate(zip(start, shape, strict=True), start=1):
                index = torch.arange(first, first + length, device=part.device).clamp_(0, part.shape[axis] - 1)
                part = part.index_select(axis, index)
            parts.append(part)
        stacked = torch.stack(parts).to(self.device, non_blocking=True)
        return stacked.float() * self.scale if layer == "image" else stacked.float()

    def foreground(self, unit: int) -> list[np.ndarray]:
        """Per class present in a unit, up to 500 of its positions (N, d), evenly spread over them."""
        label = self._whole(unit, "label")[0].cpu().numpy()
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
        self.superpixels = {
            f"{n}/{case}": found for n, part in parts.items() for case, found in part.superpixels.items()
        }
        self.units: list[Unit] = []
        for name, storage in parts.items():
            case, patient = (self.units[-1].number + 1, self.units[-1].patient + 1) if self.units else (0, 0)
            self.units += [
                replace(u, case=f"{name}/{u.case}", number=case + u.number, patient=patient + u.patient)
                for u in storage.units
            ]
        self._ends = list(accumulate(len(storage.units) for storage in self.parts))

    def _find(self, unit: int) -> tuple[Storage, int]:
        part = bisect_right(self._ends, unit)
        return self.parts[part], unit - (self._ends[part - 1] if part else 0)

    def shape(self, unit: int) -> tuple[int, ...]:
        """Spatial shape of a unit."""
        storage, own = self._find(unit)
        return storage.shape(own)

    def blocks(self, units: Sequence[int], starts: Tensor, shape: Sequence[int], layer: Layer = "image") -> Tensor:
        """As `Storage.blocks`."""
        found = [self._find(unit) for unit in units]
        one_each = zip(found, starts.split(1), strict=True)
        return torch.cat([storage.blocks([own], start, shape, layer) for (storage, own), start in one_each])

    def foreground(self, unit: int) -> list[np.ndarray]:
        """As `Storage.foreground`."""
        storage, own = self._find(unit)
        return storage.foreground(own)
