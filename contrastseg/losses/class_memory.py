"""A memory of chosen vectors of every class, and the distance of a batch's vectors from it.

Source:
    Wu et al., Exploring Smoothness and Class-Separation for Semi-supervised Medical Image Segmentation, MICCAI 2022,
    arXiv 2203.01324, with the code released there; after Alonso et al., Semi-Supervised Semantic Segmentation with
    Pixel-Level Contrastive Learning from a Class-wise Memory Bank, ICCV 2021.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ClassMemory(nn.Module):
    """Up to `size` vectors of every class, chosen from the last batch that had the class. All in buffers.

    Args:
        num_classes: K.
        size: M, vectors kept of each class.
        width: D, their length.

    Example:
        >>> memory = ClassMemory(num_classes=2, size=1, width=2)
        >>> memory.renew(torch.eye(2), torch.tensor([1, 1]), torch.tensor([0.9, 0.1]))
        >>> memory.vectors[1], memory.held
        (tensor([[0., 1.]]), tensor([0, 1]))
    """

    vectors: Tensor
    held: Tensor

    def __init__(self, num_classes: int, size: int, width: int) -> None:
        super().__init__()
        self.register_buffer("vectors", torch.zeros(num_classes, size, width))
        self.register_buffer("held", torch.zeros(num_classes, dtype=torch.int64))

    @torch.no_grad()
    def renew(
        self,
        vectors: Tensor,
        classes: Tensor,
        scores: Tensor,
        kept: Literal["lowest", "highest"] = "lowest",
        absent: Literal["keep", "forget"] = "keep",
    ) -> None:
        """Replace the vectors of every class that the batch has.

        Args:
            vectors: (N, D).
            classes: (N,), their classes; vectors of no class of the memory (255) are left out.
            scores: (N,), of each vector among those of its class.
            kept: Which scores stay where a class has more than M vectors.
            absent: Whether a class that the batch lacks keeps its vectors or loses them.
        """
        num_classes, size = self.vectors.shape[:2]
        own = classes == torch.arange(num_classes, device=classes.device)[:, None]
        most = min(size, len(vectors))
        rank = scores.float() if kept == "lowest" else -scores.float()
        chosen = torch.where(own, rank, torch.inf).topk(most, dim=1, largest=False).indices
        present = own.sum(1)
        held = present.clamp(max=most)
        renewed = (present > 0)[:, None, None]
        slots = (torch.arange(most, device=classes.device) < held[:, None])[..., None]
        new = torch.where(slots, vectors[chosen].to(self.vectors), 0.0)
        self.vectors[:, :most] = torch.where(renewed, new, self.vectors[:, :most])
        self.held.copy_(torch.where(present > 0, held, self.held if absent == "keep" else 0))


def memory_distance_loss(
    features: Tensor,
    classes: Tensor,
    feature_weights: Tensor,
    memory: Tensor,
    held: Tensor,
    memory_weights: Tensor | None = None,
    divisor: Literal["classes", "compared"] = "classes",
) -> Tensor:
    """Compute (1/K) Σ_c mean_{i ∈ c, j ∈ M_c} w_i v_j (1 − cos(f_i, m_j)), weights of a class scaled to mean 1.

    The mean over all pairs is 1 − ⟨Σ_i w_i f̂_i / Σ_i w_i, Σ_j v_j m̂_j / Σ_j v_j⟩ with unit vectors f̂ and m̂, so no
    pair is computed. A class with fewer than two features or two vectors in memory adds 0.

    Args:
        features: (N, D); gradients reach them.
        classes: (N,); rows of no class of the memory (255) are left out.
        feature_weights: (N,), w > 0 before scaling.
        memory: (K, M, D).
        held: (K,), how many of the M there are.
        memory_weights: (K, M), v > 0 before scaling; all 1 where unset.
        divisor: K (`classes`), or the number of classes that are compared.

    Returns:
        A scalar, float32.

    Example:
        >>> features, memory = torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([[[0.0, 3.0], [0.0, 1.0]]])
        >>> memory_distance_loss(features, torch.zeros(2), torch.ones(2), memory, torch.tensor([2])).item()
        1.0
    """
    with torch.autocast(features.device.type, enabled=False):
        number, size = memory.shape[:2]
        own = (classes == torch.arange(number, device=classes.device)[:, None]).float() * feature_weights.float()
        there = (torch.arange(size, device=held.device) < held[:, None]).float()
        there = there if memory_weights is None else there * memory_weights.float()
        tiny = torch.finfo(torch.float32).tiny
        feature_mean = own @ F.normalize(features.float(), dim=1) / own.sum(1, keepdim=True).clamp(min=tiny)
        memory_mean = (there[..., None] * F.normalize(memory.float(), dim=2)).sum(1)
        memory_mean = memory_mean / there.sum(1, keepdim=True).clamp(min=tiny)
        compared = ((own > 0).sum(1) > 1) & (held > 1)
        distances = torch.where(compared, 1 - (feature_mean * memory_mean).sum(1), 0.0)
        total = compared.sum().clamp(min=1) if divisor == "compared" else number
        loss: Tensor = distances.sum() / total
        return loss
