"""Contrast between two n × d embedding matrices of the same samples: over their rows, and over their columns.

Source:
    You et al., Momentum Contrastive Voxel-wise Representation Learning for Semi-supervised Volumetric Medical Image
    Segmentation, MICCAI 2022, doi 10.1007/978-3-031-16440-8_61, arXiv 2105.07059. Reconstructed from the abstract: the
    form of both terms is ours.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from contrastseg.losses.info_nce import similarities

MIN_SAMPLES = 32
# A column whose length is below this is shrunk, not blown up, so that collapsed features keep moderate gradients.
_FLAT = 1e-4


def batch_contrast_loss(
    student: Tensor, teacher: Tensor, temperature: float = 0.5, negatives: Tensor | None = None
) -> Tensor:
    """L_b = −(1/n) Σ_i log [ exp(z_i·z'_i/τ) / Σ_j exp(z_i·z'_j/τ) ], rows scaled to length 1.

    Negatives are the other samples of the batch. Memory is O(n (n + q)), never n² · d. Computed in
    float32 at least, whatever the precision around it.

    Args:
        student: (n, d), z.
        teacher: (n, d), z': the same samples in the same order. It gets no gradient.
        temperature: τ.
        negatives: (q, d) further vectors for the denominator, such as a queue of earlier teacher vectors.

    Returns:
        A scalar.

    Raises:
        ValueError: The shapes do not go together.

    Example:
        >>> samples = torch.eye(4)
        >>> round(batch_contrast_loss(samples, samples).item(), 4)
        0.3408
    """
    _check_shapes(student, teacher)
    columns = teacher.detach()
    if negatives is not None:
        columns = torch.cat([columns, negatives.detach().to(columns.dtype)])
    own = torch.arange(len(student), device=student.device)
    return F.cross_entropy(similarities(student, columns, temperature), own)


def feature_contrast_loss(student: Tensor, teacher: Tensor, temperature: float = 0.5) -> Tensor:
    """L_f = −(1/d) Σ_a log [ exp(f_a·f'_a/τ_f) / Σ_b exp(f_a·f'_b/τ_f) ] over the columns of the same matrices.

    Columns are centred over the n samples and scaled to length 1, so f_a·f'_b is a correlation: a feature is told from
    the other features, which keeps them from all saying the same. Shifting or scaling a feature changes nothing.
    Memory is O(d² + n d). Computed in float32 at least.

    Args:
        student: (n, d) with n ≥ 32: with fewer samples correlations are mostly chance.
        teacher: (n, d), the same samples in the same order. It gets no gradient.
        temperature: τ_f.

    Returns:
        A scalar.

    Raises:
        ValueError: There are fewer than 32 samples, or the shapes do not go together.

    Example:
        >>> samples = torch.eye(8).repeat(4, 1)  # 32 samples of eight uncorrelated features
        >>> round(feature_contrast_loss(samples, samples).item(), 4)
        0.5376
    """
    _check_shapes(student, teacher)
    if len(student) < MIN_SAMPLES:
        raise ValueError(
            f"correlations of features need at least {MIN_SAMPLES} samples, got {len(student)}:"
            " use larger batches, more sub-volumes or more positions"
        )
    with torch.autocast(student.device.type, enabled=False):
        correlations = _unit_columns(student).T @ _unit_columns(teacher.detach())
        own = torch.arange(len(correlations), device=correlations.device)
        return F.cross_entropy(correlations / temperature, own)


def _unit_columns(embeddings: Tensor) -> Tensor:
    """(n, d) with every column centred and of length 1."""
    embeddings = embeddings.to(torch.promote_types(embeddings.dtype, torch.float32))
    return F.normalize(embeddings - embeddings.mean(dim=0), dim=0, eps=_FLAT)


def _check_shapes(student: Tensor, teacher: Tensor) -> None:
    if student.ndim != 2 or student.shape != teacher.shape:
        raise ValueError(
            f"two (n, d) matrices of one shape are needed, got {tuple(student.shape)} and {tuple(teacher.shape)}"
        )
