"""InfoNCE in all its forms against slow loops in float64, its limits, its gradient, and the memory it takes."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from contrastseg.losses.info_nce import (
    dense_info_nce_loss,
    info_nce_loss,
    nt_xent_loss,
    paired_info_nce_loss,
    similarities,
)
from tests.losses.memory import LargestTensor

TEMPERATURES = [0.005, 0.1, 0.5]


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def cosine(u: Tensor, v: Tensor) -> float:
    return float(F.cosine_similarity(u.double(), v.double(), dim=0))


def slow(positive: float, others: list[float]) -> float:
    """−log of the positive's share, in float64, without an exponential that overflows."""
    top = max([positive, *others])
    return top + math.log(sum(math.exp(v - top) for v in [positive, *others])) - positive


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_nt_xent_equals_a_loop_over_pairs(temperature: float) -> None:
    first, second = random(5, 4), random(5, 4, seed=1)
    both = torch.cat([first, second])
    expected = 0.0
    for i in range(10):
        values = {k: cosine(both[i], both[k]) / temperature for k in range(10) if k != i}
        positive = values.pop((i + 5) % 10)
        expected += slow(positive, list(values.values())) / 10
    assert float(nt_xent_loss(first, second, temperature)) == pytest.approx(expected, rel=1e-5)


def test_nt_xent_keeps_leading_axes_apart() -> None:
    first, second = random(3, 5, 4), random(3, 5, 4, seed=1)
    expected = torch.stack([nt_xent_loss(u, v) for u, v in zip(first, second, strict=True)]).mean()
    torch.testing.assert_close(nt_xent_loss(first, second), expected)


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_queue_form_equals_a_loop_and_masked_keys_do_not_count(temperature: float) -> None:
    queries, keys, queue = random(4, 6), random(4, 6, seed=1), random(7, 6, seed=2)
    valid = torch.rand(4, 7, generator=torch.Generator().manual_seed(3)) < 0.6
    valid[0] = False
    expected = 0.0
    for i in range(4):
        others = [cosine(queries[i], queue[j]) / temperature for j in range(7) if valid[i, j]]
        expected += slow(cosine(queries[i], keys[i]) / temperature, others) / 4
    assert float(info_nce_loss(queries, keys, queue, temperature, valid)) == pytest.approx(expected, rel=1e-5)
    assert float(info_nce_loss(queries[:1], keys[:1], queue, temperature, valid[:1])) == 0
    shared = info_nce_loss(queries, keys, queue, temperature, valid[1])
    torch.testing.assert_close(shared, info_nce_loss(queries, keys, queue[valid[1]], temperature))


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_paired_form_equals_a_loop_over_positives(temperature: float) -> None:
    vectors = random(9, 4)
    group = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 3])
    positives = (group[:, None] == group) & ~torch.eye(9, dtype=torch.bool)
    negatives = group[:, None] != group
    losses = []
    for i in range(9):
        others = [cosine(vectors[i], vectors[n]) / temperature for n in range(9) if negatives[i, n]]
        of_row = [slow(cosine(vectors[i], vectors[p]) / temperature, others) for p in range(9) if positives[i, p]]
        losses += [sum(of_row) / len(of_row)] if of_row else []
    assert len(losses) == 8
    loss = paired_info_nce_loss(similarities(vectors, vectors, temperature), positives, negatives)
    assert float(loss) == pytest.approx(sum(losses) / 8, rel=1e-5)


@pytest.mark.usefixtures("values_read")
@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize(
    "negatives", [("same_image",), ("batch",), ("same_image", "batch"), ("queue",), ("same_image", "queue")]
)
def test_dense_form_equals_a_loop_over_positions(temperature: float, negatives: tuple[str, ...]) -> None:
    queries, keys, queue = random(2, 5, 4), random(2, 6, 4, seed=1), random(3, 4, seed=2)
    matches = torch.tensor([[0, 5, -1, 2, 2], [-1, -1, 3, 0, 1]])
    losses = []
    for b in range(2):
        for i in range(5):
            c = int(matches[b, i])
            if c < 0:
                continue
            others = []
            for a in range(2):
                for j in range(6):
                    if ("same_image" in negatives and a == b and j != c) or ("batch" in negatives and a != b):
                        others.append(keys[a, j])
            others += list(queue) if "queue" in negatives else []
            row = [cosine(queries[b, i], v) / temperature for v in others]
            losses.append(slow(cosine(queries[b, i], keys[b, c]) / temperature, row))
    given = queue if "queue" in negatives else None
    ours = float(dense_info_nce_loss(queries, keys, matches, temperature, negatives, given))
    assert ours == pytest.approx(sum(losses) / len(losses), rel=1e-5, abs=1e-6)


@pytest.mark.usefixtures("values_read")
def test_dense_form_leaves_out_what_of_the_queue_does_not_count_for_an_image() -> None:
    queries, keys, queue = random(2, 5, 4), random(2, 5, 4, seed=1), random(6, 4, seed=2)
    matches = torch.arange(5).expand(2, -1)
    valid = torch.tensor([[True, False, True, False, True, True], [False, True, False, True, False, False]])
    both = dense_info_nce_loss(queries, keys, matches, 0.1, ("queue",), queue, valid)
    each = [
        dense_info_nce_loss(queries[b : b + 1], keys[b : b + 1], matches[:1], 0.1, ("queue",), queue[valid[b]])
        for b in range(2)
    ]
    torch.testing.assert_close(both, torch.stack(each).mean())


@pytest.mark.usefixtures("values_read")
def test_dense_form_refuses_what_it_does_not_know_and_is_zero_without_correspondences() -> None:
    queries = random(2, 3, 4).requires_grad_()
    with pytest.raises(ValueError, match="same_image, batch, queue"):
        dense_info_nce_loss(queries, queries, torch.zeros(2, 3, dtype=torch.int64), 0.1, ("elsewhere",))
    with pytest.raises(ValueError, match="queue is given"):
        dense_info_nce_loss(queries, queries, torch.zeros(2, 3, dtype=torch.int64), 0.1, ("queue",))
    loss = dense_info_nce_loss(queries, queries, torch.full((2, 3), -1), 0.1)
    loss.backward()
    assert float(loss.detach()) == 0
    assert queries.grad is not None
    assert float(queries.grad.abs().sum()) == 0


def all_forms(first: Tensor, second: Tensor, temperature: float) -> list[Tensor]:
    count = len(first)
    own = torch.eye(count, dtype=torch.bool)
    matches = torch.arange(count)[None]
    return [
        nt_xent_loss(first, second, temperature),
        info_nce_loss(first, second, second.detach().flip(0), temperature),
        paired_info_nce_loss(similarities(first, second, temperature), own, ~own),
        dense_info_nce_loss(first[None], second[None], matches, temperature, ("same_image",)),
    ]


@pytest.mark.parametrize("content", ["random", "collapsed", "opposite", "zero", "large"])
def test_finite_with_its_gradient_at_a_small_temperature(content: str) -> None:
    first, second = random(6, 4), random(6, 4, seed=1)
    if content == "collapsed":
        first, second = torch.ones(6, 4), torch.ones(6, 4)
    elif content == "opposite":
        second = -first
    elif content == "zero":
        first, second = torch.zeros(6, 4), torch.zeros(6, 4)
    elif content == "large":
        first, second = first * 1e15, second * 1e15
    first.requires_grad_()
    for loss in all_forms(first, second, 0.005):
        (gradient,) = torch.autograd.grad(loss, first)
        assert torch.isfinite(loss)
        assert torch.isfinite(gradient).all()


def test_order_of_pairs_and_length_of_embeddings_do_not_matter() -> None:
    first, second = random(6, 4), random(6, 4, seed=1)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(2))
    scale = torch.rand(6, 1, generator=torch.Generator().manual_seed(3)) + 0.5
    once = all_forms(first, second, 0.1)
    again = all_forms((first * scale)[order], second[order], 0.1)
    for name, one, other in zip(["nt_xent", "queue", "paired", "dense"], once, again, strict=True):
        if name != "queue":  # its negatives are numbered here, not paired
            torch.testing.assert_close(one, other)
    torch.testing.assert_close(info_nce_loss(first, second, second), info_nce_loss(first, second, second[order]))


@pytest.mark.parametrize("form", range(4))
def test_gradient_descent_lowers_it(form: int) -> None:
    first, second = random(6, 4).requires_grad_(), random(6, 4, seed=1)
    optimiser = torch.optim.SGD([first], lr=0.5)
    before = float(all_forms(first, second, 0.5)[form].detach())
    for _ in range(30):
        optimiser.zero_grad()
        all_forms(first, second, 0.5)[form].backward()
        optimiser.step()
    assert float(all_forms(first, second, 0.5)[form].detach()) < before - 0.1


def test_autocast_does_not_coarsen_it() -> None:
    first, second = random(16, 32), random(16, 32, seed=1)
    once = all_forms(first, second, 0.005)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        again = all_forms(first, second, 0.005)
    for one, other in zip(once, again, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("form", range(4))
def test_memory_is_that_of_the_pairs_whatever_the_width(form: int) -> None:
    count, width = 32, 256
    first, second = random(count, width).requires_grad_(), random(count, width, seed=1)
    with LargestTensor() as largest:
        all_forms(first, second, 0.1)[form].backward()
    assert largest.elements <= max((2 * count) ** 2, 2 * count * width)
