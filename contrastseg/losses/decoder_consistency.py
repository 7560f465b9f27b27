"""Agreement of several decoders on the same images: MC-Net's mutual consistency and its sharpening."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Sharpening = Literal["binary", "classes"]


def sharpened(probabilities: Tensor, temperature: float, against: Sharpening = "binary") -> Tensor:
    """Sharpen probabilities: p^(1/T) over the sum of itself and its rivals' (Wu et al., MedIA 2022).

    Args:
        probabilities: (B, K, *spatial), softmax.
        temperature: T; at 1 nothing is sharpened where `against` is `classes`.
        against: Whether each class's rival is 1 − p (`binary`, as released: the classes no longer sum to 1), or all
            `classes` are rivals. Two classes are sharpened alike.

    Returns:
        The same shape, float32.

    Example:
        >>> p = torch.tensor([0.6, 0.3, 0.1]).reshape(1, 3, 1)
        >>> [round(value, 5) for value in sharpened(p, 0.1).flatten().tolist()]
        [0.98295, 0.00021, 0.0]
        >>> [round(value, 5) for value in sharpened(p, 0.1, "classes").flatten().tolist()]
        [0.99902, 0.00098, 0.0]
    """
    power = 1 / temperature
    raised = probabilities.float() ** power
    rivals = raised + (1 - probabilities.float()) ** power if against == "binary" else raised.sum(dim=1, keepdim=True)
    return raised / rivals


def mutual_consistency_loss(
    logits: Sequence[Tensor], temperature: float = 0.1, against: Sharpening = "binary"
) -> Tensor:
    """Sum the mean squared differences of each softmax to each other one sharpened, over all ordered pairs.

    Σ_{i≠j} mean (p_i − sharpened(p_j))². Gradients flow to both sides, as in MC-Net (Wu et al., MedIA 2022).

    Args:
        logits: One tensor (B, K, *spatial) for every decoder.
        temperature: Of the sharpening.
        against: See `sharpened`.

    Returns:
        A scalar, float32; 0 for one decoder.

    Example:
        >>> certain = torch.tensor([20.0, 0.0]).reshape(1, 2, 1)
        >>> round(mutual_consistency_loss([certain, certain.flip(1)]).item(), 4)
        2.0
        >>> mutual_consistency_loss([certain]).item()
        0.0
    """
    probabilities = [torch.softmax(each.float(), dim=1) for each in logits]
    targets = [sharpened(each, temperature, against) for each in probabilities]
    pairs = permutations(range(len(probabilities)), 2)
    terms = [F.mse_loss(probabilities[first], targets[second]) for first, second in pairs]
    return torch.stack(terms).sum() if terms else probabilities[0].new_zeros(())
