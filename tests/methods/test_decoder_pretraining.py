"""Volume fusion and the masked autoencoder: the whole network but its head is pre-trained, and handed on."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from contrastseg.errors import TrainingError
from contrastseg.losses.fusion import draw_boxes, fuse, level_map
from contrastseg.losses.masked_images import block_mask
from contrastseg.losses.segmentation import segmentation_loss
from contrastseg.methods import registry
from contrastseg.methods._pretraining import decoder_output
from tests.learning import falls
from tests.methods.pretraining_cases import make, step_once, view

METHODS = ["volume_fusion", "mae"]


def batch(dims: int = 2, images: int = 4) -> dict[str, Any]:
    return {"images": view(1, dims, images)}


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", METHODS)
def test_the_loss_reaches_encoder_decoder_and_the_head_of_its_own(name: str, dims: int) -> None:
    method = make(name, dims=dims)
    (loss,) = method.training_step(batch(dims), 0).values()
    loss.backward()
    untouched = {key for key, value in method.modules.named_parameters() if value.grad is None}
    assert {key.split(".")[1] for key in untouched} == {"head"}
    assert all(key.startswith("network.head") for key in untouched)
    assert all(torch.isfinite(p.grad).all() for p in method.modules.parameters() if p.grad is not None)


@pytest.mark.parametrize("name", METHODS)
def test_the_whole_network_is_handed_on(name: str) -> None:
    (initial,) = registry.get(name).stages[-1].init_from
    assert (initial.stage, initial.modules) == ("pretrain", ("network",))
    ours, theirs = make(name, "train"), make("supervised", "train")
    assert list(ours.modules) == ["network"]
    labelled = {"labelled": view(label=True)}
    terms = [method.training_step(labelled, 0)["segmentation"] for method in (ours, theirs)]
    assert torch.equal(*terms)
    before, after = (make(name, stage).modules["network"].state_dict() for stage in ("pretrain", "train"))
    assert {key: value.shape for key, value in before.items()} == {key: value.shape for key, value in after.items()}


@pytest.mark.learns
@pytest.mark.parametrize("name", METHODS)
def test_gradient_descent_lowers_the_loss_of_a_fixed_batch(name: str) -> None:
    method, losses = make(name), []
    for _ in range(40):
        torch.manual_seed(0)  # the same boxes and blocks at every step
        losses.append(step_once(method, batch()))
    assert falls(losses)


def test_the_network_sees_the_mix_and_segments_its_levels() -> None:
    method, images = make("volume_fusion"), batch()["images"].image
    torch.manual_seed(5)
    loss = method.training_step(batch(), 0)["fusion"]
    torch.manual_seed(5)
    level = level_map(draw_boxes(images, 5), images.shape[2:])
    fused = fuse(images, torch.cat([images[-1:], images[:-1]]), level, 5)
    logits = decoder_output(method.modules["network"], method.modules["head"], fused)
    expected = segmentation_loss(logits, level, combine="sum", background=True, per_image=True)
    torch.testing.assert_close(loss, expected)
    with pytest.raises(TrainingError, match="unlabelled_batch_size"):
        method.training_step(batch(images=1), 0)


def test_what_is_masked_is_not_seen() -> None:
    """Other intensities there change the target, and nothing of what the network computes."""
    method, seen = make("mae"), []
    method.modules["head"].register_forward_hook(lambda module, inputs, output: seen.append(output.detach()))
    both = batch()
    torch.manual_seed(5)
    first = method.training_step(both, 0)["reconstruction"]
    torch.manual_seed(5)
    mask = block_mask(both["images"].image)
    both["images"].image = both["images"].image + 3 * mask
    torch.manual_seed(5)
    second = method.training_step(both, 0)["reconstruction"]
    assert torch.equal(seen[0], seen[1])
    assert float(second.detach()) > float(first.detach())
    expected = ((seen[0] - both["images"].image) ** 2)[mask].mean()
    torch.testing.assert_close(second.detach(), expected)
