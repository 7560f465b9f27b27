"""The batch at step t, a pure function of (seed, t): nothing here remembers what came before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from contrastseg.losses.perturbation import change_colours
from contrastseg.methods.contract import Sample, View
from contrastseg.training import augmentation
from contrastseg.training.blocks import Layer
from contrastseg.training.colours import changes_colours, draw_colours
from contrastseg.training.planar import EVERY_PART, Chosen, chosen_intensity, draw_planar_warp, has_more_parts
from contrastseg.training.seeds import generator
from contrastseg.training.sending import send_packed
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
        # On a GPU one shape for all steps, so that they can be recorded; on a CPU every pixel of a block has its price.
        self._block = augmentation.largest_block(self.patch, settings) if storage.device.type == "cuda" else None
        self._more_parts = has_more_parts(settings)
        self._order = lru_cache(maxsize=4)(self._permutation)
        self._foreground = lru_cache(maxsize=None)(storage.foreground)
        extents, patch_shape = storage.extents.astype(np.float32), np.array(self.patch, np.float32)
        # Of every unit: centres of patches lie between these before they are moved, and move by up to this share of
        # the patch. A unit thinner than the patch has nothing to gain from a shift along that axis.
        self._low = (np.minimum(patch_shape, extents) - 1) / 2
        self._high = extents - 1 - self._low
        self._middle = (extents - 1) / 2
        self._moved = np.where(extents >= patch_shape / 2, patch_shape, np.float32(0))
        self._larger = np.asarray((extents > patch_shape).any(axis=1))
        self._case = np.array([unit.number for unit in storage.units])
        self._position = np.array([unit.position for unit in storage.units], np.float32)
        self._patient = np.array([unit.patient for unit in storage.units])

    def _permutation(self, epoch: int, samples: str) -> list[int]:
        stream = ("samples", samples) if samples else ()
        order: list[int] = torch.randperm(
            len(self.storage.units), generator=generator(self.seed, "order", self.name, *stream, epoch)
        ).tolist()
        return order

    def units(self, step: int, samples: str = "") -> list[int]:
        """Units of this step: without replacement through the pool, in an order that changes every time round.

        Args:
            step: Number of the step.
            samples: Name of the order; each has its own.
        """
        count = len(self.storage.units)
        first = (step * self.world + self.rank) * self.batch_size
        return [self._order(i // count, samples)[i % count] for i in range(first, first + self.batch_size)]

    def _warp(self, random: torch.Generator, step: int, geometry: str) -> tuple[augmentation.Warp, Chosen]:
        """How the patches of this step are warped, and which parts of the augmentation each of them has."""
        dims = len(self.patch)
        if not self._more_parts:
            return augmentation.draw_warp(random, self.batch_size, dims, self.settings), EVERY_PART
        more = generator(self.seed, step, self.rank, self.name, geometry, "more parts")
        chosen = Chosen.draw(more, self.batch_size, self.settings)
        return draw_planar_warp(random, more, self.batch_size, dims, self.settings, chosen), chosen

    def _centres(self, random: torch.Generator, units: np.ndarray, chosen: Chosen) -> np.ndarray:
        """(B, d) centres of the patches, in unit pixels: anywhere the patch fits, moved a little beyond."""
        # In NumPy, whose operations on a few dozen numbers cost a third of torch's.
        count, dims = len(units), len(self.patch)
        uniform, shift = torch.rand(2, count, dims, generator=random).numpy()
        choice = torch.rand(count, 3, generator=random, dtype=torch.float64).numpy()
        low, high = self._low[units], self._high[units]
        centres = low + uniform * (high - low)
        on_structure = (choice[:, 0] < self.foreground_fraction) & self._larger[units]
        for index in on_structure.nonzero()[0].tolist():
            if classes := self._foreground(int(units[index])):
                positions = classes[int(choice[index, 1] * len(classes))]
                centres[index] = positions[int(choice[index, 2] * len(positions))]
        centres = np.minimum(np.maximum(centres, low), high)
        moved = chosen.only("shift", (shift * 2 - 1) * np.float32(self.settings.shift), 0)
        moved_on: np.ndarray = centres + moved * self._moved[units]
        return moved_on

    def __call__(
        self, step: int, geometry: str, intensity: str = "", samples: str = "", augment: bool = True
    ) -> Sample:
        """The samples of this step under the warp named `geometry`, with its own intensities or those named."""
        units = np.array(self.units(step, samples))
        random = generator(self.seed, step, self.rank, self.name, geometry)
        device, border = self.storage.device, self.settings.border
        dims = len(self.patch)
        if augment:
            warp, chosen = self._warp(random, step, geometry)
        else:
            warp, chosen = augmentation.identity_warp(len(units), dims), EVERY_PART
        centres = self._centres(random, units, chosen)
        shape = self._block if self._block is not None and augment else augmentation.block_shape(warp, self.patch)
        starts = np.rint(centres - (np.array(shape, np.float32) - 1) / 2).astype(np.int64)
        intensity_stream = ("intensity", intensity) if intensity else ()
        change, colours, noise = None, None, None
        if augment:
            if intensity_stream:
                random = generator(self.seed, step, self.rank, self.name, geometry, *intensity_stream)
            change = augmentation.draw_intensity(random, len(units), self.settings)
            if chosen is not EVERY_PART:
                change = chosen_intensity(change, chosen)
            if changes_colours(self.settings):
                random = generator(self.seed, step, self.rank, self.name, geometry, *intensity_stream, "colours")
                colours = draw_colours(random, len(units), self.settings, chosen)
            if self.settings.noise > 0:
                noise = generator(
                    self.seed, step, self.rank, self.name, geometry, *intensity_stream, "noise", device=device
                )

        blocks = self.storage.blocks(units, starts, shape)
        inside = centres - starts.astype(np.float32)
        broadcast = (len(units),) + (1,) * dims + (dims,)
        drawn = {
            "centres": centres.reshape(broadcast),
            "inside": inside.reshape(broadcast),
            "matrix": warp.matrix.numpy(),
            **({} if warp.elastic is None else {"elastic": warp.elastic.numpy()}),
            **({} if change is None else {"change": change.numpy()}),
            **({} if colours is None else {"colours": colours}),
            **({"middle": self._middle[units].reshape(broadcast)} if border == "zero" else {}),
        }
        numbers, sent = send_packed(blocks.numbers, list(drawn.values()), device)
        on_device = dict(zip(drawn, sent, strict=True))

        offsets = augmentation.source_offsets(
            augmentation.Warp(on_device["matrix"], on_device.get("elastic")), self.patch
        )
        coordinates = offsets + on_device["centres"]
        grid = augmentation.sampling_grid(offsets + on_device["inside"], shape)
        if border == "zero":
            grid = augmentation.leave_out(grid, coordinates, on_device["middle"])
        image = augmentation.sample(blocks.take("image", numbers), grid, self.settings.order == 0, border)

        def whole_numbers(layer: Layer) -> Tensor:
            return augmentation.sample(blocks.take(layer, numbers), grid, True, border)[:, 0].long()

        label = whole_numbers("label") if self.storage.labels else None
        superpixels = whole_numbers("superpixels") if self.storage.superpixels else None
        if colours is not None:
            image = change_colours(image, on_device["colours"])
        if change is not None:
            image = augmentation.change_intensity(image, on_device["change"], noise)
        about = (units, self._case[units], self._position[units], self._patient[units])
        unit, case, position, patient = map(torch.from_numpy, about)
        return Sample(image, label, coordinates, unit, case, position, superpixels, patient)


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
        looks = {(view.source, view.geometry, view.intensity, view.samples) for view in self.views.values()}
        shared = {look: self.sources[look[0]](step, *look[1:]) for look in sorted(looks)}
        batch = {}
        for name, view in self.views.items():
            sample = shared[view.source, view.geometry, view.intensity, view.samples]
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
