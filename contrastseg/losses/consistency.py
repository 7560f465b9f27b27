"""What semi-supervised methods share: the consistency term, its ramp, and the moving average of weights."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def softmax_mse_loss(
    student_logits: Tensor, teacher_logits: Tensor, mask: Tensor | None = None, divisor: float | None = None
) -> Tensor:
    """Compute the mean squared difference of the two softmax outputs; no gradient to the teacher.

    Args:
        student_logits: (B, K, *spatial).
        teacher_logits: (B, K, *spatial).
        mask: (B, *spatial), bool: the mean runs over its pixels alone, and is 0 where it has none. All where unset.
        divisor: What the sum over the classes is divided by; K where unset.

    Returns:
        A scalar, float32.

    Raises:
        ValueError: The divisor is not above 0.

    Example:
        >>> student, teacher = torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 4, 4)
        >>> softmax_mse_loss(student, teacher).item()
        0.0
        >>> teacher[:, 1] = 20.0  # certain of class 1, where the student has 1/2
        >>> round(softmax_mse_loss(student, teacher).item(), 4)
        0.25
    """
    if divisor is not None and divisor <= 0:
        raise ValueError(f"divisor is {divisor}; expected a number above 0")
    student = torch.softmax(student_logits.float(), dim=1)
    teacher = torch.softmax(teacher_logits.detach().float(), dim=1)
    if mask is None:
        loss = F.mse_loss(student, teacher)
    else:
        squares = F.mse_loss(student, teacher, reduction="none")
        loss = (squares.mean(dim=1) * mask).sum() / mask.sum().clamp(min=1)
    return loss if divisor is None else loss * (student.shape[1] / divisor)


def entropy(probabilities: Tensor) -> Tensor:
    """−Σ_k p_k ln p_k of (B, K, *spatial), (B, *spatial), in nats: from 0 to ln K. A probability of 0 adds 0.

    Example:
        >>> uniform = torch.full((1, 4, 2, 2), 0.25)
        >>> round(entropy(uniform)[0, 0, 0].item(), 4)  # ln 4
        1.3863
    """
    return -torch.special.xlogy(probabilities, probabilities).sum(dim=1)


def entropy_loss(logits: Tensor) -> Tensor:
    """Compute the mean entropy of the softmax in units of ln K: from 0 (certain) to 1 (uniform).

    Source: entropy minimisation, Grandvalet and Bengio (NIPS 2004), as SSL4MIS normalises it (Vu et al., CVPR 2019).

    Args:
        logits: (B, K, *spatial).

    Returns:
        A scalar, float32.

    Example:
        >>> entropy_loss(torch.zeros(1, 4, 2, 2)).item()
        1.0
    """
    log_probabilities = torch.log_softmax(logits.float(), dim=1)
    nats = -(log_probabilities.exp() * log_probabilities).sum(dim=1).mean()
    return nats / math.log(logits.shape[1])


def sigmoid_rampup(step: int, steps: int, share: float = 0.4) -> float:
    """Compute the ramp exp(−5 (1 − min(t/T, 1))²) with T = `share` of all steps: from e⁻⁵ to 1 (Laine & Aila 2017).

    Args:
        step: t, from 0.
        steps: All steps of the stage.
        share: T as a share of them; above 1 the ramp ends after the last step.

    Example:
        >>> round(sigmoid_rampup(0, 100), 4), sigmoid_rampup(40, 100)
        (0.0067, 1.0)
    """
    length = max(1.0, share * steps)
    return math.exp(-5.0 * (1.0 - min(step / length, 1.0)) ** 2)


@torch.no_grad()
def update_moving_average(teacher: nn.Module, student: nn.Module, decay: float) -> None:
    """Move the average in place: teacher ← decay · teacher + (1 − decay) · student for parameters; buffers are copied.

    Args:
        teacher: The average; a module of the student's structure.
        student: Stays as it is.
        decay: From 0 (the student itself) to 1 (no move).

    Example:
        >>> teacher, student = nn.Linear(1, 1), nn.Linear(1, 1)
        >>> _ = nn.init.constant_(teacher.weight, 1.0), nn.init.constant_(student.weight, 0.0)
        >>> update_moving_average(teacher, student, decay=0.9)
        >>> round(teacher.weight.item(), 4)
        0.9
    """
    torch._foreach_lerp_(list(teacher.parameters()), [p.detach() for p in student.parameters()], 1.0 - decay)
    pairs = list(zip(teacher.buffers(), student.buffers(), strict=True))
    for dtype in dict.fromkeys(old.dtype for old, _ in pairs):  # those of one type are copied at once
        old, new = zip(*(pair for pair in pairs if pair[0].dtype == dtype), strict=True)
        torch._foreach_copy_(old, new)
