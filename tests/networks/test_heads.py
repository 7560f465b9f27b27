"""Heads: widths, and what happens between their layers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from contrastseg.networks.heads import dense_head, vector_head


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_vector_heads_have_the_asked_layers_and_end_linearly(layers: int, norm: bool) -> None:
    head = vector_head(6, 8, 3, layers, norm)
    assert head(torch.randn(5, 6)).shape == (5, 3)
    linear = [part for part in head if isinstance(part, nn.Linear)]
    assert [part.out_features for part in linear] == [8] * (layers - 1) + [3]
    assert head[-1] is linear[-1]
    assert sum(isinstance(part, nn.BatchNorm1d) for part in head) == (layers - 1) * norm


@pytest.mark.parametrize("dims", [2, 3])
def test_dense_heads_treat_every_position_alike(dims: int) -> None:
    head = dense_head(6, 8, 3, dims)
    features = torch.randn(2, 6, *[4] * dims)
    result = head(features)
    assert result.shape == (2, 3, *[4] * dims)
    torch.testing.assert_close(head(features.flip(-1)), result.flip(-1))
