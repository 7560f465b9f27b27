"""Cross teaching: its step written out, its partner, the padding that the partner needs."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from contrastseg.errors import SuiteError
from contrastseg.networks.padded import Padded
from contrastseg.networks.registry import build
from tests.methods.made_up import make, paired

PARTNER = {"name": "unet", "channels": [4, 8, 8], "norm": "batch"}


def dice_of_all_classes(probabilities: Tensor, label: Tensor) -> Tensor:
    """SSL4MIS 06df604, code/utils/losses.py `DiceLoss`, written out."""
    loss = torch.zeros(())
    for k in range(probabilities.shape[1]):
        score, target = probabilities[:, k], (label == k).float()
        intersection, squares = (score * target).sum(), (score * score).sum() + (target * target).sum()
        loss = loss + 1 - (2 * intersection + 1e-5) / (squares + 1e-5)
    return loss / probabilities.shape[1]


@pytest.mark.parametrize("dims", [2, 3])
def test_a_step_written_out(dims: int) -> None:
    """SSL4MIS 06df604, code/train_cross_teaching_between_cnn_transformer_2D.py:221-253."""
    method, batch = make("cross_teaching", dims, levels=3, partner=PARTNER), paired(dims)
    terms = method.training_step(batch, 50)
    assert list(terms) == ["segmentation", "segmentation_partner", "cross"]
    images = torch.cat([batch["labelled"].image, batch["unlabelled"].image])
    one, two = (method.modules[name](images) for name in ("network", "partner"))
    label = batch["labelled"].label
    assert label is not None
    torch.testing.assert_close(terms["segmentation"], method.segmentation_loss(one[:2], label))
    torch.testing.assert_close(terms["segmentation_partner"], method.segmentation_loss(two[:2], label))
    cross = dice_of_all_classes(one[2:].softmax(1), two[2:].argmax(1))
    cross = cross + dice_of_all_classes(two[2:].softmax(1), one[2:].argmax(1))
    torch.testing.assert_close(terms["cross"], 0.1 * math.exp(-1.25) * cross)
    batch["unlabelled"].image.requires_grad_()
    again = method.training_step(batch, 50)["cross"]
    (gradient,) = torch.autograd.grad(again, batch["unlabelled"].image)
    assert float(gradient.abs().sum()) > 0
    assert torch.equal(method.predict(images), one)


def test_two_networks_that_are_certain_of_the_same_cost_nothing() -> None:
    method, batch = make("cross_teaching", levels=3, partner=PARTNER), paired()
    for head in (method.modules["network"].head, method.modules["partner"].network.head):
        torch.nn.init.zeros_(head.weight)
        with torch.no_grad():
            head.bias.copy_(torch.tensor([50.0, 0.0, 0.0]))
    assert float(method.training_step(batch, 99)["cross"].detach()) == pytest.approx(0, abs=1e-6)


def test_the_partner_is_a_transformer_that_learns() -> None:
    small = {"name": "monai", "model": "SwinUNETR", "feature_size": 12, "depths": [1, 1, 1, 1]}
    method, batch = make("cross_teaching", levels=3, partner=small), paired()
    for view in batch.values():
        view.image = view.image.repeat(1, 1, 2, 2)[..., :60, :]
    labelled = batch["labelled"]
    assert labelled.label is not None
    labelled.label = labelled.label.repeat(1, 2, 2)[:, :60]
    terms = method.training_step(batch, 99)
    (terms["segmentation_partner"] + terms["cross"]).backward()
    attention = [p for name, p in method.modules["partner"].named_parameters() if "attn.qkv.weight" in name]
    assert attention
    assert all(p.grad is not None and p.grad.any() for p in attention)


def test_a_partner_that_there_is_not_is_refused() -> None:
    with pytest.raises(SuiteError, match="unknown network 'swin'"):
        make("cross_teaching", partner={"name": "swin"})


@pytest.mark.parametrize(("dims", "size"), [(2, (9, 12)), (3, (4, 6, 9)), (2, (8, 8))])
def test_padding_changes_nothing_where_it_is_not_needed_and_ends_where_the_image_does(
    dims: int, size: tuple[int, ...]
) -> None:
    settings: dict[str, Any] = {"channels": (4, 8, 8)}
    network = build(settings, spatial_dims=dims, in_channels=1, num_classes=3).eval()
    images = torch.randn(2, 1, *size, generator=torch.Generator().manual_seed(0))
    whole = torch.zeros(2, 1, *(-(-length // 4) * 4 for length in size))
    inside = (..., *(slice(length) for length in size))
    whole[inside] = images
    assert torch.equal(Padded(network)(images), network(whole)[inside])


def test_an_image_as_small_as_the_strides_is_padded_to_two_positions_of_the_deepest_map() -> None:
    network = build({"channels": (4, 8, 8)}, spatial_dims=2, in_channels=1, num_classes=3)
    seen: list[torch.Size] = []
    network.register_forward_pre_hook(lambda module, given: seen.append(given[0].shape))
    assert Padded(network)(torch.randn(2, 1, 4, 3)).shape == (2, 3, 4, 3), "one position is an error of instance norm"
    assert seen == [(2, 1, 4, 8)]
