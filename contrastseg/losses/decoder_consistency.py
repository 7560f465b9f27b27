"""Agreement of several predictions of the same images: MC-Net's between decoders, CCT's with one, URPC's of scales."""

from __future__ import annotations

import math
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


def pyramid_consistency_loss(logits: Sequence[Tensor]) -> Tensor:
    """Compute how far the scales are from their mean, where they agree; uncertain places count less (URPC).

    With p̄ the mean of the S softmax outputs and v_s = KL(p̄ ‖ p_s) at each pixel, the mean over s of
    mean[(p̄ − p_s)² e^{−v_s}] / mean[e^{−v_s}] + mean[v_s] (Luo et al., MedIA 2022, as SSL4MIS has it). Gradients flow
    to all scales and through their mean.

    Args:
        logits: One tensor (B, K, *spatial) for every scale.

    Returns:
        A scalar, float32; 0 where all scales agree.

    Example:
        >>> sure = torch.tensor([2.0, 0.0]).reshape(1, 2, 1)
        >>> round(pyramid_consistency_loss([sure, sure]).item(), 6)
        0.0
        >>> round(pyramid_consistency_loss([sure, sure.flip(1)]).item(), 4)
        0.5788
    """
    log_probabilities = torch.stack([torch.log_softmax(each.float(), dim=1) for each in logits])
    log_mean = torch.logsumexp(log_probabilities, dim=0) - math.log(len(logits))
    mean = log_mean.exp()
    terms = []
    for log_probability in log_probabilities:
        divergence = (mean * (log_mean - log_probability)).sum(dim=1, keepdim=True)
        weight = torch.exp(-divergence)
        rectified = ((mean - log_probability.exp()).square() * weight).mean() / (weight.mean() + 1e-8)
        terms.append(rectified + divergence.mean())
    return torch.stack(terms).mean()


def cross_consistency_loss(main: Tensor, auxiliary: Sequence[Tensor]) -> Tensor:
    """Average the mean squared differences of the auxiliary softmax outputs to the main one (CCT, as SSL4MIS has it).

    Gradients flow to both sides; Ouali et al. (CVPR 2020) stop those to the main decoder.

    Args:
        main: (B, K, *spatial), logits.
        auxiliary: The same shape, one tensor for every further decoder.

    Returns:
        A scalar, float32.

    Example:
        >>> certain = torch.tensor([20.0, 0.0]).reshape(1, 2, 1)
        >>> round(cross_consistency_loss(certain, [certain, certain.flip(1)]).item(), 4)
        0.5
    """
    target = torch.softmax(main.float(), dim=1)
    return torch.stack([F.mse_loss(torch.softmax(each.float(), dim=1), target) for each in auxiliary]).mean()
