"""Agreement of two views without negatives, as BYOL and SimSiam ask for it.

Sources:
    Grill et al., Bootstrap Your Own Latent, NeurIPS 2020, eq. 2 (2 + 2 times this loss); Chen and He, Exploring Simple
    Siamese Representation Learning, CVPR 2021, eq. 1.
"""

from __future__ import annotations

from torch import Tensor

from contrastseg.losses.info_nce import unit_vectors


def negative_cosine_loss(predictions: Tensor, targets: Tensor) -> Tensor:
    """−cos(prediction, target) averaged over the rows of (N, D); no gradient to the targets.

    Example:
        >>> import torch
        >>> same = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
        >>> negative_cosine_loss(same, 3 * same).item()
        -1.0
    """
    return -(unit_vectors(predictions) * unit_vectors(targets.detach())).sum(-1).mean()
