"""IDEAL: which positions are contrasted while it pre-trains, and how the two decoders teach each other after."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from contrastseg.errors import SuiteError
from tests.learning import falls
from tests.methods.pretraining_cases import make, step_once, view, views


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("variant", ["default", "feature_correspondence", "siamese", "queue"])
def test_the_dense_loss_reaches_encoder_and_head_alone(variant: str, dims: int) -> None:
    method = make("ideal", dims=dims, variant=variant)
    loss = method.training_step(views(dims), 0)["dense_info_nce"]
    loss.backward()
    assert torch.isfinite(loss)
    assert float(loss.detach()) > 0
    trained = {key for key, value in method.modules.named_parameters() if value.grad is not None}
    assert {key.split(".")[0] for key in trained} == {"network", "head"}
    assert not any(key.startswith("network.decoder") for key in trained)
    assert ("key_network" in method.modules) == (variant != "siamese")
    assert ("queue" in method.modules) == (variant == "queue")


@pytest.mark.learns
@pytest.mark.parametrize("variant", ["default", "feature_correspondence", "siamese", "queue"])
def test_gradient_descent_lowers_the_loss_of_a_fixed_batch(variant: str) -> None:
    method, batch = make("ideal", variant=variant), views()
    assert falls([step_once(method, batch, step, rate=0.02) for step in range(30)])


def test_positions_are_contrasted_with_what_shows_the_same_place() -> None:
    """Views a block apart: the left half of one is the right half of the other, the rest takes no part."""
    method = make("ideal", negatives=("same_image",))
    batch = {"first": view(1), "second": view(1, shift=16.0)}
    maps = []
    for key, prefix in (("first", ""), ("second", "key_")):
        embedded = method._embedded(batch[key].image, prefix)[1]
        maps.append(F.normalize(embedded.detach(), dim=-1))
    # A 2×2 map: the second view's column 0 lies where the first one's column 1 does.
    losses = []
    for image in range(4):
        for query, key in ((1, 0), (3, 2)):
            values = maps[0][image, query] @ maps[1][image].T / 0.1
            losses.append(F.cross_entropy(values, torch.tensor(key)))
    expected = torch.stack(losses).mean()
    torch.testing.assert_close(method.training_step(batch, 0)["dense_info_nce"].detach(), expected)
    apart = {"first": batch["first"], "second": replace(batch["second"], coordinates=batch["second"].coordinates + 99)}
    assert float(method.training_step(apart, 0)["dense_info_nce"].detach()) == 0


def test_the_keys_network_follows_slowly_and_the_queue_holds_pooled_maps() -> None:
    method, batch = make("ideal", variant="queue", momentum=0.9), views()
    step_once(method, batch)
    queue = method.modules["queue"]
    assert sorted(queue.owners[queue.owners >= 0].tolist()) == [0, 1, 2, 3]
    before = method.modules["key_network"].encoder[0][0].weight.clone()
    moved = method.modules["network"].encoder[0][0].weight
    method.after_step(0)
    torch.testing.assert_close(method.modules["key_network"].encoder[0][0].weight, 0.9 * before + 0.1 * moved)


@pytest.mark.parametrize(("setting", "known"), [("correspondence", "geometric"), ("key", "siamese")])
def test_unknown_choices_list_the_known_ones(setting: str, known: str) -> None:
    with pytest.raises(SuiteError, match=known):
        make("ideal", **{setting: "other"})


def batch() -> dict[str, Any]:
    return {"labelled": view(label=True), "unlabelled": view(3)}


def test_each_decoder_is_taught_by_the_others_most_probable_class_and_gives_no_gradient_to_it() -> None:
    method = make("ideal", "train")
    method.modules.eval()
    terms = method.training_step(batch(), 99)
    first, second = (logits[4:] for logits in method._streams(torch.cat([batch()[k].image for k in batch()])))
    expected = F.cross_entropy(first, second.detach().argmax(1)) + F.cross_entropy(second, first.detach().argmax(1))
    torch.testing.assert_close(terms["cross_supervision"], 0.1 * expected)
    head = method.modules["network"].head.weight
    ours = torch.autograd.grad(terms["cross_supervision"], head, retain_graph=True)[0]
    theirs = torch.autograd.grad(0.1 * F.cross_entropy(first, second.argmax(1)), head)[0]
    torch.testing.assert_close(ours, theirs)
    early = method.training_step(batch(), 0)["cross_supervision"]
    assert float(early.detach()) == pytest.approx(0.1 * float(expected.detach()) * 0.006737947, rel=1e-4)


def test_pixels_below_the_threshold_teach_nothing() -> None:
    method = make("ideal", "train", pseudo_threshold=1.1)
    assert float(method.training_step(batch(), 99)["cross_supervision"].detach()) == 0


def test_the_labels_teach_both_decoders_and_the_prediction_is_their_mean() -> None:
    method = make("ideal", "train")
    method.training_step(batch(), 0)["segmentation"].backward()
    for name in ("network", "second_decoder"):
        assert all(parameter.grad is not None for parameter in method.modules[name].parameters())
    method.modules.eval()
    images = view().image
    with torch.no_grad():
        first, second = (logits.softmax(1) for logits in method._streams(images))
        torch.testing.assert_close(method.predict(images).softmax(1), (first + second) / 2)
    assert not torch.allclose(first, second)
