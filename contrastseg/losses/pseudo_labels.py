"""Pseudo labels: which pixels of a prediction count as labels, and clean-up of what they show."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from contrastseg.labels import IGNORE
from contrastseg.tensors import values_at_hand

_ROUNDS = 10
_JUMPS = 3


def hard_labels(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Take the most likely class of each pixel, and its probability; without gradient.

    Args:
        logits: (B, K, *spatial).

    Returns:
        Labels (B, *spatial), int64, and probabilities (B, *spatial), float32.

    Example:
        >>> label, confidence = hard_labels(torch.tensor([[[0.0], [2.0]]]))
        >>> label.item(), round(confidence.item(), 3)
        (1, 0.881)
    """
    confidence, label = torch.softmax(logits.detach().float(), dim=1).max(dim=1)
    return label, confidence


def confident_labels(label: Tensor, confidence: Tensor, threshold: float) -> Tensor:
    """Keep labels that are sure enough; all others become 255, which losses ignore.

    Args:
        label: (B, *spatial), int64.
        confidence: (B, *spatial), probability of each label.
        threshold: The least confidence that counts; above 1 nothing does.

    Example:
        >>> confident_labels(torch.tensor([[1, 0]]), torch.tensor([[0.95, 0.5]]), 0.95).tolist()
        [[1, 255]]
    """
    return torch.where(confidence >= threshold, label, IGNORE)


def largest_components(labels: Tensor, num_classes: int) -> Tensor:
    """Keep the largest connected part of each foreground class in each image; everything else becomes background.

    Pixels are connected through sides, edges and corners. Of two parts of one size the one that begins first counts.

    On a CPU scipy finds the parts. On a GPU the host would have to wait for the labels, so ten rounds of one and the
    same work join neighbouring parts there (Shiloach and Vishkin, 1982, with pooling as the look at neighbours). Noise
    and spirals of 256×256 pixels need six rounds; a part that needs more than ten would count as several.

    Args:
        labels: (B, *spatial), int64, at most 2^24 pixels an image.
        num_classes: K, background included.

    Returns:
        (B, *spatial), int64.

    Example:
        >>> largest_components(torch.tensor([[[1, 0, 1, 1], [0, 0, 0, 1]]]), 2).tolist()
        [[[0, 0, 1, 1], [0, 0, 0, 1]]]
    """
    return _found_on_host(labels, num_classes) if values_at_hand(labels) else _found_in_rounds(labels, num_classes)


def _found_on_host(labels: Tensor, num_classes: int) -> Tensor:
    from scipy import ndimage

    connected = np.ones((3,) * (labels.ndim - 1))
    kept = np.zeros(labels.shape, np.int64)
    for image, given in zip(kept, labels.numpy(), strict=True):
        for value in range(1, num_classes):
            parts, count = ndimage.label(given == value, connected)
            if count:
                image[parts == np.bincount(parts.ravel())[1:].argmax() + 1] = value
    return torch.from_numpy(kept)


def _found_in_rounds(labels: Tensor, num_classes: int) -> Tensor:
    pool = F.max_pool2d if labels.ndim == 3 else F.max_pool3d
    batch, pixels = len(labels), labels[0].numel()
    classes = torch.arange(1, num_classes, device=labels.device).view(1, -1, *[1] * (labels.ndim - 1))
    member = labels[:, None] == classes
    flat = member.flatten(2)
    # A part is named by its first pixel; what is outside points at itself.
    root = torch.arange(pixels, device=labels.device).expand(batch, num_classes - 1, pixels)
    for _ in range(_ROUNDS):
        named = torch.where(member, root.view(member.shape), pixels).float()
        first = (-pool(-named, 3, stride=1, padding=1)).flatten(2).long()
        lowest = torch.where(flat, first, root)
        # What a pixel has found holds for its whole part.
        root = torch.minimum(root.scatter_reduce(2, root, lowest, "amin"), lowest)
        for _ in range(_JUMPS):
            root = root.gather(2, root)
    size = torch.zeros_like(root).scatter_add(2, root, flat.long())
    kept = flat & (root == size.argmax(2, keepdim=True))
    return (kept.view(member.shape) * classes).sum(1)
