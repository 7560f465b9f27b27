"""Signed distance maps of label maps, and the regression to them."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from contrastseg.labels import IGNORE
from contrastseg.tensors import to_device


def signed_distances(label: Tensor, num_classes: int, ignore_index: int = IGNORE) -> Tensor:
    """Signed distance to the border of every foreground class: negative inside, positive outside, in [−1, 1].

    Each side is divided by its own largest distance in the sample. A class that is absent, or fills all, has no border
    there: its map is NaN. Distances are in pixels, computed by scipy on the CPU.

    Args:
        label: (B, *spatial), integer.
        num_classes: K, background included.
        ignore_index: Label of unknown pixels: NaN in every map.

    Returns:
        (B, K−1, *spatial), float32, on the label's device.

    Example:
        >>> signed_distances(torch.tensor([[[0, 0, 0, 1, 1]]]), num_classes=2)
        tensor([[[[ 1.0000,  0.6667,  0.3333, -0.5000, -1.0000]]]])
    """
    from scipy.ndimage import distance_transform_edt

    labels = label.cpu().numpy()
    maps = np.full((len(labels), num_classes - 1, *labels.shape[1:]), np.nan, dtype=np.float32)
    for sample, values in enumerate(labels):
        for index in range(num_classes - 1):
            inside = values == index + 1
            if inside.any() and not inside.all():
                outwards, inwards = distance_transform_edt(~inside), distance_transform_edt(inside)
                maps[sample, index] = outwards / outwards.max() - inwards / inwards.max()
        maps[sample, :, values == ignore_index] = np.nan
    return to_device(torch.from_numpy(maps), label.device)


def distance_regression_loss(predicted: Tensor, distances: Tensor) -> Tensor:
    """Compute the mean squared difference where a distance is known; 0 where none is.

    Args:
        predicted: (B, K−1, *spatial), in [−1, 1].
        distances: The same shape, NaN where unknown (see `signed_distances`).

    Example:
        >>> distances = torch.tensor([[[[0.5, float("nan")]]]])
        >>> distance_regression_loss(torch.zeros(1, 1, 1, 2), distances).item()
        0.25
    """
    unknown = torch.isnan(distances)
    predicted = predicted.float()
    # What is unknown is taken as predicted rightly: no difference, no gradient.
    target = torch.where(unknown, predicted.detach(), distances)
    known = unknown.numel() - torch.count_nonzero(unknown)
    return F.mse_loss(predicted, target, reduction="sum") / known.clamp(min=1)
