"""Contrast of image regions: points of one region in two views are positives, points of other regions negatives.

Source:
    A contrastive sampling loss over super-pixels is published in Yan et al., Localized Region Contrast for Enhancing
    Self-Supervised Learning in Medical Image Segmentation, MICCAI 2023, arXiv 2304.03406; its formula here is our
    reading.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from contrastseg.losses.info_nce import log_negatives, similarities
from contrastseg.tensors import values_at_hand

Positives = Literal["one", "all", "average"]
Negatives = Literal["image", "batch"]


class RegionPoints(NamedTuple):
    """Points sampled in the regions that both views show.

    Attributes:
        first: (B, R, K), int64, positions in the flattened first view.
        second: (B, R, K), in the second.
        valid: (B, R), bool: whether there is an R-th region at all; positions of others mean nothing.
    """

    first: Tensor
    second: Tensor
    valid: Tensor


@torch.no_grad()
def sample_region_points(
    first: Tensor, second: Tensor, points: int, max_regions: int, generator: torch.Generator | None = None
) -> RegionPoints:
    """Draw `points` positions without replacement in each of up to `max_regions` regions, in both views.

    Regions that have fewer positions than that in either view are left out; of more regions, a random choice is taken.
    Sorting all positions by region in random order takes memory linear in the image and needs no loop.

    Args:
        first: (B, *spatial), int64, region of every position of one view, 0 = none.
        second: (B, *spatial), of the other view; a region has the same number in both.
        points: K.
        max_regions: R at most. On a CPU it is what the image with the most such regions has, where that is less.
        generator: Of random numbers, on the maps' device; torch's global one if unset.

    Example:
        >>> regions = torch.tensor([[[1, 1, 2, 2], [1, 1, 2, 2]]])
        >>> drawn = sample_region_points(regions, regions.flip(2), points=2, max_regions=3)
        >>> drawn.valid
        tensor([[True, True]])
    """
    maps = [view.flatten(1) for view in (first, second)]
    sample = _sample_by_table if values_at_hand(first) else _sample_by_search
    orders, starts, valid = sample(maps, points, max_regions, generator)
    picked = []
    for order, start in zip(orders, starts, strict=True):
        where = start[..., None] + torch.arange(points, device=order.device)
        picked.append(order.gather(1, where.flatten(1).clamp(max=order.shape[1] - 1)).reshape(where.shape))
    first, second = picked
    return RegionPoints(first, second, valid)


# Both ways of sampling give, per view, (B, P) positions sorted by region, in random order within one, and (B, R) where
# the regions begin in them; and (B, R), whether there is an R-th region.
_Sampled = tuple[list[Tensor], list[Tensor], Tensor]


def _sample_by_table(
    maps: Sequence[Tensor], points: int, max_regions: int, generator: torch.Generator | None
) -> _Sampled:
    """Regions are counted in a table as long as their numbers go: fast where values can be read."""
    batch, numbers = len(maps[0]), 1 + max(int(view.max()) for view in maps)
    counts = [
        torch.zeros(batch, numbers, dtype=torch.int64, device=view.device).scatter_add_(1, view, torch.ones_like(view))
        for view in maps
    ]
    eligible = torch.minimum(*counts) >= points
    eligible[:, 0] = False
    score = torch.rand(batch, numbers, generator=generator, device=eligible.device)
    score = torch.where(eligible, score, -1.0)
    most = max(1, min(max_regions, int(eligible.sum(1).max())))
    chosen_score, chosen = score.topk(most, dim=1)
    orders = [_sorted_by_region(view, generator) for view in maps]
    starts = [(count.cumsum(1) - count).gather(1, chosen) for count in counts]
    return orders, starts, chosen_score >= 0


def _sample_by_search(
    maps: Sequence[Tensor], points: int, max_regions: int, generator: torch.Generator | None
) -> _Sampled:
    """Regions are runs in the sorted positions, whatever their numbers: no shape hangs on values."""
    orders = [_sorted_by_region(view, generator) for view in maps]
    runs = [view.gather(1, order) for view, order in zip(maps, orders, strict=True)]
    first = runs[0]
    # Of every place in the first view's runs: where its region begins and ends in either view.
    begins = [torch.searchsorted(run, first) for run in runs]
    sizes = [torch.searchsorted(run, first, right=True) - begin for run, begin in zip(runs, begins, strict=True)]
    opens = begins[0] == torch.arange(first.shape[1], device=first.device)
    eligible = opens & (first > 0) & (torch.minimum(*sizes) >= points)
    score = torch.rand(first.shape, generator=generator, device=first.device)
    chosen_score, chosen = torch.where(eligible, score, -1.0).topk(min(max_regions, first.shape[1]), dim=1)
    return orders, [begin.gather(1, chosen) for begin in begins], chosen_score >= 0


def _sorted_by_region(view: Tensor, generator: torch.Generator | None) -> Tensor:
    shuffled = torch.rand(view.shape, generator=generator, dtype=torch.float64, device=view.device)
    return (view + shuffled).argsort(dim=1)


def gather_points(features: Tensor, points: Tensor) -> Tensor:
    """(B, R, K, C): vectors of a map (B, C, *spatial) at flat positions (B, R, K).

    Example:
        >>> features = torch.arange(8.0).reshape(1, 2, 2, 2)
        >>> gather_points(features, torch.tensor([[[0, 3]]]))
        tensor([[[[0., 4.],
                  [3., 7.]]]])
    """
    flat = features.flatten(2)
    index = points.flatten(1)[:, None].expand(-1, flat.shape[1], -1)
    return flat.gather(2, index).transpose(1, 2).unflatten(1, points.shape[1:])


def region_contrast_loss(
    first: Tensor,
    second: Tensor,
    valid: Tensor,
    temperature: float = 0.1,
    positives: Positives = "all",
    negatives: Negatives = "image",
) -> Tensor:
    """mean_r mean_{i ∈ P_r} −log [ Σ⁺ / (Σ⁺ + Σ_{r' ≠ r} Σ_{j ∈ P'_r'} exp(z_i·z_j/τ)) ], z of length 1.

    P_r are the points of region r in the first view, P'_r those in the second; Σ⁺ sums exp(z_i·z_p/τ) over the region's
    points in the second view (`all`), or is that of one of them (`one`: points are in random order, so the i-th is a
    random one). `average` is SupCon's form: −log of each positive's share alone, averaged.

    Args:
        first: (B, R, K, D), embeddings of the first view's points.
        second: (B, R, K, D), of the second view's.
        valid: (B, R), which regions there are; others are neither rows nor negatives.
        temperature: τ.
        positives: See above.
        negatives: Points of the other regions of the same `image`, or of those and of all regions of the `batch`'s
            other images.

    Returns:
        A scalar: the mean over the regions of all images, 0 where there is none.

    Raises:
        ValueError: `positives` or `negatives` is something else.

    Example:
        >>> points = torch.eye(2)[None, :, None].expand(1, 2, 3, 2)  # two regions of three points
        >>> valid = torch.ones(1, 2, dtype=torch.bool)
        >>> round(region_contrast_loss(points, points, valid).item(), 4)
        0.0
        >>> round(region_contrast_loss(points, points.flip(1), valid).item(), 4)
        10.0
    """
    if positives not in ("one", "all", "average"):
        raise ValueError(f"positives is one, all or average; got {positives!r}")
    if negatives not in ("image", "batch"):
        raise ValueError(f"negatives is image or batch; got {negatives!r}")
    batch, regions, points = first.shape[:3]
    if negatives == "batch":
        # One image whose regions are those of all images.
        flat = [each.flatten(0, 1)[None] for each in (first, second, valid)]
        return region_contrast_loss(flat[0], flat[1], flat[2], temperature, positives)
    similarity = similarities(first.flatten(1, 2), second.flatten(1, 2), temperature)
    region = torch.arange(regions, device=first.device).repeat_interleave(points)
    counting = (region[:, None] != region) & valid.repeat_interleave(points, dim=1)[:, None]
    others = log_negatives(similarity, counting).unflatten(1, (regions, points))
    # (B, R, K, K): every point of a region with every point of the same region in the other view.
    same_region = similarity.reshape(batch, regions, points, regions, points).diagonal(dim1=1, dim2=3).movedim(-1, 1)
    if positives == "one":
        losses = F.softplus(others - same_region.diagonal(dim1=-2, dim2=-1))
    else:
        total = same_region.logsumexp(-1)
        losses = F.softplus(others - total)
        if positives == "average":
            losses = losses + total - same_region.mean(-1)
    return (losses.mean(-1) * valid).sum() / valid.sum().clamp(min=1)
