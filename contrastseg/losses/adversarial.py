"""Virtual adversarial training: how far a small change of the images in the worst direction moves the prediction.

Source:
    Miyato et al., Virtual Adversarial Training, TPAMI 2018, arXiv 1704.03976; with a Dice distance as in Wu et al.,
    Exploring Smoothness and Class-Separation for Semi-supervised Medical Image Segmentation, MICCAI 2022.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn

Distance = Literal["dice_per_class", "dice_joint"]


def soft_dice_distance(first: Tensor, second: Tensor, distance: Distance = "dice_per_class") -> Tensor:
    """Compute 1 − Dice of two probability maps, areas summed over the batch.

    Args:
        first: (B, K, *spatial), p.
        second: (B, K, *spatial), q.
        distance: `dice_per_class` is the mean over the classes, background included, of 1 − 2 Σ pq / (Σ p² + Σ q²);
            `dice_joint` is 1 − 2 Σ pq / (Σ p + Σ q), summed over the classes too.

    Returns:
        A scalar, float32.

    Example:
        >>> certain = torch.tensor([[[1.0], [0.0]]])
        >>> soft_dice_distance(certain, certain).item(), soft_dice_distance(certain, 1 - certain).item()
        (0.0, 1.0)
    """
    first, second = first.float(), second.float()
    if distance == "dice_joint":
        return 1 - (2 * (first * second).sum() + 1e-8) / (first.sum() + second.sum() + 1e-8)
    axes = [0, *range(2, first.ndim)]
    areas = first.square().sum(axes) + second.square().sum(axes)
    return (1 - (2 * (first * second).sum(axes) + 1e-10) / (areas + 1e-10)).mean()


def virtual_adversarial_loss(
    network: nn.Module,
    images: Tensor,
    probabilities: Tensor,
    xi: float = 10.0,
    epsilon: float = 6.0,
    distance: Distance = "dice_per_class",
) -> Tensor:
    """Compute the distance of the predictions of x and x + ε d̂, d the gradient of the distance at x + ξ r̂.

    r is drawn uniformly from [−½, ½] from torch's global generator of the images' device, r̂ and d̂ have length 1 in
    every image. One power step. The running statistics of norms stay as they are.

    Args:
        network: Images to logits.
        images: (B, C, *spatial), x.
        probabilities: (B, K, *spatial), the network's of x; no gradient reaches them.
        xi: ξ.
        epsilon: ε.
        distance: As in `soft_dice_distance`.

    Returns:
        A scalar, float32, with a gradient on the network's parameters.

    Example:
        >>> network, images = nn.Conv2d(1, 2, 1), torch.zeros(1, 1, 4, 4)
        >>> loss = virtual_adversarial_loss(network, images, network(images).softmax(1))
        >>> bool(loss > 0)
        True
    """
    clean = probabilities.detach()

    def moved(change: Tensor) -> Tensor:
        return soft_dice_distance(network(images + change).float().softmax(dim=1), clean, distance)

    with running_statistics_kept(network):
        direction = unit_per_image(torch.rand_like(images) - 0.5).requires_grad_()
        (gradient,) = torch.autograd.grad(moved(xi * direction), direction)
        return moved(epsilon * unit_per_image(gradient.detach()))


def unit_per_image(change: Tensor) -> Tensor:
    """A change (B, C, *spatial) divided by its length in every image; one that is 0 stays 0.

    Example:
        >>> unit_per_image(torch.full((1, 1, 2, 2), 3.0)).square().sum().item()
        1.0
    """
    length: Tensor = torch.linalg.vector_norm(change.flatten(1), dim=1) + 1e-8
    return change / length.reshape(-1, *[1] * (change.ndim - 1))


@contextmanager
def running_statistics_kept(network: nn.Module) -> Iterator[None]:
    """While it lasts, norms in training use their batch's statistics and leave the running ones as they are.

    Example:
        >>> norm = nn.BatchNorm1d(1)
        >>> with running_statistics_kept(norm):
        ...     _ = norm(torch.tensor([[3.0], [5.0]]))
        >>> norm.running_mean.item()
        0.0
    """
    norms: list[Any] = [module for module in network.modules() if getattr(module, "track_running_stats", False)]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True
