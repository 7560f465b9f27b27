"""The second decoder: any encoder's maps, logits of any size, perturbation in training alone."""

from __future__ import annotations

import pytest
import torch

from contrastseg.networks.decoders import InterpolatingDecoder


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("strides", [[1, 2, 4], [2, 4, 8, 8], [4]])
def test_it_reads_maps_of_any_strides_and_gives_logits_of_the_inputs_size(dims: int, strides: list[int]) -> None:
    channels = {f"encoder{level}": 3 + level for level in range(len(strides))}
    maps = {
        name: torch.randn(2, width, *[16 // stride] * dims, requires_grad=True)
        for (name, width), stride in zip(channels.items(), strides, strict=True)
    }
    decoder = InterpolatingDecoder(channels, 5, dims, widest=4)
    logits = decoder({**maps, "decoder0": torch.zeros(1)}, [16] * dims)
    assert logits.shape == (2, 5, *[16] * dims)
    logits.square().sum().backward()
    for key, parameter in decoder.named_parameters():
        assert parameter.grad is not None, key
    assert all(float(x.grad.abs().sum()) > 0 for x in maps.values())  # type: ignore[union-attr]


def test_features_are_perturbed_in_training_alone_and_within_their_range() -> None:
    channels = {"encoder0": 3, "encoder1": 4}
    maps = {"encoder0": torch.randn(1, 3, 8, 8), "encoder1": torch.randn(1, 4, 4, 4)}
    decoder = InterpolatingDecoder(channels, 2, 2, noise=0.3)
    assert not torch.equal(decoder(maps, (8, 8)), decoder(maps, (8, 8)))
    ratio = decoder._perturbed(torch.ones(1000)) - 1
    assert -0.3 <= float(ratio.min()) < -0.25
    assert 0.25 < float(ratio.max()) <= 0.3
    decoder.eval()
    assert torch.equal(decoder(maps, (8, 8)), decoder(maps, (8, 8)))
