"""The queue of keys of earlier batches (He et al., Momentum Contrast, CVPR 2020), as buffers: checkpoints hold it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from contrastseg.losses.info_nce import unit_vectors

_RANDOM, _NOBODY = -1, -2


class KeyQueue(nn.Module):
    """The newest keys, first in, first out. What enters lies where the queue does.

    Args:
        size: Keys it holds at most.
        channels: D.
        newest_only: Whether an image's older keys leave as a newer one of it enters, so that the queue is never larger
            than the data; it starts empty. Else it holds every key, and random unit vectors until it has filled, as
            published: much smaller than its data, that queue hardly ever holds an image twice.

    Example:
        >>> queue = KeyQueue(size=4, channels=2, newest_only=True)
        >>> queue.push(torch.eye(2), torch.tensor([7, 8]))  # keys of the images 7 and 8
        >>> queue.valid(torch.tensor([7]))  # which keys are negatives of image 7
        tensor([[False,  True, False, False]])
    """

    keys: Tensor
    owners: Tensor
    next: Tensor

    def __init__(self, size: int, channels: int, newest_only: bool = False) -> None:
        super().__init__()
        self.newest_only = newest_only
        self.register_buffer("keys", unit_vectors(torch.randn(size, channels)))
        self.register_buffer("owners", torch.full((size,), _NOBODY if newest_only else _RANDOM))
        self.register_buffer("next", torch.zeros((), dtype=torch.int64))

    def valid(self, owners: Tensor) -> Tensor:
        """(N, size): which places hold a negative of queries from images `owners` (N,).

        Empty places never do; where only an image's newest key is kept, it is none of that image's own queries.
        """
        filled = (self.owners != _NOBODY).expand(len(owners), -1)
        return filled & (self.owners != owners[:, None]) if self.newest_only else filled

    @torch.no_grad()
    def push(self, keys: Tensor, owners: Tensor) -> None:
        """Enter keys (N, D) of the images `owners` (N,); of more than `size` keys, the last ones."""
        size = len(self.keys)
        keys, owners = keys[-size:], owners[-size:]
        if self.newest_only:
            # Not `isin`, which waits for a GPU once there are many owners.
            self.owners.masked_fill_((self.owners[:, None] == owners).any(1), _NOBODY)
        where = (self.next + torch.arange(len(keys), device=self.keys.device)) % size
        self.keys[where] = unit_vectors(keys).to(self.keys.dtype)
        self.owners[where] = owners
        self.next.add_(len(keys)).remainder_(size)
