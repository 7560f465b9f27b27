"""Query patches: the box around a structure, resampled to a fixed shape, and back.

Everything is in edge coordinates of the image: pixel i covers [i, i + 1], so an image of n pixels is [0, n] and a box
is where its structure begins and ends. Boxes are (..., 2, d): low edges, high edges.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def mask_boxes(labels: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """Find the tight box of every foreground class.

    Args:
        labels: (B, *spatial), integer.
        num_classes: K, background included.

    Returns:
        Boxes (B, K−1, 2, d), float32, and whether the class is there at all (B, K−1); boxes of absent classes are the
        whole image.
    """
    import torch

    shape = labels.shape[1:]
    lows, highs, present = [], [], []
    for value in range(1, num_classes):
        members = labels == value
        present.append(members.flatten(1).any(1))
        for axis, size in enumerate(shape):
            occupied = members.movedim(axis + 1, 1).flatten(2).any(2).int()
            lows.append(occupied.argmax(1))
            highs.append(size - occupied.flip(1).argmax(1))
    boxes = torch.stack([*lows, *highs], dim=1).reshape(len(labels), 2, num_classes - 1, len(shape))
    return boxes.transpose(1, 2).float(), torch.stack(present, dim=1)


def widen(boxes: Tensor, margin: float, minimum: float) -> Tensor:
    """Widen boxes (N, 2, d) about their centres.

    Args:
        boxes: Lower and upper corners, in pixels.
        margin: Added at each end, as a share of the side.
        minimum: No side is shorter afterwards, in pixels.
    """
    sides = ((boxes[:, 1] - boxes[:, 0]) * (1 + 2 * margin)).clamp(min=minimum)
    return _about(boxes.mean(1), sides)


def move(boxes: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Move and scale boxes (N, 2, d).

    Args:
        boxes: Lower and upper corners, in pixels.
        shift: (N, d), of the centres, in sides.
        scale: (N, 1) or (N, d), factor of the sides.
    """
    sides = boxes[:, 1] - boxes[:, 0]
    return _about(boxes.mean(1) + shift * sides, sides * scale)


def emptiest_boxes(foreground: Tensor, boxes: Tensor, centres: Tensor, points: int = 8) -> Tensor:
    """Boxes of the same sides where there is least foreground, out of T places each.

    Args:
        foreground: (N, 1, *spatial), 0 or 1.
        boxes: (N, 2, d).
        centres: (N, T, d) in [0, 1]: where in the image to try, as far as the box fits.
        points: Positions per axis at which the foreground is looked at.

    Returns:
        (N, 2, d).
    """
    import torch

    from contrastseg.tensors import constant

    count, tries, dims = centres.shape
    sides = boxes[:, 1] - boxes[:, 0]
    half = (sides / 2)[:, None]
    extent = constant(tuple(foreground.shape[2:]), boxes.device, boxes.dtype)
    middle = extent / 2
    low, high = torch.minimum(half, middle), torch.maximum(extent - half, middle)
    candidates = _about(low + centres * (high - low), sides[:, None].expand(-1, tries, -1))
    positions = patch_positions(candidates.flatten(0, 1), (points,) * dims)
    # All places of one image are looked at in one go, side by side along the first axis: no copy of it for each.
    positions = positions.reshape(count, tries * points, *[points] * (dims - 1), dims)
    shares = sample_at(foreground, positions).reshape(count, tries, -1).mean(-1)
    return candidates[torch.arange(count, device=boxes.device), shares.argmin(1)]


def patch_positions(boxes: Tensor, patch: Sequence[int], rotation: Tensor | None = None) -> Tensor:
    """(N, *patch, d): where the centre of every patch pixel lies in the image.

    Args:
        boxes: (N, 2, d).
        patch: Shape of a patch.
        rotation: (N, d, d), applied to pixel offsets from the box's centre; mirrored axes count as rotation.
    """
    import torch

    axes = [(torch.arange(n, device=boxes.device, dtype=boxes.dtype) + 0.5) / n - 0.5 for n in patch]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
    broadcast = (len(boxes),) + (1,) * len(patch) + (len(patch),)
    offsets = grid * (boxes[:, 1] - boxes[:, 0]).reshape(broadcast)
    if rotation is not None:
        # Autocast would multiply matrices in bfloat16, which misses by pixels.
        with torch.autocast(boxes.device.type, enabled=False):
            offsets = torch.einsum("nij,n...j->n...i", rotation, offsets)
    return offsets + boxes.mean(1).reshape(broadcast)


def random_rotations(count: int, dims: int, degrees: float, mirrored: Sequence[int] = ()) -> Tensor:
    """(N, d, d) turns in the plane of the last two axes by up to ±degrees; half of them mirror each axis of `mirrored`.

    Args:
        count: N.
        dims: 2 or 3.
        degrees: The largest turn.
        mirrored: In-plane axes, 0 = rows and 1 = columns.
    """
    import torch

    angle = torch.deg2rad((torch.rand(count) * 2 - 1) * degrees)
    cosine, sine = angle.cos(), angle.sin()
    turn = torch.stack([cosine, -sine, sine, cosine], dim=-1).reshape(count, 2, 2)
    may_mirror = torch.tensor([axis in mirrored for axis in (0, 1)])
    signs = torch.where((torch.rand(count, 1, 2) < 0.5) & may_mirror, -1.0, 1.0)
    matrix = torch.eye(dims).repeat(count, 1, 1)
    matrix[:, -2:, -2:] = turn * signs
    return matrix


def image_positions(boxes: Tensor, shape: Sequence[int], patch: Sequence[int]) -> Tensor:
    """Find where the centre of every image pixel lies in each patch: (N, *shape, d), in the patch's edge coordinates.

    Args:
        boxes: (N, 2, d), where the patches lie in the image, in pixels.
        shape: Of the image.
        patch: Of a patch.
    """
    import torch

    from contrastseg.tensors import constant

    axes = [torch.arange(n, device=boxes.device, dtype=boxes.dtype) + 0.5 for n in shape]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
    broadcast = (len(boxes),) + (1,) * len(shape) + (len(shape),)
    sides = (boxes[:, 1] - boxes[:, 0]).reshape(broadcast)
    extent = constant(tuple(patch), boxes.device, boxes.dtype)
    return (grid - boxes[:, 0].reshape(broadcast)) / sides * extent


def sample_at(images: Tensor, positions: Tensor, nearest: bool = False, outside: str = "border") -> Tensor:
    """Sample values (N, C, *out) of images at positions.

    Args:
        images: (N, C, *spatial).
        positions: (N, *out, d), in the images' edge coordinates.
        nearest: Take the nearest pixel; linear in between otherwise.
        outside: What lies beyond the image: `border` continues it, `zeros` is 0.
    """
    import torch.nn.functional as F

    from contrastseg.tensors import constant

    extent = constant(tuple(images.shape[2:]), images.device, positions.dtype)
    # grid_sample wants the last axis first, and −1…1 from edge to edge.
    normalised = (positions * (2 / extent) - 1).flip(-1).to(images.dtype)
    mode = "nearest" if nearest else "bilinear"
    return F.grid_sample(images, normalised, mode=mode, padding_mode=outside, align_corners=False)


def paste(patches: Tensor, boxes: Tensor, shape: Sequence[int]) -> Tensor:
    """Put patches back where their boxes lie in an image: (N, C, *shape), 0 outside the box.

    Args:
        patches: (N, C, *patch).
        boxes: (N, 2, d), in pixels of the image.
        shape: Of the image.
    """
    import torch

    from contrastseg.tensors import constant

    patch = patches.shape[2:]
    positions = image_positions(boxes, shape, patch)
    extent = constant(tuple(patch), boxes.device, boxes.dtype)
    inside = ((positions >= 0) & (positions <= extent)).all(-1).unsqueeze(1)
    return torch.where(inside, sample_at(patches, positions), 0.0)


def _about(centres: Tensor, sides: Tensor) -> Tensor:
    """Boxes (..., 2, d) of these sides about these centres."""
    import torch

    return torch.stack([centres - sides / 2, centres + sides / 2], dim=-2)
