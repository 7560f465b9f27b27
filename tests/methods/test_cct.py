"""Cross-consistency training: its decoders, its step written out, its limits; and the perturbations it shares."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from contrastseg.networks.perturbations import feature_dropout, feature_noise, value_dropout
from tests.methods.made_up import make, paired


def test_a_step_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """SSL4MIS 06df604, code/train_cross_consistency_training_2D.py:129-171; decoders of `networks/unet.py` UNet_CCT."""
    from contrastseg.networks import perturbations

    monkeypatch.setattr(perturbations, "feature_noise", lambda x, strength: x * (1 + strength))
    monkeypatch.setattr(perturbations, "value_dropout", lambda x, share: x * (1 - share))
    monkeypatch.setattr(perturbations, "feature_dropout", lambda x, shares: x * shares[0])
    method, batch = make("cct"), paired()
    terms = method.training_step(batch, 50)
    images = torch.cat([batch["labelled"].image, batch["unlabelled"].image])
    encoded = method.modules["network"].encode(images)
    logits = [method.modules["network"](images)]
    for factor, decoder in zip((1.3, 0.7, 0.7), method.modules["decoders"], strict=True):
        maps = decoder.decode({name: factor * feature for name, feature in encoded.items()}, (32, 32))
        logits.append(decoder.classify(maps))
    supervised = sum(method.segmentation_loss(each[:2], batch["labelled"].label) for each in logits) / 4
    torch.testing.assert_close(terms["segmentation"], supervised)
    p = [each[2:].softmax(1) for each in logits]
    consistency = sum(((p[0] - each) ** 2).mean() for each in p[1:]) / 3
    torch.testing.assert_close(terms["consistency"], 0.1 * math.exp(-1.25) * consistency)


def test_decoders_with_the_main_one_s_weights_and_no_perturbation_cost_nothing() -> None:
    method, batch = make("cct", perturbations=["noise", "dropout"], noise=0.0, dropout=0.0), paired()
    assert float(method.training_step(batch, 99)["consistency"].detach()) > 0, "drawn apart, they differ"
    weights = {k: v for k, v in method.modules["network"].state_dict().items() if not k.startswith("encoder.")}
    for decoder in method.modules["decoders"]:
        decoder.load_state_dict(weights)
    assert float(method.training_step(batch, 99)["consistency"].detach()) == 0
    perturbed = make("cct", perturbations=["noise"])
    perturbed.modules["network"].load_state_dict(method.modules["network"].state_dict())
    perturbed.modules["decoders"][0].load_state_dict(weights)
    assert float(perturbed.training_step(batch, 99)["consistency"].detach()) > 0


def test_unlabelled_images_have_a_gradient_and_the_main_decoder_predicts() -> None:
    method, batch = make("cct"), paired()
    batch["unlabelled"].image.requires_grad_()
    term = method.training_step(batch, 99)["consistency"]
    (gradient,) = torch.autograd.grad(term, batch["unlabelled"].image)
    assert float(gradient.abs().sum()) > 0
    images = batch["labelled"].image
    assert torch.equal(method.predict(images), method.modules["network"](images))


@pytest.mark.parametrize("shape", [(3, 4, 6, 7), (3, 4, 5, 6, 7)])
def test_perturbations_are_the_released(shape: tuple[int, ...]) -> None:
    """`networks/unet.py:257-283`: one field of noise and one share for the batch, values dropped one by one."""
    feature: Any = torch.rand(shape, generator=torch.Generator().manual_seed(0)) + 0.5
    torch.manual_seed(0)
    factor = feature_noise(feature, 0.3) / feature - 1
    torch.testing.assert_close(factor[0], factor[1])
    assert 0.25 < float(factor.max()) <= 0.3001
    assert -0.3001 <= float(factor.min()) < -0.25
    assert abs(float((value_dropout(feature, 0.3) == 0).float().mean()) - 0.3) < 0.1
    kept = feature_dropout(feature, (0.8, 0.8))
    for image, after in zip(feature, kept, strict=True):
        attention = image.mean(0)
        assert torch.equal(after, image * (attention < 0.8 * attention.max()))
    shares = []
    for seed in range(20):
        torch.manual_seed(seed)
        attention = feature.mean(1).flatten(1)
        dropped = (feature_dropout(feature, (0.7, 0.9)).abs().sum(1) == 0).flatten(1)
        shares += [float(a[d].min() / a.max()) for a, d in zip(attention, dropped, strict=True)]
    assert 0.7 <= min(shares) < 0.75
    assert 0.85 < max(shares) < 0.95
