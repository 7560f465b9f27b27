"""Which pixels a pixel contrast compares: a few of every class, half of them those the network gets wrong."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from contrastseg.labels import IGNORE
from contrastseg.tensors import values_at_hand


def sample_anchors(
    label: Tensor,
    predicted: Tensor,
    num_classes: int,
    per_class: int,
    at_most: int,
    hard_share: float = 0.5,
) -> tuple[Tensor, Tensor]:
    """Random pixels of every class that is present, misclassified ("hard") ones first up to their share.

    Of a class, n = min(per_class, at_most / classes present) pixels are taken: `hard_share` of them hard, the rest
    easy; what one kind lacks the other fills up, and a class with fewer than n pixels gives all. Drawn from torch's
    global generator of the label's device.

    Args:
        label: (B, *spatial), integer, 0 to K−1 or 255; pixels of 255 are never taken.
        predicted: (B, *spatial), the network's present classes.
        num_classes: K.
        per_class: Most pixels of one class.
        at_most: Most pixels in all.
        hard_share: Share of hard pixels wanted, 0 to 1.

    Returns:
        Flat indices into (B · pixels), (A,), and the pixels' classes, (A,). On a CPU A is what there is; elsewhere it
        is what there could be, and the class of a place without a pixel is 255.

    Source:
        Wang et al., Exploring Cross-Image Pixel Contrast for Semantic Segmentation, ICCV 2021, arXiv 2101.11939
        (segmentation-aware hard anchors), there per image, here per batch.

    Example:
        >>> label = torch.zeros(1, 4, 4, dtype=torch.int64)
        >>> label[:, 2:] = 1
        >>> chosen = sample_anchors(label, torch.zeros_like(label), 2, per_class=3, at_most=100)
        >>> [part.shape for part in chosen]
        [torch.Size([6]), torch.Size([6])]
    """
    flat, wrong = label.flatten(), (label != predicted).flatten()
    if not values_at_hand(flat):
        return _anchors_of_one_shape(flat, wrong, num_classes, per_class, at_most, hard_share)
    classes = [c for c in torch.unique(flat).tolist() if c != IGNORE]
    if not classes:
        return flat.new_zeros(0), flat.new_zeros(0)
    wanted = max(1, min(per_class, at_most // len(classes)))
    taken = []
    for each in classes:
        hard = ((flat == each) & wrong).nonzero()[:, 0]
        easy = ((flat == each) & ~wrong).nonzero()[:, 0]
        number = min(len(hard), max(round(hard_share * wanted), wanted - len(easy)))
        taken += [_some(hard, number), _some(easy, wanted - number)]
    index = torch.cat(taken)
    return index, flat[index]


def _anchors_of_one_shape(
    flat: Tensor, wrong: Tensor, num_classes: int, per_class: int, at_most: int, hard_share: float
) -> tuple[Tensor, Tensor]:
    """As many anchors as any batch can have, so that no shape depends on values; classes of those left over are 255."""
    # Groups of pixels: hard 0, easy 0, hard 1, easy 1, …, and last those that are never drawn.
    group = torch.where(flat == IGNORE, 2 * num_classes, 2 * flat + (~wrong).long())
    order = (group + torch.rand(flat.shape, dtype=torch.float64, device=flat.device)).argsort()
    counts = torch.zeros(2 * num_classes + 1, dtype=torch.int64, device=flat.device)
    counts.scatter_add_(0, group, torch.ones_like(group))
    starts = (counts.cumsum(0) - counts)[:-1]
    hard, easy = counts[:-1].unflatten(0, (num_classes, 2)).unbind(1)
    present = (hard + easy > 0).sum().clamp(min=1)
    wanted = (at_most // present).clamp(min=1, max=max(1, per_class))
    from_hard = torch.minimum(hard, torch.maximum((hard_share * wanted.double()).round().long(), wanted - easy))
    drawn = torch.stack([from_hard, torch.minimum(easy, wanted - from_hard)], dim=1).flatten()
    slot = torch.arange(max(1, per_class), device=flat.device)
    filled = slot < drawn[:, None]
    index = order[(starts[:, None] + slot).clamp(max=len(flat) - 1).flatten()]
    # Filled slots first, in their order; there are never more of them than this.
    most = min(filled.numel(), max(at_most, num_classes))
    first = (~filled).flatten().long().argsort(stable=True)[:most]
    index = index[first]
    return index, torch.where(filled.flatten()[first], flat[index], IGNORE)


def _some(index: Tensor, number: int) -> Tensor:
    return index[torch.randperm(len(index), device=index.device)[:number]]


class ClassQueue(nn.Module):
    """The newest vectors of every class, first in first out. All of it is in buffers, so checkpoints hold it.

    Args:
        num_classes: K.
        size: Vectors kept of each class.
        width: D, their length.

    Example:
        >>> queue = ClassQueue(num_classes=2, size=4, width=3)
        >>> queue.push(torch.ones(2, 3), torch.tensor([1, 1]), at_most=10)
        >>> vectors, classes = queue.contents()
        >>> vectors.shape, classes.tolist()
        (torch.Size([8, 3]), [255, 255, 255, 255, 1, 1, 255, 255])
    """

    vectors: Tensor
    pushed: Tensor

    def __init__(self, num_classes: int, size: int, width: int) -> None:
        super().__init__()
        self.register_buffer("vectors", torch.zeros(num_classes, size, width))
        self.register_buffer("pushed", torch.zeros(num_classes, dtype=torch.int64))

    @torch.no_grad()
    def push(self, vectors: Tensor, classes: Tensor, at_most: int) -> None:
        """Put vectors into the queues of their classes; the oldest ones leave.

        Args:
            vectors: (A, D).
            classes: (A,), their classes; vectors of no class of the queue (255) are left out.
            at_most: Vectors of a class that are put in; of more, the first ones.
        """
        if len(vectors) == 0:
            return
        num_classes, size = self.vectors.shape[:2]
        each, turn = (torch.arange(n, device=classes.device) for n in (num_classes, min(at_most, size)))
        each = each[:, None]
        counts = (classes == each).sum(1).clamp(max=len(turn))
        # Sorted by class, a class begins after all lower ones; its newest slots follow what it has been given so far.
        begins = (classes < each).sum(1, keepdim=True)
        source = classes.argsort(stable=True)[(begins + turn).clamp(max=len(classes) - 1)]
        slot = (self.pushed[:, None] + turn) % size
        new = vectors[source].to(self.vectors)
        self.vectors[each, slot] = torch.where((turn < counts[:, None])[..., None], new, self.vectors[each, slot])
        self.pushed += counts

    def contents(self) -> tuple[Tensor, Tensor]:
        """Vectors (K · size, D) and their classes (K · size,), 255 where a slot has not been filled yet."""
        slots = torch.arange(self.vectors.shape[1], device=self.pushed.device)
        each = torch.arange(len(self.pushed), device=self.pushed.device)[:, None]
        return self.vectors.flatten(0, 1), torch.where(slots < self.pushed[:, None], each, IGNORE).flatten()
