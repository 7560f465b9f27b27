"""Super-pixel maps reach the batch exactly as the image does: the same crop, the same warp, no mixing of ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.prepare.preparation import prepare_dataset
from contrastseg.errors import DataError
from contrastseg.methods.contract import View
from contrastseg.training.batches import Batches, Source
from contrastseg.training.settings import AugmentationSettings
from contrastseg.training.storage import Storage


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> dict[int, PreparedDataset]:
    made = {}
    for dims, name in ((2, "phantom_lesions"), (3, "phantom_organs")):
        folder = tmp_path_factory.mktemp(name)
        rule = {"superpixels": {"scale": 30, "min_size": 8}}
        prepare_dataset("made", name, {"cases": 3, "size": [40, 40]}, rule, None, folder)
        made[dims] = PreparedDataset(folder)
    return made


def source(data: PreparedDataset, dims: int, patch: tuple[int, ...], residency: Any = "host") -> Source:
    device = torch.device("cpu")
    storage = Storage(
        data, data.patients, with_labels=False, spatial_dims=dims, device=device, residency=residency,
        with_superpixels=True,
    )  # fmt: skip
    return Source("unlabelled", storage, 4, patch, 0, AugmentationSettings(rotation_degrees=20, elastic=2))


@pytest.mark.parametrize("residency", ["host", "mapped"])
@pytest.mark.parametrize(("stored", "dims", "patch"), [(2, 2, (24, 24)), (3, 2, (24, 24)), (3, 3, (6, 24, 24))])
def test_each_pixel_has_the_region_of_where_it_was_taken(
    prepared: dict[int, PreparedDataset], stored: int, dims: int, patch: tuple[int, ...], residency: str
) -> None:
    reader = source(prepared[stored], dims, patch, residency)
    sample = reader(3, "a")
    assert sample.label is None
    assert sample.superpixels is not None
    assert sample.superpixels.dtype == torch.int64
    assert sample.superpixels.shape == (4, *patch)
    for index, unit in enumerate(reader.units(3)):
        where = reader.storage.units[unit]
        whole = prepared[stored].load(where.case, with_superpixels=True).superpixels
        assert whole is not None
        regions = torch.from_numpy(whole if where.plane is None else whole[where.plane])
        position = sample.coordinates[index]
        last = torch.tensor(regions.shape) - 1.0
        nearest = torch.minimum(position.clamp(min=0), last).round()
        # Half-way between two pixels either is the nearest.
        clear = ((position - position.round()).abs() < 0.45).all(-1)
        taken = regions[tuple(nearest.long().unbind(-1))].long()
        assert torch.equal(sample.superpixels[index][clear], taken[clear])


def test_only_views_that_ask_for_it_get_the_map(prepared: dict[int, PreparedDataset]) -> None:
    views = {"plain": View("unlabelled"), "regions": View("unlabelled", noise=0.1, superpixels=True)}
    batch = Batches({"unlabelled": source(prepared[2], 2, (24, 24))}, views)(0)
    assert batch["plain"].superpixels is None
    assert batch["regions"].superpixels is not None


def test_maps_that_were_not_prepared_are_an_error(tmp_path: Path) -> None:
    prepare_dataset("entry", "phantom_lesions", {"cases": 2, "size": [32, 40]}, None, None, tmp_path)
    with pytest.raises(DataError, match="without super-pixels"):
        source(PreparedDataset(tmp_path), 2, (24, 24))
