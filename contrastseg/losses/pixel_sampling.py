"""Which pixels a pixel contrast compares: a few of every class, half of them those the network gets wrong."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from contrastseg.labels import IGNORE


def sample_anchors(
    label: Tensor,
    predicted: Tensor,
    per_class: int,
    at_most: int,
    hard_share: float = 0.5,
    ignore_index: int = IGNORE,
) -> tuple[Tensor, Tensor]:
    """Random pixels of every class that is present, misclassified ("hard") ones first up to their share.

    Of a class, n = min(per_class, at_most / classes present) pixels are taken: `hard_share` of them hard, the rest
    easy; what one kind lacks the other fills up, and a class with fewer than n pixels gives all. Drawn from torch's
    global generator of the label's device.

    Args:
        label: (B, *spatial), integer.
        predicted: (B, *spatial), the network's present classes.
        per_class: Most pixels of one class.
        at_most: Most pixels in all.
        hard_share: Share of hard pixels wanted, 0 to 1.
        ignore_index: Label of pixels never taken.

    Returns:
        Flat indices into (B · pixels), (A,), and the pixels' classes, (A,).

    Source:
        Wang et al., Exploring Cross-Image Pixel Contrast for Semantic Segmentation, ICCV 2021, arXiv 2101.11939
        (segmentation-aware hard anchors), there per image, here per batch.
    """
    flat, wrong = label.flatten(), (label != predicted).flatten()
    classes = [c for c in torch.unique(flat).tolist() if c != ignore_index]
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


def _some(index: Tensor, number: int) -> Tensor:
    return index[torch.randperm(len(index), device=index.device)[:number]]


class ClassQueue(nn.Module):
    """The newest vectors of every class, first in first out. All of it is in buffers, so checkpoints hold it.

    Args:
        num_classes: K.
        size: Vectors kept of each class.
        width: D, their length.
    """

    vectors: Tensor
    pushed: Tensor

    def __init__(self, num_classes: int, size: int, width: int) -> None:
        super().__init__()
        self.register_buffer("vectors", torch.zeros(num_classes, size, width))
        self.register_buffer("pushed", torch.zeros(num_classes, dtype=torch.int64))

    @torch.no_grad()
    def push(self, vectors: Tensor, classes: Tensor, at_most: int) -> None:
        """Put in the first `at_most` vectors (of (A, D)) of every class (of (A,)); the oldest ones leave."""
        size = self.vectors.shape[1]
        for each in range(len(self.pushed)):
            new = vectors[classes == each][: min(at_most, size)]
            places = (self.pushed[each] + torch.arange(len(new), device=new.device)) % size
            self.vectors[each, places] = new.to(self.vectors)
            self.pushed[each] += len(new)

    def contents(self) -> tuple[Tensor, Tensor]:
        """The vectors there are, (M, D), and their classes, (M,)."""
        places = torch.arange(self.vectors.shape[1], device=self.pushed.device)
        filled = places < self.pushed[:, None]
        return self.vectors[filled], filled.nonzero()[:, 0]
