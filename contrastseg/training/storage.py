"""The training data where the loop wants it: on the device, in pinned host memory, or mapped from disk.

A unit (sampling unit) is what one sample is cropped from: a case, or one slice of a volume when a 2D network trains on
volumes.
"""

from __future__ import annotations

import math
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

from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.errors import TrainingError
from contrastseg.training.blocks import Blocks, CopiedBlocks, FlatBlocks, JoinedBlocks, Layer
from contrastseg.training.flat_pool import FlatLayer

Residency = Literal["device", "host", "mapped"]
_POINTS_PER_CLASS = 500


@dataclass(frozen=True)
class SamplingUnit:
    """Where a sampling unit lies.

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
        self.units: list[SamplingUnit] = []
        mapped = {name: dataset.load(name, with_labels, mmap=True, with_superpixels=with_superpixels) for name in cases}
        layers = [layer for case in mapped.values() for layer in (case.image, case.label, case.superpixels)]
        size = sum(layer.nbytes for layer in layers if layer is not None)
        self.residency: Residency = self._choose(size, cache_gb) if residency == "auto" else residency
        self.spatial_shapes: list[tuple[int, ...]] = []
        for name, case in mapped.items():
            if with_labels and case.label is None:
                raise TrainingError(
                    "a labelled case without a label", case=name, file=dataset.folder, remedy="prepare the data again"
                )
            shape = case.image.shape[1:]
            number, depth, patient = len(self.spatial_shapes), shape[0], order[dataset.patient(name)]
            self.spatial_shapes.append(shape)
            if slices:
                self.units += [
                    SamplingUnit(name, plane, number, plane / max(1, depth - 1), patient) for plane in range(depth)
                ]
            else:
                self.units.append(SamplingUnit(name, None, number, 0.5, patient))
        self.extents = np.array([self.spatial_shapes[unit.number][slices:] for unit in self.units])
        # Positions of classes are looked up where the labels came from: a read on a device would be waited for.
        self._files = {name: case.label for name, case in mapped.items() if with_labels and case.label is not None}
        self.flat: dict[Layer, FlatLayer] = {}
        regions = {name: case.superpixels for name, case in mapped.items() if case.superpixels is not None}
        self.images = self._hold("image", {name: case.image for name, case in mapped.items()})
        self.labels = self._hold("label", self._files)
        self.superpixels = self._hold("superpixels", regions)
        self._firsts = {layer: self._first_elements(flat) for layer, flat in self.flat.items()}

    def _hold(self, layer: Layer, arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        """A layer of every case where it is kept: in one flat tensor on the device, else each for itself."""
        if self.residency != "device" or not arrays:
            return {name: self._place(array) for name, array in arrays.items()}
        self.flat[layer] = flat = FlatLayer(list(arrays.values()), self.device)
        return {name: flat.case(number) for number, name in enumerate(arrays)}

    def _first_elements(self, flat: FlatLayer) -> np.ndarray:
        """(units, C): where every channel of every unit begins in a flat layer; C = 1 where cases have no channels."""
        rows = []
        for unit in self.units:
            first, shape = flat.firsts[unit.number], flat.shapes[unit.number]
            spatial = self.spatial_shapes[unit.number]
            channels = shape[0] if len(shape) > len(spatial) else 1
            plane = 0 if unit.plane is None else unit.plane * math.prod(spatial[1:])
            rows.append([first + plane + channel * math.prod(spatial) for channel in range(channels)])
        return np.array(rows)

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
        return tensor.pin_memory() if self.device.type == "cuda" else tensor

    def _whole(self, unit: int, layer: Layer) -> Tensor:
        """(C, *spatial) image, or (1, *spatial) of another layer."""
        location = self.units[unit]
        if layer == "image":
            whole = self.images[location.case]
        else:
            whole = (self.labels if layer == "label" else self.superpixels)[location.case][None]
        return whole if location.plane is None else whole[:, location.plane]

    def blocks(self, units: np.ndarray, starts: np.ndarray, shape: Sequence[int]) -> Blocks:
        """Give the parts of units that a batch is sampled from; beyond a unit its border continues.

        Args:
            units: (B,), indices of `units`.
            starts: (B, d), where the parts begin, in pixels of their units.
            shape: Of a part.
        """
        if not self.flat:
            return CopiedBlocks(self._whole, units, starts, shape, self.device, self.scale)
        firsts = {layer: first[units] for layer, first in self._firsts.items()}
        return FlatBlocks(self.flat, firsts, self.extents[units], starts, shape, self.scale)

    def foreground(self, unit: int) -> list[np.ndarray]:
        """Per class present in a unit, up to 500 of its positions (N, d), evenly spread over them."""
        location = self.units[unit]
        label = self._files[location.case] if location.plane is None else self._files[location.case][location.plane]
        positions_by_class = []
        for value in np.unique(label):
            if value not in (0, 255):
                positions = np.argwhere(label == value)
                positions_by_class.append(positions[:: max(1, len(positions) // _POINTS_PER_CLASS)][:_POINTS_PER_CLASS])
        return positions_by_class


class JoinedStorage:
    """The units of several storages as one sequence: those of the first, then those of the second, and so on.

    For data whose labels are not read: a stage that reads labels reads those of one data set.

    Args:
        storages: A storage per data set, by its name; the data sets may differ in stored type, scale and dimensions.
    """

    def __init__(self, storages: Mapping[str, Storage]) -> None:
        self.storages = list(storages.values())
        self.device = self.storages[0].device
        self.residency = self.storages[0].residency
        self.labels: dict[str, Tensor] = {}
        self.superpixels = {
            f"{entry}/{case}": regions
            for entry, joined in storages.items()
            for case, regions in joined.superpixels.items()
        }
        self.units: list[SamplingUnit] = []
        for name, storage in storages.items():
            case, patient = (self.units[-1].number + 1, self.units[-1].patient + 1) if self.units else (0, 0)
            self.units += [
                replace(u, case=f"{name}/{u.case}", number=case + u.number, patient=patient + u.patient)
                for u in storage.units
            ]
        self.extents = np.concatenate([storage.extents for storage in self.storages])
        self._ends = list(accumulate(len(storage.units) for storage in self.storages))

    def _find(self, unit: int) -> tuple[Storage, int]:
        index = bisect_right(self._ends, unit)
        return self.storages[index], unit - (self._ends[index - 1] if index else 0)

    def blocks(self, units: np.ndarray, starts: np.ndarray, shape: Sequence[int]) -> Blocks:
        """As `Storage.blocks`; as many operations as there are data sets, whatever the size of the batch."""
        located = [self._find(unit) for unit in units]
        blocks, members = [], []
        for storage in self.storages:
            if positions := [position for position, (owner, _) in enumerate(located) if owner is storage]:
                blocks.append(
                    storage.blocks(np.array([located[position][1] for position in positions]), starts[positions], shape)
                )
                members.append(positions)
        return JoinedBlocks(blocks, members)

    def foreground(self, unit: int) -> list[np.ndarray]:
        """As `Storage.foreground`."""
        storage, own_unit = self._find(unit)
        return storage.foreground(own_unit)
