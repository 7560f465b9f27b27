"""The supervised contrastive loss against a loop over pairs, its limits, its gradient and its memory."""

from __future__ import annotations

import math
from typing import Any, Literal

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from contrastseg.losses import supervised_contrast
from contrastseg.losses.supervised_contrast import supcon_loss
from tests.learning import falls

pytestmark = pytest.mark.usefixtures("values_read")

FORMS: list[Literal["all", "negatives"]] = ["all", "negatives"]


def slow(
    embeddings: torch.Tensor,
    labels: torch.Tensor,
    temperature: float,
    queue: tuple[torch.Tensor, torch.Tensor] | None = None,
    denominator: str = "all",
) -> float:
    """The definition, pair by pair in float64."""
    vectors = embeddings.double().tolist()
    names = labels.tolist()
    if queue is not None:
        vectors, names = vectors + queue[0].double().tolist(), names + queue[1].tolist()
    unit = [[x / math.sqrt(sum(y * y for y in v)) for x in v] for v in vectors]

    def similarity(i: int, j: int) -> float:
        return math.exp(sum(a * b for a, b in zip(unit[i], unit[j], strict=True)) / temperature)

    everything = range(len(unit))
    losses = []
    for i in range(len(embeddings)):
        positives = [j for j in everything if j != i and names[j] == names[i]]
        if not positives:
            continue
        total = 0.0
        for p in positives:
            if denominator == "all":
                below = sum(similarity(i, a) for a in everything if a != i)
            else:
                below = similarity(i, p) + sum(similarity(i, n) for n in everything if names[n] != names[i])
            total -= math.log(similarity(i, p) / below)
        losses.append(total / len(positives))
    return sum(losses) / len(losses)


def data(count: int = 12, width: int = 5, classes: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(count, width, generator=generator), torch.randint(0, classes, (count,), generator=generator)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("queued", [False, True])
@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_it_is_the_definition(form: Literal["all", "negatives"], queued: bool, temperature: float) -> None:
    embeddings, labels = data()
    labels[0] = 7  # without a positive: left out
    queue = (torch.randn(6, 5), torch.tensor([0, 1, 2, 2, 9, -1])) if queued else None
    ours = supcon_loss(embeddings, labels, temperature, queue=queue, denominator=form)
    expected = slow(embeddings, labels, temperature, queue, form)
    assert ours.item() == pytest.approx(expected, abs=1e-5)
    exact = supcon_loss(embeddings.double(), labels, temperature, queue=queue, denominator=form)
    assert exact.item() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("form", FORMS)
def test_vectors_of_the_label_to_ignore_are_as_if_they_were_not_there(form: Literal["all", "negatives"]) -> None:
    embeddings, labels = data(20)
    labels[::3] = 255
    queue = (torch.randn(6, 5), torch.tensor([0, 255, 2, 2, 255, 1]))
    leaf = embeddings.clone().requires_grad_()
    ours = supcon_loss(leaf, labels, 0.2, queue=queue, denominator=form, ignore_index=255)
    ours.backward()
    there = labels != 255
    left = embeddings[there].requires_grad_()
    known = queue[1] != 255
    without = supcon_loss(left, labels[there], 0.2, queue=(queue[0][known], queue[1][known]), denominator=form)
    without.backward()
    torch.testing.assert_close(ours, without)
    assert leaf.grad is not None
    torch.testing.assert_close(leaf.grad[there], left.grad)
    assert (leaf.grad[~there] == 0).all()
    nothing = supcon_loss(embeddings.requires_grad_(), torch.full_like(labels, 255), 0.2, ignore_index=255)
    nothing.backward()
    assert float(nothing.detach()) == 0
    assert embeddings.grad is not None
    assert (embeddings.grad == 0).all()


@pytest.mark.parametrize("form", FORMS)
def test_blocks_of_rows_change_neither_value_nor_gradient(
    form: Literal["all", "negatives"], monkeypatch: pytest.MonkeyPatch
) -> None:
    embeddings, labels = data()
    results = []
    for block in (2**24, 24, 1):
        monkeypatch.setattr(supervised_contrast, "BLOCK", block)
        leaf = embeddings.clone().requires_grad_()
        loss = supcon_loss(leaf, labels, 0.2, denominator=form)
        results.append((loss.detach(), torch.autograd.grad(loss, leaf)[0]))
    for loss, gradient in results[1:]:
        torch.testing.assert_close(loss, results[0][0])
        torch.testing.assert_close(gradient, results[0][1])


@pytest.mark.parametrize("form", FORMS)
def test_the_gradient_is_that_of_finite_differences(form: Literal["all", "negatives"]) -> None:
    embeddings, labels = data(6, 3)
    leaf = embeddings.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: supcon_loss(x, labels, 0.5, denominator=form), leaf)


@pytest.mark.parametrize("form", FORMS)
def test_order_and_length_of_the_vectors_do_not_matter(form: Literal["all", "negatives"]) -> None:
    embeddings, labels = data()
    reference = supcon_loss(embeddings, labels, 0.1, denominator=form)
    order = torch.randperm(len(labels))
    lengths = torch.rand(len(labels), 1) * 9 + 0.1
    torch.testing.assert_close(
        supcon_loss((embeddings * lengths)[order], labels[order], 0.1, denominator=form), reference
    )
    torch.testing.assert_close(supcon_loss(embeddings, labels + 100, 0.1, denominator=form), reference)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("temperature", [0.005, 0.1])
@pytest.mark.parametrize(
    "labels", [[0] * 8, [0, 1, 2, 3, 4, 5, 6, 7], [0, 0, 0, 0, 1, 1, 1, 1], [0, 1, 1, 1, 1, 1, 1, 1]]
)
def test_loss_and_gradient_are_finite_at_the_limits(
    form: Literal["all", "negatives"], temperature: float, labels: list[int]
) -> None:
    for vectors in (torch.randn(8, 4), torch.ones(8, 4), torch.zeros(8, 4), -torch.eye(8)):
        leaf = vectors.clone().requires_grad_()
        loss = supcon_loss(leaf, torch.tensor(labels), temperature, denominator=form)
        loss.backward()
        assert torch.isfinite(loss)
        assert leaf.grad is not None
        assert torch.isfinite(leaf.grad).all()
        assert loss >= -1e-5
        if len(set(labels)) == len(labels):
            assert loss == 0


def test_nothing_to_compare_is_zero_and_differentiable() -> None:
    for count in (0, 1):
        leaf = torch.randn(count, 4, requires_grad=True)
        loss = supcon_loss(leaf, torch.zeros(count, dtype=torch.int64), 0.1)
        loss.backward()
        assert loss.item() == 0


@pytest.mark.learns
def test_descent_parts_the_classes_and_the_queue_gets_no_gradient() -> None:
    embeddings, labels = data(30, 8)
    leaf = embeddings.clone().requires_grad_()
    others = torch.randn(10, 8, requires_grad=True)
    queue = (others, torch.arange(10) % 3)
    optimiser = torch.optim.SGD([leaf], 10.0)
    losses = []
    for _ in range(100):
        loss = supcon_loss(leaf, labels, 0.5, queue=queue)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert falls(losses)
    assert others.grad is None


class Largest(TorchDispatchMode):
    """Notes the size of the largest tensor any operation makes."""

    elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, torch.Tensor):
                self.elements = max(self.elements, tensor.numel())
        return result


@pytest.mark.parametrize("form", FORMS)
def test_no_tensor_is_larger_than_a_block_of_similarities(
    form: Literal["all", "negatives"], monkeypatch: pytest.MonkeyPatch
) -> None:
    embeddings, labels = torch.randn(256, 64, requires_grad=True), torch.arange(256) % 4
    with Largest() as whole:
        supcon_loss(embeddings, labels, 0.1, denominator=form).backward()
    assert whole.elements == 256 * 256
    monkeypatch.setattr(supervised_contrast, "BLOCK", 256 * 16)
    with Largest() as blocks:
        supcon_loss(embeddings, labels, 0.1, denominator=form).backward()
    assert blocks.elements == 256 * 64, "the embeddings themselves are now what is largest"


def test_half_precision_is_computed_in_float32() -> None:
    embeddings, labels = data()
    with torch.autocast("cpu", torch.bfloat16):
        ours = supcon_loss(embeddings, labels, 0.005)
    torch.testing.assert_close(ours, supcon_loss(embeddings, labels, 0.005))
    assert supcon_loss(embeddings.bfloat16(), labels, 0.1).dtype == torch.float32


def test_wrong_shapes_and_names_are_errors() -> None:
    embeddings, labels = data()
    with pytest.raises(ValueError, match="labels"):
        supcon_loss(embeddings, labels[1:], 0.1)
    with pytest.raises(ValueError, match="denominator"):
        supcon_loss(embeddings, labels, 0.1, denominator="some")  # type: ignore[arg-type]
