"""The batch at step t is a function of (seed, t), the same wherever the data lies."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.splits.split_files import Split
from contrastseg.errors import TrainingError
from contrastseg.methods.contract import View
from contrastseg.training.batches import Batches, Source
from contrastseg.training.settings import AugmentationSettings
from contrastseg.training.storage import Storage


def storage(phantom: Any, dims: int, labels: bool = True, residency: Any = "host", patients: int = 4) -> Storage:
    split = Split.from_file(phantom.split)
    dataset = PreparedDataset(phantom.data)
    return Storage(
        dataset,
        dataset.cases_of(split.train()[:patients]),
        with_labels=labels,
        spatial_dims=dims,
        device=torch.device("cpu"),
        residency=residency,
    )


def source(data: Storage, seed: int = 0, patch: Any = (16, 16), batch: int = 3, **options: Any) -> Source:
    return Source("labelled", data, batch, patch, seed, options.pop("settings", AugmentationSettings()), **options)


@pytest.mark.parametrize(("stored", "dims", "patch"), [(2, 2, (16, 20)), (3, 2, (16, 20)), (3, 3, (4, 16, 20))])
def test_shapes_types_and_values(phantoms: dict[int, Any], stored: int, dims: int, patch: tuple[int, ...]) -> None:
    data = storage(phantoms[stored], dims)
    sample = source(data, patch=patch)(0, "a")
    channels = 3 if stored == 2 else 1
    assert sample.image.shape == (3, channels, *patch)
    assert sample.image.dtype == torch.float32
    assert sample.label is not None
    assert sample.label.shape == (3, *patch)
    assert sample.label.dtype == torch.int64
    assert sample.coordinates.shape == (3, *patch, dims)


@pytest.mark.parametrize("stored", [2, 3])
def test_same_seed_and_step_same_batch_whatever_came_before(phantoms: dict[int, Any], stored: int) -> None:
    data = storage(phantoms[stored], 2)
    once = source(data)
    for step in range(5):
        once(step, "a")
    again, other_seed = source(data)(5, "a"), source(data, seed=1)(5, "a")
    sixth = once(5, "a")
    assert torch.equal(sixth.image, again.image)
    assert torch.equal(sixth.coordinates, again.coordinates)
    assert not torch.equal(sixth.image, other_seed.image)
    assert not torch.equal(sixth.image, once(6, "a").image)
    assert not torch.equal(sixth.coordinates, once(5, "b").coordinates)


def test_mapped_and_host_data_give_identical_batches(phantoms: dict[int, Any]) -> None:
    host, mapped = (source(storage(phantoms[3], 3, residency=r), patch=(4, 16, 16)) for r in ("host", "mapped"))
    for step in range(3):
        one, other = host(step, "a"), mapped(step, "a")
        assert torch.equal(one.image, other.image)
        assert torch.equal(one.label, other.label)  # type: ignore[arg-type]


def test_every_unit_comes_once_before_any_comes_twice(phantoms: dict[int, Any]) -> None:
    data = storage(phantoms[3], 2)
    reader = source(data, batch=5)
    count = len(data.units)
    assert count == sum(image.shape[1] for image in data.images.values())
    drawn = [unit for step in range(2 * count) for unit in reader.units(step)]
    for epoch in range(10):
        assert sorted(drawn[epoch * count : (epoch + 1) * count]) == list(range(count))
    assert drawn[:count] != drawn[count : 2 * count]


def test_other_samples_are_an_order_of_their_own(phantoms: dict[int, Any]) -> None:
    data = storage(phantoms[3], 2)
    reader = source(data, batch=5)
    count = len(data.units)
    drawn = [unit for step in range(count) for unit in reader.units(step, "other")]
    for epoch in range(5):
        assert sorted(drawn[epoch * count : (epoch + 1) * count]) == list(range(count))
    assert drawn[:count] != [unit for step in range(count) for unit in reader.units(step)][:count]
    views = {"one": View("labelled"), "other": View("labelled", "b", samples="other")}
    batch = Batches({"labelled": reader}, views)(1)
    assert batch["one"].unit.tolist() == reader.units(1)
    assert batch["other"].unit.tolist() == reader.units(1, "other")


def test_two_ranks_draw_together_what_one_draws_with_twice_the_batch(phantoms: dict[int, Any]) -> None:
    data = storage(phantoms[3], 2)
    single = source(data, batch=4)
    pair = [source(data, batch=2, rank=rank, world=2) for rank in (0, 1)]
    for step in range(4):
        assert single.units(step) == pair[0].units(step) + pair[1].units(step)


@pytest.mark.parametrize(("stored", "dims", "patch"), [(2, 2, (24, 24)), (3, 3, (6, 24, 24)), (3, 2, (60, 60))])
def test_without_augmentation_samples_are_copies_at_their_coordinates(
    phantoms: dict[int, Any], stored: int, dims: int, patch: tuple[int, ...]
) -> None:
    """Whatever the patch (smaller or larger than the unit), each pixel is the unit's at its coordinates."""
    data = storage(phantoms[stored], dims)
    reader = source(data, patch=patch, settings=AugmentationSettings(shift=0))
    sample = reader(1, "a", augment=False)
    for index, unit in enumerate(reader.units(1)):
        whole = data._whole(unit, "image").float() * data.scale
        where = sample.coordinates[index]
        extent = torch.tensor(whole.shape[1:])
        exact = torch.minimum(where.clamp(min=0), extent - 1.0)
        near = exact.round().long()
        close = (exact - near).abs().amax(-1) < 1e-4
        index_: Any = (slice(None), *near.unbind(-1))
        if close.any():
            torch.testing.assert_close(sample.image[index][:, close], whole[index_][:, close], atol=2e-3, rtol=1e-3)


def test_foreground_crops_hold_foreground(phantoms: dict[int, Any]) -> None:
    data = storage(phantoms[3], 3)
    settings = AugmentationSettings(shift=0)
    always = source(data, patch=(4, 8, 8), batch=8, settings=settings, foreground_fraction=1.0)
    never = source(data, patch=(4, 8, 8), batch=8, settings=settings, foreground_fraction=0.0)
    with_it = [bool((label > 0).any()) for step in range(4) for label in always(step, "a", augment=False).label]  # type: ignore[union-attr]
    without = [bool((label > 0).any()) for step in range(4) for label in never(step, "a", augment=False).label]  # type: ignore[union-attr]
    assert all(with_it)
    assert not all(without)


def test_views_share_what_they_declare_and_differ_in_noise(phantoms: dict[int, Any]) -> None:
    data = storage(phantoms[2], 2, labels=False)
    views = {
        "clean": View("labelled"),
        "noisy": View("labelled", noise=0.1),
        "noisier": View("labelled", noise=0.1),
        "elsewhere": View("labelled", geometry="b"),
    }
    batch = Batches({"labelled": source(data)}, views)(0)
    assert torch.equal(batch["clean"].coordinates, batch["noisy"].coordinates)
    assert not torch.equal(batch["clean"].coordinates, batch["elsewhere"].coordinates)
    assert torch.equal(batch["clean"].unit, batch["elsewhere"].unit)
    one, other = (batch[name].image - batch["clean"].image for name in ("noisy", "noisier"))
    assert 0 < float(one.abs().max()) <= 0.2 + 1e-6
    assert not torch.equal(one, other)
    assert batch["clean"].label is None


def test_no_patient_no_storage(phantoms: dict[int, Any]) -> None:
    with pytest.raises(TrainingError, match="no case of phantom"):
        storage(phantoms[2], 2, patients=0)


def test_samples_say_whose_they_are(phantoms: dict[int, Any]) -> None:
    data = storage(phantoms[3], 2)
    dataset = PreparedDataset(phantoms[3].data)
    patients = Split.from_file(phantoms[3].split).train()[:4]
    sample = source(data, batch=20)(0, "a")
    assert sample.patient is not None
    for unit, patient in zip(sample.unit.tolist(), sample.patient.tolist(), strict=True):
        assert dataset.patient(data.units[unit].case) == patients[patient]


def test_frames_of_a_patient_carry_one_number(phantoms: dict[int, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """As on ACDC, where each patient has two cases."""
    dataset = PreparedDataset(phantoms[2].data)
    pairs = {case: f"patient{index // 2}" for index, case in enumerate(dataset.cases)}
    monkeypatch.setattr(PreparedDataset, "patient", lambda self, case: pairs[case])
    data = Storage(dataset, list(pairs), with_labels=False, spatial_dims=2, device=torch.device("cpu"))
    assert [unit.patient for unit in data.units] == [index // 2 for index in range(len(pairs))]


def test_views_of_one_geometry_may_have_intensities_of_their_own(phantoms: dict[int, Any]) -> None:
    names = {"plain": View("labelled"), "b": View("labelled", intensity="b"), "c": View("labelled", intensity="c")}
    batch = Batches({"labelled": source(storage(phantoms[3], 2))}, names)(3)
    assert torch.equal(batch["plain"].image, source(storage(phantoms[3], 2))(3, "a").image)
    for name in ("b", "c"):
        assert torch.equal(batch[name].coordinates, batch["plain"].coordinates)
        assert torch.equal(batch[name].label, batch["plain"].label)  # type: ignore[arg-type]
        assert not torch.equal(batch[name].image, batch["plain"].image)
    assert not torch.equal(batch["b"].image, batch["c"].image)
