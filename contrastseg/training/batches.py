"""The batch at step t, a pure function of (seed, t): nothing here remembers what came before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from contrastseg.methods.contract import Sample, View
from contrastseg.training import augmentation
from contrastseg.training.seeds import generator
from contrastseg.training.settings import AugmentationSettings
from contrastseg.training.storage import JoinedStorage, Storage


class Source:
    """Samples of one pool (labelled or unlabelled): which units, where in them, and how they are warped.

    Args:
        name: `labelled` or `unlabelled`; streams of random numbers carry it.
        storage: The pool's data.
        batch_size: Samples per step and rank.
        patch: Shape of a sample.
        seed: The run's seed.
        settings: Augmentation.
        foreground_fraction: Share of samples centred on a structure; only where labels may be read and units are
            larger than the patch.
        rank: This process among `world`; together they draw the batch one process with `world` times the batch would.
        world: Number of processes.
    """

    def __init__(
        self,
        name: str,
        storage: Storage | JoinedStorage,
        batch_size: int,
        patch: Sequence[int],
        seed: int,
        settings: AugmentationSettings,
        foreground_fraction: float = 0.0,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.name = name
        self.storage = storage
        self.batch_size = batch_size
        self.patch = tuple(patch)
        self.seed = seed
        self.settings = settings
        self.rank = rank
        self.world = world
        self.foreground_fraction = foreground_fraction if storage.labels else 0.0
        self._order = lru_cache(maxsize=2)(self._permutation)
        self._foreground = lru_cache(maxsize=None)(storage.foreground)

    def _permutation(self, epoch: int) -> Tensor:
        return torch.randperm(len(self.storage.units), generator=generator(self.seed, "order", self.name, epoch))

    def units(self, step: int) -> list[int]:
        """Units of this step: without replacement through the pool, in an order that changes every time round."""
        count = len(self.storage.units)
        first = (step * self.world + self.rank) * self.batch_size
        return [int(self._order(i // count)[i % count]) for i in range(first, first + self.batch_size)]

    def _centres(self, random: torch.Generator, units: Sequence[int]) -> Tensor:
        """(B, d) centres of the patches, in unit pixels: anywhere the patch fits, moved a little beyond."""
        dims = len(self.patch)
        uniform = torch.rand(len(units), dims, generator=random)
        shift = (torch.rand(len(units), dims, generator=random) * 2 - 1) * self.settings.shift
        choice = torch.rand(len(units), 3, generator=random, dtype=torch.float64).tolist()
        patch = torch.tensor(self.patch, dtype=torch.float32)
        centres = torch.empty(len(units), dims)
        for index, unit in enumerate(units):
            shape = torch.tensor(self.storage.shape(unit), dtype=torch.float32)
            half = (torch.minimum(patch, shape) - 1) / 2
            low, high = half, shape - 1 - half
            centre = low + uniform[index] * (high - low)
            if choice[index][0] < self.foreground_fraction and bool((shape > patch).any()):
                classes = self._foreground(unit)
                if classes:
                    positions = classes[int(choice[index][1] * len(classes))]
                    position: np.ndarray = positions[int(choice[index][2] * len(positions))]
                    centre = torch.from_numpy(position).float().clamp(low, high)
            # A unit thinner than the patch has nothing to gain from a shift along that axis.
            centres[index] = centre + torch.where(shape >= patch / 2, shift[index] * patch, 0.0)
        return centres

    def __call__(self, step: int, geometry: str, intensity: str = "", augment: bool = True) -> Sample:
        """The samples of this step under the warp named `geometry`, with its own intensities or those named."""
        units = self.units(step)
        random = generator(self.seed, step, self.rank, self.name, geometry)
        device = self.storage.device
        dims = len(self.patch)
        if augment:
            warp = augmentation.draw_warp(random, len(units), dims, self.settings)
        else:
            warp = augmentation.identity_warp(len(units), dims)
        centres = self._centres(random, units)
        shape = augmentation.block_shape(warp, self.patch)
        starts = (centres - torch.tensor([(n - 1) / 2 for n in shape])).round().long()
        offsets = augmentation.source_offsets(warp, self.patch, device)
        broadcast = (len(units),) + (1,) * dims + (dims,)
        grid = augmentation.sampling_grid(offsets + (centres - starts).to(device).reshape(broadcast), shape)
        image = augmentation.sample(self.storage.blocks(units, starts, shape), grid)

        def whole_numbers(layer: Literal["label", "superpixels"]) -> Tensor:
            block = self.storage.blocks(units, starts, shape, layer)
            return augmentation.sample(block, grid, nearest=True)[:, 0].long()

        label = whole_numbers("label") if self.storage.labels else None
        superpixels = whole_numbers("superpixels") if self.storage.superpixels else None
        if augment:
            own = ("intensity", intensity) if intensity else ()
            if own:
                random = generator(self.seed, step, self.rank, self.name, geometry, *own)
            change = augmentation.draw_intensity(random, len(units), self.settings)
            noise = generator(self.seed, step, self.rank, self.name, geometry, *own, "noise", device=device)
            image = augmentation.change_intensity(image, change, noise)
        coordinates = offsets + centres.to(device).reshape(broadcast)
        where = [self.storage.units[unit] for unit in units]
        case = torch.tensor([unit.number for unit in where])
        position = torch.tensor([unit.position for unit in where])
        patient = torch.tensor([unit.patient for unit in where])
        return Sample(image, label, coordinates, torch.tensor(units), case, position, superpixels, patient)


class BatchSource(Protocol):
    """What the loop asks for batches."""

    sources: Mapping[str, Source]
    views: Mapping[str, View]

    def __call__(self, step: int) -> dict[str, Sample]:
        """The batch of this step."""
        ...


class Batches:
    """Builds the views a stage asks for.

    Args:
        sources: `labelled` and, where the stage uses it, `unlabelled`.
        views: The stage's views by name.
    """

    def __init__(self, sources: Mapping[str, Source], views: Mapping[str, View]) -> None:
        self.sources = sources
        self.views = views

    def __call__(self, step: int) -> dict[str, Sample]:
        """The batch of this step, a `Sample` per view."""
        looks = {(view.source, view.geometry, view.intensity) for view in self.views.values()}
        shared = {look: self.sources[look[0]](step, *look[1:]) for look in sorted(looks)}
        batch = {}
        for name, view in self.views.items():
            sample = shared[view.source, view.geometry, view.intensity]
            if not view.superpixels:
                sample = replace(sample, superpixels=None)
            if view.noise > 0:
                source = self.sources[view.source]
                device = sample.image.device
                noise = generator(
                    source.seed, step, source.rank, view.source, view.geometry, "view", name, device=device
                )
                image = augmentation.add_clipped_noise(sample.image, view.noise, noise)
                sample = replace(sample, image=image)
            batch[name] = sample
        return batch
