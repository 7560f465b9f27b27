"""SS-Net: its terms, its defaults by dimension, what its memory is made of, and the selectors of a class."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from contrastseg.networks import heads
from contrastseg.networks.heads import ClassSelectors
from tests.methods.made_up import make, sample


def batch(dims: int = 2) -> dict[str, Any]:
    both = {"labelled": sample(dims), "unlabelled": sample(dims)}
    both["unlabelled"].image = both["unlabelled"].image.flip(-1)
    return both


@pytest.mark.parametrize(("dims", "weight", "share"), [(2, 0.1, 1.0), (3, 1.0, 0.4)])
def test_defaults_are_the_released_ones_of_each_dimension(dims: int, weight: float, share: float) -> None:
    method = make("ss_net", dims=dims)
    assert method._weight(0) == pytest.approx(weight * math.exp(-5))  # type: ignore[attr-defined]
    assert method._weight(20) == pytest.approx(weight * math.exp(-5 * (1 - 0.2 / share) ** 2))  # type: ignore[attr-defined]
    assert make("ss_net", dims=dims, weight=0.5)._weight(100) == 0.5  # type: ignore[attr-defined]


def test_the_memory_holds_projections_of_correctly_predicted_foreground() -> None:
    method, both = make("ss_net"), batch()
    network, label = method.modules["network"], both["labelled"].label
    method.modules.train()
    features = network.features(both["labelled"].image)
    hits = (network.classify(features).argmax(1) == label) & (label > 0)
    assert 0 < int(hits.sum()) < hits.numel()
    wanted = method.modules["projection"].eval()(features[method.tap].movedim(1, -1)[hits])  # type: ignore[attr-defined]
    method.modules.train()
    method.training_step({**both, "unlabelled": both["labelled"]}, 50)
    memory = method.modules["memory"]
    assert memory.held[0] == 0
    for c in (1, 2):
        own = wanted[label[hits] == c]
        assert int(memory.held[c]) == min(32, len(own))
        for vector in memory.vectors[c, : memory.held[c]]:
            assert (own - vector).norm(dim=1).min() < 1e-4


def test_terms_follow_their_weights_and_reach_what_they_should() -> None:
    method, both = make("ss_net", memory_weights="learned"), batch()
    method.modules.train()
    torch.manual_seed(3)
    terms = method.training_step(both, 100)
    assert list(terms) == ["segmentation", "adversarial", "contrast"]
    plain = make("ss_net", weight=0.0)
    plain.modules.train()
    without = plain.training_step(both, 100)
    assert without["adversarial"] == without["contrast"] == 0
    torch.testing.assert_close(without["segmentation"], terms["segmentation"])
    for term, parts in {
        "adversarial": {"network"},
        "contrast": {"network", "projection", "prediction", "selectors", "memory_selectors"},
    }.items():
        method.modules.zero_grad()
        terms[term].backward(retain_graph=True)
        reached = {key.split(".")[0] for key, value in method.modules.named_parameters() if value.grad is not None}
        assert reached == parts


def test_the_contrast_is_divided_as_asked() -> None:
    """The contrast is the mean over K as released, over the classes compared where asked."""
    both = batch()
    values = []
    for divisor in ("classes", "compared"):
        method = make("ss_net", memory_divisor=divisor)
        method.modules.train()
        values.append(float(method.training_step(both, 100)["contrast"].detach()))
        assert (method.modules["memory"].held > 1).tolist() == [False, True, True]
    assert values[1] == pytest.approx(1.5 * values[0], rel=1e-5)


@pytest.mark.parametrize("at_hand", [True, False])
def test_selectors_are_perceptrons_with_batch_norm_over_their_class(
    at_hand: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a CPU, and where no shape may hang on values."""
    monkeypatch.setattr(heads, "values_at_hand", lambda tensor: at_hand)
    torch.manual_seed(0)
    selectors, vectors = ClassSelectors(3, 6), torch.randn(20, 6)
    classes = torch.tensor([0, 1, 2, 1, 255] * 4)
    with torch.no_grad():
        for parameter in selectors.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    scores = selectors(vectors, classes)
    for c in (1, 2):
        norm = nn.BatchNorm1d(6)
        norm.weight, norm.bias = selectors.norm[c - 1], selectors.shift[c - 1]
        hidden = F.leaky_relu(norm(selectors.hidden[c - 1](vectors[classes == c])), 0.2)
        expected = selectors.score[c - 1](hidden).sigmoid()[:, 0]
        torch.testing.assert_close(scores[classes == c], expected)
    assert scores[(classes == 0) | (classes == 255)].abs().sum() == 0
    scores.sum().backward()
    assert all(parameter.grad is not None for parameter in selectors.parameters())
    assert selectors(vectors, torch.zeros_like(classes)).abs().sum() == 0
