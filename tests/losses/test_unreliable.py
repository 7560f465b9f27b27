"""U2PL's losses: the released values, numpy's percentile, a slow selection of negatives, and drawing of rows."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from contrastseg.losses.unreliable import (
    draw_rows,
    negative_candidates,
    percentile,
    prototype_contrast_loss,
    reliable_cross_entropy,
)
from tests.losses.test_reference_values import close, waves

CLASSES, WIDTH, SIDE = 5, 6, 8
RANKS = (1, 4)


def rows(maps: Tensor) -> Tensor:
    return maps.movedim(1, -1).flatten(0, -2)


def made_up() -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Labels, probabilities, sure, unsure and unlabelled of two labelled and two unlabelled maps of 8×8, as rows."""
    probabilities = rows((2 * waves(4, CLASSES, SIDE, SIDE, frequency=1.1)).softmax(1))
    label = ((waves(4, SIDE, SIDE, frequency=0.7) + 1) * 2.5).long().clamp(max=4).flatten()
    doubt = waves(2, SIDE, SIDE, frequency=0.45).flatten()
    everywhere = torch.ones(2 * SIDE * SIDE, dtype=torch.bool)
    sure, unsure = torch.cat([everywhere, doubt > 0.2]), torch.cat([everywhere, doubt < -0.2])
    return label, probabilities, sure, unsure, torch.cat([~everywhere, everywhere])


# Haochen-Wang409/U2PL ab3d2be, u2pl/utils/loss_helper.py, compute_contra_memobank_loss with empty memories, and
# draws that go round all there are.
def test_the_released_contrast() -> None:
    label, probabilities, sure, unsure, unlabelled = made_up()
    embedded, keys = (rows(waves(4, WIDTH, SIDE, SIDE, frequency=frequency)) for frequency in (1.9, 2.7))
    candidates = negative_candidates(label, probabilities, unsure, unlabelled, RANKS)
    assert candidates.sum(0).tolist() == [10, 4, 4, 4, 12]
    anchors, prototypes, memories, drawn = [], [], [], []
    for c, total in enumerate([0.0448900346, 0.0260525975, -0.0245088103, -0.0165474907, 0.0627235387]):
        memory, valid = keys[candidates[:, c]], (label == c) & sure
        close(memory.sum(), total, 1e-6)
        sources = embedded[valid & (probabilities[:, c] > 0.15)]
        anchors.append(sources[torch.arange(60) % len(sources)])
        prototypes.append(keys[valid].mean(0))
        memories.append(torch.cat([memory, torch.zeros(12 - len(memory), WIDTH)]))
        drawn.append((torch.arange(60 * 40) % len(memory)).unflatten(0, (60, 40)))
    everyone = torch.ones(CLASSES, dtype=torch.bool)
    stacked = [torch.stack(each) for each in (anchors, prototypes, memories, drawn)]
    close(prototype_contrast_loss(*stacked, everyone, everyone, 0.5), 3.7668135517190775, 1e-5)


# The same, compute_unsupervised_loss at 83 %.
def test_the_released_loss_of_sure_pixels() -> None:
    logits, taught = 3 * waves(2, 4, 6, 7, frequency=0.8), 2 * waves(2, 4, 6, 7, frequency=2.1)
    label = ((waves(2, 6, 7, frequency=1.3) + 1) * 2).long().clamp(max=3)
    probabilities = taught.softmax(1)
    doubt = -(probabilities * probabilities.log()).sum(1)
    close(reliable_cross_entropy(logits, label, doubt < percentile(doubt, 83.0)), 3.3019237266419066, 1e-5)
    nobody = torch.zeros_like(label, dtype=torch.bool)
    assert reliable_cross_entropy(logits, label, nobody).item() == 0


@pytest.mark.parametrize("percent", [0, 12.5, 50, 80, 99.3, 100])
def test_percentiles_are_numpy_s(percent: float) -> None:
    values = waves(7, 11, frequency=1.3).float()
    for asked in (percent, torch.tensor(percent)):
        assert float(percentile(values, asked)) == pytest.approx(np.percentile(values.numpy(), percent), abs=1e-6)


@pytest.mark.parametrize("labels", ["own", "other"])
def test_negatives_are_of_the_ranks(labels: Literal["own", "other"]) -> None:
    label, probabilities, _, unsure, unlabelled = made_up()
    label[5] = 255
    found = negative_candidates(label, probabilities, unsure, unlabelled, RANKS, labels)
    for row in range(0, len(label), 3):
        ranked = probabilities[row].argsort(descending=True).tolist()
        for c in range(CLASSES):
            rank, own = ranked.index(c), int(label[row]) == c
            if unlabelled[row]:
                expected = bool(unsure[row]) and RANKS[0] <= rank < RANKS[1] and (own or labels == "other")
            else:
                expected = labels == "other" and rank < RANKS[0] and not own and int(label[row]) != 255
            assert bool(found[row, c]) == expected
    assert found[~unlabelled].any() == (labels == "other")


def test_rows_are_drawn_among_the_candidates_alone_and_evenly() -> None:
    torch.manual_seed(0)
    candidates = torch.zeros(3, 50, dtype=torch.bool)
    candidates[0, [0, 7, 49]] = candidates[2, 20] = True
    drawn, count = draw_rows(candidates, 3000)
    assert count.tolist() == [3, 0, 1]
    places, times = drawn[0].unique(return_counts=True)
    assert places.tolist() == [0, 7, 49]
    torch.testing.assert_close(times / 3000, torch.full((3,), 1 / 3), atol=0.03, rtol=0)
    assert drawn[2].unique().tolist() == [20]
    assert int(drawn.max()) < 50


def test_one_class_has_nothing_to_be_told_from() -> None:
    anchors = torch.randn(3, 4, 2, requires_grad=True)
    one, two = torch.tensor([False, True, False]), torch.tensor([True, True, False])
    drawn = torch.zeros(3, 4, 5, dtype=torch.int64)
    loss = prototype_contrast_loss(anchors, torch.randn(3, 2), torch.randn(3, 6, 2), drawn, one, one)
    loss.backward()
    assert loss.item() == 0
    alone, both = (
        prototype_contrast_loss(anchors, torch.ones(3, 2), torch.ones(3, 6, 2), drawn, each, two) for each in (one, two)
    )
    assert float(both.detach()) == pytest.approx(2 * float(alone.detach()))
