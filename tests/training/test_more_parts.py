"""What batches are under the parts of the augmentation that most suites leave off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from contrastseg.errors import TrainingError
from contrastseg.training.run import train
from contrastseg.training.settings import AugmentationSettings
from tests.training.test_augmentation import STILL
from tests.training.test_batches import source, storage


def settings(**changes: Any) -> AugmentationSettings:
    return AugmentationSettings.model_validate({**STILL.model_dump(), **changes})


@pytest.mark.parametrize(("stored", "dims"), [(2, 2), (3, 2), (3, 3)])
@pytest.mark.parametrize("turned", [{}, {"rotation_degrees": 30.0, "scale": (0.6, 0.7)}])
def test_beyond_a_case_is_zero_or_its_border(
    phantoms: dict[int, Any], stored: int, dims: int, turned: dict[str, Any]
) -> None:
    data = storage(phantoms[stored], dims)
    patch = (10, 60, 56)[-dims:]
    zero, edge = (
        source(data, patch=patch, settings=settings(border=border, **turned))(0, "a") for border in ("zero", "edge")
    )
    assert torch.equal(zero.coordinates, edge.coordinates)
    last = torch.from_numpy(np.array([data.extents[unit].tolist() for unit in zero.unit.tolist()])) - 1
    last = last.view(len(last), *[1] * dims, dims)
    apart = torch.maximum(-zero.coordinates, zero.coordinates - last).amax(-1)
    inside, beyond = apart < -0.01, apart > 0.01
    assert inside.any()
    assert beyond.any()
    for one, other in ((zero.image, edge.image), (zero.label[:, None], edge.label[:, None])):  # type: ignore[index]
        for channel in range(one.shape[1]):
            torch.testing.assert_close(one[:, channel][inside], other[:, channel][inside], atol=1e-4, rtol=0)
            assert not one[:, channel][beyond].abs().gt(1e-4).any()
    assert edge.image.abs().amax(1)[beyond].gt(1e-4).any()


@pytest.mark.parametrize(("dims", "patch"), [(2, (16, 20)), (3, (4, 16, 20))])
def test_by_order_0_values_are_those_of_the_nearest_pixel(
    phantoms: dict[int, Any], dims: int, patch: tuple[int, ...]
) -> None:
    data = storage(phantoms[3], dims)
    turned = {"rotation_degrees": 30.0, "scale": (0.8, 1.2)}
    nearest, linear = (source(data, patch=patch, settings=settings(order=order, **turned))(0, "a") for order in (0, 1))
    for index, unit in enumerate(nearest.unit.tolist()):
        place = data.units[unit]
        whole = data.images[place.case].float()
        known = whole if place.plane is None else whole[:, place.plane]
        places = nearest.coordinates[index].round().long()
        places = torch.minimum(places.clamp(min=0), torch.tensor(known.shape[1:]) - 1)
        expected = known[0][tuple(places.unbind(-1))]
        same = (nearest.image[index, 0] - expected).abs() < 1e-4
        assert same.float().mean() > 0.99, "but for pixels between two"
        assert (linear.image[index, 0] - expected).abs().gt(1e-3).any()
    assert torch.equal(nearest.label, linear.label)  # type: ignore[arg-type]


def test_a_group_holds_shift_and_intensity_too(phantoms: dict[int, Any]) -> None:
    data = storage(phantoms[2], 2)
    asked = settings(shift=0.4, brightness=0.5, one_of=[["shift"], ["brightness"]])
    size = tuple(data.extents[0].tolist())
    reader, plain = (
        source(data, patch=size, batch=40, settings=asked),
        source(data, patch=size, batch=40, settings=STILL),
    )
    sample, still = reader(0, "a"), plain(0, "a")
    shifted = (sample.coordinates - still.coordinates).abs().flatten(1).amax(1) > 1e-3
    inner = (slice(None), slice(None), slice(10, 30), slice(10, 30))
    brighter = (sample.image - still.image)[inner].flatten(1).abs().amax(1) > 1e-3
    assert 8 <= int(shifted.sum()) <= 32
    assert torch.equal(brighter[~shifted], torch.ones(int((~shifted).sum()), dtype=torch.bool))
    flat = sample.image[~shifted] - still.image[~shifted]
    torch.testing.assert_close(flat, flat[:, :1, :1, :1].expand_as(flat), atol=1e-4, rtol=0)


def test_parts_that_are_off_leave_the_draws_of_the_others_alone(phantoms: dict[int, Any]) -> None:
    data = storage(phantoms[3], 2)
    plain = source(data)(3, "a")
    group = source(data, settings=AugmentationSettings(one_of=[["rot90"], ["shear"]]))(3, "a")
    torch.testing.assert_close(group.coordinates, plain.coordinates, atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(group.image, plain.image, atol=1e-3, rtol=1e-3)


def test_colours_change_the_image_alone(phantoms: dict[int, Any]) -> None:
    data = storage(phantoms[2], 2)
    for image in data.images.values():  # as colours are
        image.copy_((image - image.min()) / (image.max() - image.min()))
    plain = source(data, settings=settings())(0, "a")
    turned = source(data, settings=settings(hue=1, saturation=0.3))(0, "a")
    assert torch.equal(turned.coordinates, plain.coordinates)
    assert torch.equal(turned.label, plain.label)  # type: ignore[arg-type]
    assert (turned.image - plain.image).abs().amax() > 0.05
    torch.testing.assert_close(turned.image.amax(1), plain.image.amax(1), atol=1e-4, rtol=0)


def test_a_run_refuses_colours_of_grey_images(phantoms: dict[int, Any], tmp_path: Path) -> None:
    config = phantoms[3].config("supervised", training={"augmentation": {"hue": 0.2}})
    with pytest.raises(TrainingError, match="hue and saturation"):
        train(config, tmp_path)
    assert not (tmp_path / "checkpoints").exists()
