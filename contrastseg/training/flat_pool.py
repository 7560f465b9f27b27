"""A pool's arrays as one flat tensor a layer: blocks of any units come out of it by one gather.

Nothing is padded: a unit is its first element and the steps between its neighbours. Where a block's rows, columns and
slices lie is reckoned on the host, for the whole batch at once, and sent along with the batch's other numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


class FlatLayer:
    """One layer of all cases, end to end in one tensor.

    Args:
        arrays: Of every case, in order; all of one type.
        device: Where the tensor is to lie.
    """

    def __init__(self, arrays: Sequence[np.ndarray], device: torch.device) -> None:
        sizes = [array.size for array in arrays]
        self.firsts = [0, *np.cumsum(sizes[:-1]).tolist()]
        kind = torch.from_numpy(np.empty(0, arrays[0].dtype)).dtype
        self.values = torch.empty(sum(sizes), dtype=kind, device=device)
        for first, size, array in zip(self.firsts, sizes, arrays, strict=True):
            self.values[first : first + size].copy_(torch.from_numpy(np.array(array)).reshape(-1))
        self.shapes = [array.shape for array in arrays]

    def case(self, number: int) -> Tensor:
        """The array of a case, as a view."""
        shape, first = self.shapes[number], self.firsts[number]
        return self.values[first : first + int(np.prod(shape))].view(shape)
