"""Blocks gathered from flat pools are, bit for bit, those cut out one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.training.blocks import Layer
from contrastseg.training.sending import send, send_packed
from contrastseg.training.storage import Residency, Storage
from tests.pretended import DEVICE, pretended

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def pools(phantoms: dict[int, Any]) -> dict[tuple[int, int], tuple[Storage, Storage]]:
    """By stored and seen dimensions: one pool stored flat, and stored by case."""
    made = {}
    for stored, seen in ((2, 2), (3, 2), (3, 3)):
        dataset = PreparedDataset(phantoms[stored].data)

        def held(residency: Residency, dataset: PreparedDataset = dataset, seen: int = seen) -> Storage:
            return Storage(
                dataset,
                dataset.cases[:3],
                with_labels=True,
                spatial_dims=seen,
                device=CPU,
                residency=residency,
                with_superpixels=True,
            )

        made[stored, seen] = held("device"), held("host")
    return made


@pytest.mark.parametrize("kind", [(2, 2), (3, 2), (3, 3)])
@settings(max_examples=25)
@given(data=st.data())
def test_gathered_blocks_are_cut_blocks(kind: tuple[int, int], data: st.DataObject, pools: Any) -> None:
    flat, by_case = pools[kind]
    dims = kind[1]
    assert flat.flat
    assert not by_case.flat
    units = data.draw(st.lists(st.integers(0, len(flat.units) - 1), min_size=1, max_size=4))
    place = st.lists(st.integers(-70, 90), min_size=dims, max_size=dims)
    starts = np.array([data.draw(place) for _ in units])
    shape = data.draw(st.lists(st.integers(1, 60), min_size=dims, max_size=dims))
    gathered, cut = (storage.blocks(np.array(units), starts, shape) for storage in (flat, by_case))
    layers: tuple[Layer, ...] = ("image", "label", "superpixels")
    for layer in layers:
        one, other = (blocks.take(layer, torch.from_numpy(blocks.numbers)) for blocks in (gathered, cut))
        assert one.dtype == other.dtype == torch.float32
        assert one.shape == (len(units), 3 if layer == "image" and kind[0] == 2 else 1, *shape)
        assert torch.equal(one, other)


def test_cases_are_views_of_the_flat_pool(pools: Any) -> None:
    flat, by_case = pools[3, 3]
    for name, image in by_case.images.items():
        assert torch.equal(flat.images[name], image)
        assert flat.images[name].untyped_storage().data_ptr() == flat.flat["image"].values.untyped_storage().data_ptr()
        assert torch.equal(flat.labels[name], by_case.labels[name])


def test_numbers_arrive_as_they_left() -> None:
    numbers, reals = torch.arange(7), torch.randn(3, 2)
    assert send([numbers, reals], CPU)[1] is reals


def test_packed_numbers_arrive_with_all_their_bits() -> None:
    """Also those whole numbers whose bits are NaNs of two kinds when they are read as floats."""
    numbers = np.array([0, -1, 0x7F8000017FC00001, 2**62 + 1])
    reals = [np.float32([[1.5, -0.0]]), np.float32([np.inf, np.nan, 3])]
    with pretended() as counts:
        for device in (CPU, DEVICE):
            counts.clear()
            sent, parts = send_packed(numbers, reals, device)
            assert (counts.sent, counts.waits.total()) == (int(device == DEVICE), 0)
            assert sent.cpu().numpy().tolist() == numbers.tolist()
            for part, own in zip(parts, reals, strict=True):
                assert part.cpu().numpy().tobytes() == own.tobytes()
                assert part.shape == own.shape
