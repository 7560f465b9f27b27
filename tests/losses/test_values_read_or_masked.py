"""Losses that leave rows out where values can be read agree with themselves where those rows have weight 0."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from contrastseg.losses import info_nce, region_contrast, supervised_contrast
from contrastseg.losses.info_nce import dense_info_nce_loss
from contrastseg.losses.supervised_contrast import supcon_loss


def both(
    module: Any, monkeypatch: pytest.MonkeyPatch, loss: Callable[..., Tensor], *leaves: Tensor
) -> list[list[Tensor]]:
    """Value and gradients, rows left out and rows masked."""
    results = []
    for read in (True, False):
        monkeypatch.setattr(module, "values_at_hand", lambda _tensor, read=read: read)
        given = [leaf.clone().requires_grad_() for leaf in leaves]
        value = loss(*given)
        value.backward()
        results.append([value.detach(), *(leaf.grad for leaf in given if leaf.grad is not None)])
    return results


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize("denominator", ["all", "negatives"])
@pytest.mark.parametrize("queued", [False, True])
def test_supcon(denominator: Literal["all", "negatives"], queued: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = torch.arange(60) % 4
    labels[::7], labels[3] = 255, 9  # some to ignore, one without a positive
    queue = (random(30, 16), torch.arange(30) % 5) if queued else None

    def loss(vectors: Tensor) -> Tensor:
        return supcon_loss(vectors, labels, 0.1, queue=queue, denominator=denominator, ignore_index=255)

    read, masked = both(supervised_contrast, monkeypatch, loss, random(60, 16))
    torch.testing.assert_close(masked, read, rtol=1e-6, atol=1e-6)
    assert (read[1][::7] == 0).all()
    assert read[1].abs().sum() > 0.1


@pytest.mark.parametrize("negatives", [("same_image",), ("same_image", "batch"), ("batch", "queue")])
def test_dense_info_nce(negatives: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    matches = torch.arange(80).reshape(4, 20) % 23 - 1
    queue = random(30, 16) if "queue" in negatives else None

    def loss(queries: Tensor, keys: Tensor) -> Tensor:
        return dense_info_nce_loss(queries, keys, matches, 0.1, negatives, queue)

    read, masked = both(info_nce, monkeypatch, loss, random(4, 20, 16), random(4, 22, 16))
    torch.testing.assert_close(masked, read, rtol=1e-6, atol=1e-6)
    assert (read[1][matches < 0] == 0).all()


def test_regions_are_the_same_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which points are drawn differs, which regions have enough of them does not."""
    first = torch.arange(2 * 144).reshape(2, 12, 12) // 9 % 14
    second = first.roll(5, 1)
    drawn = []
    for read in (True, False):
        monkeypatch.setattr(region_contrast, "values_at_hand", lambda _tensor, read=read: read)
        points = region_contrast.sample_region_points(first, second, 6, 50)
        regions = first.flatten(1).gather(1, points.first.flatten(1)).reshape(points.first.shape)
        others = second.flatten(1).gather(1, points.second.flatten(1)).reshape(points.second.shape)
        assert (regions == regions[..., :1]).all(-1)[points.valid].all()
        assert (regions == others).all(-1)[points.valid].all()
        drawn.append([sorted(regions[image, points.valid[image], 0].tolist()) for image in range(2)])
    assert drawn[0] == drawn[1]
    assert len(drawn[0][0]) >= 10
