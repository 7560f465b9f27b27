"""The warp carries image, label and coordinates together; intensity changes are what they are called."""

from __future__ import annotations

import math

import pytest
import torch

from contrastseg.training import augmentation
from contrastseg.training.seeds import generator
from contrastseg.training.settings import AugmentationSettings

STILL = AugmentationSettings(
    flip_axes=[], rotation_degrees=0, scale=(1, 1), shift=0, brightness=0, contrast=(1, 1), gamma=(1, 1), noise=0
)


def look(image: torch.Tensor, warp: augmentation.Warp, patch: tuple[int, ...], nearest: bool = False) -> torch.Tensor:
    """The patch around the image's centre."""
    centre = torch.tensor([(n - 1) / 2 for n in image.shape[2:]])
    positions = augmentation.source_offsets(warp, patch) + centre
    return augmentation.sample(image, augmentation.sampling_grid(positions, image.shape[2:]), nearest)


@pytest.mark.parametrize("shape", [(7, 8), (4, 7, 6)])
def test_nothing_drawn_nothing_changed(shape: tuple[int, ...]) -> None:
    image = torch.randn(2, 3, *shape)
    warp = augmentation.draw_warp(generator(0), 2, len(shape), STILL)
    torch.testing.assert_close(look(image, warp, shape), image)
    torch.testing.assert_close(look(image, augmentation.identity_warp(2, len(shape)), shape), image)
    change = augmentation.draw_intensity(generator(0), 2, STILL)
    torch.testing.assert_close(augmentation.change_intensity(image, change, generator(1)), image, atol=1e-5, rtol=1e-5)


def test_mirroring_and_quarter_turns_are_exact() -> None:
    image = torch.randn(1, 1, 9, 9)
    flip = augmentation.Warp(torch.tensor([[[-1.0, 0], [0, 1]]]), None)
    torch.testing.assert_close(look(image, flip, (9, 9)), image.flip(2))
    turn = augmentation.Warp(torch.tensor([[[0.0, -1], [1, 0]]]), None)
    turned = look(image, turn, (9, 9))
    assert any(torch.allclose(turned, torch.rot90(image, k, (2, 3)), atol=1e-5) for k in (1, 3))


def test_rotation_in_3d_keeps_the_slices() -> None:
    image = torch.arange(6.0).reshape(1, 1, 6, 1, 1).expand(1, 1, 6, 12, 12).contiguous()
    settings = STILL.model_copy(update={"rotation_degrees": 90.0, "scale": (0.7, 1.4), "elastic": 3.0})
    for seed in range(5):
        warp = augmentation.draw_warp(generator(seed), 1, 3, settings)
        torch.testing.assert_close(look(image, warp, (6, 12, 12)), image, atol=1e-4, rtol=0)


@pytest.mark.parametrize("elastic", [0.0, 4.0])
def test_label_and_coordinates_go_with_the_image(elastic: float) -> None:
    """An image of its own coordinates comes out as the coordinates, and a label of halves stays on its half."""
    size = 33
    y, x = torch.meshgrid(torch.arange(size).float(), torch.arange(size).float(), indexing="ij")
    image = torch.stack([y, x])[None]
    label = (x > 16)[None, None].float()
    settings = STILL.model_copy(update={"rotation_degrees": 30.0, "scale": (1.2, 1.5), "elastic": elastic})
    warp = augmentation.draw_warp(generator(3), 1, 2, settings)
    positions = augmentation.source_offsets(warp, (17, 17)) + 16
    assert (positions >= 0).all()
    assert (positions <= size - 1).all()
    grid = augmentation.sampling_grid(positions, image.shape[2:])
    warped = augmentation.sample(image, grid)
    torch.testing.assert_close(warped.movedim(1, -1), positions, atol=1e-3, rtol=0)
    half = augmentation.sample(label, grid, nearest=True)[:, 0]
    sure = (positions[..., 1] - 16.5).abs() > 0.51
    assert torch.equal(half[sure], (positions[..., 1] > 16.5).float()[sure])


@pytest.mark.parametrize("dims", [2, 3])
def test_block_holds_everything_the_patch_looks_at(dims: int) -> None:
    settings = STILL.model_copy(update={"rotation_degrees": 180.0, "scale": (0.6, 1.5), "elastic": 5.0})
    patch = (6, 20, 14)[-dims:]
    for seed in range(10):
        warp = augmentation.draw_warp(generator(seed), 4, dims, settings)
        offsets = augmentation.source_offsets(warp, patch).reshape(-1, dims)
        shape = torch.tensor(augmentation.block_shape(warp, patch))
        # A block starts up to half a pixel away from where its centre would have it.
        assert (offsets.abs().amax(0) + 0.5 <= (shape - 1) / 2).all()


@pytest.mark.parametrize("elastic", [0.0, 5.0])
@pytest.mark.parametrize("degrees", [0.0, 15.0, 100.0])
@pytest.mark.parametrize("patch", [(20, 14), (6, 20, 48)])
def test_the_largest_block_holds_every_block_and_is_no_larger_than_the_worst(
    patch: tuple[int, ...], degrees: float, elastic: float
) -> None:
    settings = STILL.model_copy(update={"rotation_degrees": degrees, "scale": (0.7, 1.5), "elastic": elastic})
    largest = augmentation.largest_block(patch, settings)
    drawn = [
        augmentation.block_shape(augmentation.draw_warp(generator(seed), 256, len(patch), settings), patch)
        for seed in range(8)
    ]
    for axis, extent in enumerate(largest):
        worst = max(shape[axis] for shape in drawn)
        assert worst <= extent <= worst + 4 + 2 * elastic * (axis < len(patch) - 2)


def test_ranges_are_kept_and_used() -> None:
    settings = STILL.model_copy(
        update={
            "rotation_degrees": 20.0,
            "scale": (0.5, 2.0),
            "contrast": (0.5, 1.5),
            "gamma": (0.7, 1.4),
            "noise": 0.2,
        }
    )
    warp = augmentation.draw_warp(generator(0), 2000, 2, settings)
    zoom = warp.matrix.det().sqrt().reciprocal()
    angle = torch.rad2deg(torch.atan2(warp.matrix[:, 1, 0], warp.matrix[:, 0, 0]))
    for values, low, high in ((zoom, 0.5, 2.0), (angle, -20, 20)):
        assert low - 1e-3 <= float(values.min()) < low + 0.1 * (high - low)
        assert high + 1e-3 >= float(values.max()) > high - 0.1 * (high - low)
    _, contrast, gamma, noise = augmentation.draw_intensity(generator(0), 2000, settings)
    for values, (low, high) in ((contrast, settings.contrast), (gamma, settings.gamma), (noise, (0, settings.noise))):
        assert low <= float(values.min()) < low + 0.05 * (high - low)
        assert high >= float(values.max()) > high - 0.05 * (high - low)


def test_intensity_changes_do_what_they_are_called() -> None:
    image = torch.rand(1, 1, 64, 64)
    one = torch.ones(1, 1)

    def changed(**values: torch.Tensor) -> torch.Tensor:
        parts = {"brightness": 0 * one, "contrast": one, "gamma": one, "noise": 0 * one, **values}
        return augmentation.change_intensity(image, torch.stack(list(parts.values())), generator(5))

    torch.testing.assert_close(changed(brightness=0.3 * one), image + 0.3)
    assert float(changed(contrast=2 * one).std() / image.std()) == pytest.approx(2, rel=1e-4)
    assert float(changed(gamma=2 * one).mean()) < float(image.mean())
    assert float((changed(noise=0.1 * one) - image).std()) == pytest.approx(0.1, rel=0.05)


def test_clipped_noise_is_clipped_at_twice_its_strength() -> None:
    zeros = torch.zeros(1, 1, 200, 200)
    noise = augmentation.add_clipped_noise(zeros, 0.1, generator(0))
    assert float(noise.abs().max()) == pytest.approx(0.2)
    assert 0.08 < float(noise.std()) < 0.1
    assert math.isclose(float(noise.mean()), 0, abs_tol=0.002)
