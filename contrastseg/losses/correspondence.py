"""Which positions of two views of an image show the same place, by where they were taken from or by how they look."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from contrastseg.losses.info_nce import similarities
from contrastseg.tensors import constant


def map_coordinates(coordinates: Tensor, stride: Sequence[int]) -> Tensor:
    """Find where the units of a map lie: the mean of the places of the `stride` pixels each unit stands for.

    Args:
        coordinates: (B, *spatial, dims), where every pixel of a view was taken from.
        stride: Of the map, one number per axis.

    Returns:
        (B, N, dims), units in the order of the flattened map.

    Example:
        >>> rows, columns = torch.meshgrid(torch.arange(4.0), torch.arange(4.0), indexing="ij")
        >>> map_coordinates(torch.stack([rows, columns], dim=-1)[None], stride=(2, 2))
        tensor([[[0.5000, 0.5000],
                 [0.5000, 2.5000],
                 [2.5000, 0.5000],
                 [2.5000, 2.5000]]])
    """
    pool = F.avg_pool2d if coordinates.shape[-1] == 2 else F.avg_pool3d
    return pool(coordinates.movedim(-1, 1), tuple(stride), tuple(stride)).flatten(2).transpose(1, 2)


@torch.no_grad()
def geometric_matches(queries: Tensor, keys: Tensor, stride: Sequence[int], tolerance: float = 0.5) -> Tensor:
    """For every query position the nearest key position, −1 where none lies within `tolerance` strides on every axis.

    Args:
        queries: (B, N, dims), places of one view's units, as `map_coordinates` gives them.
        keys: (B, M, dims), of the other view's.
        stride: Of the map; distances are measured in it.
        tolerance: In strides: at 0.5 a unit's place lies in the block that its match stands for.

    Returns:
        (B, N), int64.

    Example:
        >>> queries = torch.tensor([[[0.5, 0.5], [8.0, 8.0]]])
        >>> keys = torch.tensor([[[2.5, 0.5], [1.0, 1.0]]])
        >>> geometric_matches(queries, keys, stride=(2, 2))
        tensor([[ 1, -1]])
    """
    step = constant(tuple(stride), queries.device, queries.dtype)
    queries, keys = queries / step, keys / step
    # No matrix product: its rounding in large coordinates is as large as the distances that matter.
    distances = torch.cdist(queries, keys, compute_mode="donot_use_mm_for_euclid_dist")
    nearest = distances.argmin(-1)
    nearest_keys = keys.gather(1, nearest[..., None].expand(-1, -1, keys.shape[-1]))
    return torch.where(((nearest_keys - queries).abs() <= tolerance).all(-1), nearest, -1)


@torch.no_grad()
def feature_matches(queries: Tensor, keys: Tensor) -> Tensor:
    """For every query (B, N, C) the key (B, M, C) of the same image with the highest cosine: (B, N), int64.

    Example:
        >>> queries, keys = torch.eye(2)[None], torch.tensor([[[0.0, 3.0], [2.0, 0.1]]])
        >>> feature_matches(queries, keys)
        tensor([[1, 0]])
    """
    return similarities(queries, keys, 1.0).argmax(-1)
