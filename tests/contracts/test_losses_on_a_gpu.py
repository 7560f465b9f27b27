"""Every function of `contrastseg.losses` on a GPU that pretends, forward and backward: nothing waits, same numbers."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from contrastseg import losses
from contrastseg.losses import (
    alignment,
    consistency,
    correspondence,
    decoder_consistency,
    info_nce,
    mixing,
    pdcr,
    perturbation,
    pixel_sampling,
    pseudo_labels,
    queue,
    region_contrast,
    segmentation,
    signed_distance,
    supervised_contrast,
    voxel_contrast,
)
from tests.contrast_loss_cases import CONTRAST_CASES
from tests.loss_inputs import CPU, Inputs, of_seed
from tests.pretended import DEVICE, Mismatch, OnDevice, pretended


def averaged(given: Inputs) -> Any:
    teacher, student = (given.module(of_seed(lambda: nn.BatchNorm1d(4))) for _ in range(2))
    consistency.update_moving_average(teacher, student, 0.9)
    return [part.detach() for part in teacher.parameters()]


def class_queue(given: Inputs) -> Any:
    made: Any = given.module(pixel_sampling.ClassQueue(3, 4, 5))
    for _ in range(2):
        made.push(given.random(9, 5), given.labels(9), 2)
    return made.contents()


def key_queue(newest_only: bool) -> Callable[[Inputs], Any]:
    def case(given: Inputs) -> Any:
        made: Any = given.module(of_seed(lambda: queue.KeyQueue(7, 4, newest_only)))
        for _ in range(2):
            made.push(given.random(5, 4), given.put(torch.tensor([0, 1, 2, 3, 0])))
        return made.keys, made.valid(given.put(torch.tensor([0, 9])))

    return case


def dense(negatives: tuple[str, ...]) -> Callable[[Inputs], Any]:
    def case(given: Inputs) -> Any:
        matches = given.put(torch.arange(12).reshape(2, 6) % 7 - 1)
        stored = (given.random(4, 5), given.random(2, 4) > 0) if "queue" in negatives else ()
        return info_nce.dense_info_nce_loss(given.leaf(2, 6, 5), given.leaf(2, 6, 5), matches, 0.1, negatives, *stored)

    return case


def supcon(denominator: Any) -> Callable[[Inputs], Any]:
    def case(given: Inputs) -> Any:
        stored = given.random(6, 5), given.labels(6)
        return supervised_contrast.supcon_loss(
            given.leaf(20, 5), given.labels(20), 0.2, queue=stored, denominator=denominator, ignore_index=255
        )

    return case


def regions(positives: Any, negatives: Any) -> Callable[[Inputs], Any]:
    def case(given: Inputs) -> Any:
        valid = given.put(torch.tensor([[True, True, False], [True, True, True]]))
        return region_contrast.region_contrast_loss(
            given.leaf(2, 3, 4, 5), given.leaf(2, 3, 4, 5), valid, 0.1, positives, negatives
        )

    return case


def dragsaw(given: Inputs) -> Any:
    positions, centres = pdcr.grid_on_device((8, 8), 8, (2, 2), given.device)
    shares = pdcr.class_shares(given.labels(2, 16, 16), centres, [(5, 5), (7, 7)], 3)
    divergences = pdcr.divergence(shares, shares)
    rows = pdcr.gather_features(given.leaf(2, 4, 8, 8), positions)
    return pdcr.dragsaw_loss(rows, rows, divergences)


def affinity(given: Inputs) -> Any:
    positions, centres = pdcr.grid_on_device((8, 8), 8, (2, 2), given.device)
    dice = pdcr.patch_dice(given.labels(2, 16, 16), centres, [(5, 5), (7, 7)], 3)
    rows = pdcr.gather_features(given.leaf(2, 4, 8, 8), positions)
    return pdcr.affinity_regression(rows, rows, 1 - dice)


def mask(given: Inputs, *shape: int) -> Tensor:
    return given.random(*shape) > 0


# Per function: what is asked of it. Helpers of another function are asked within it.
CASES: dict[str, list[Callable[[Inputs], Any]]] = {
    "alignment.negative_cosine_loss": [lambda g: alignment.negative_cosine_loss(g.leaf(6, 5), g.random(6, 5))],
    "consistency.softmax_mse_loss": [
        lambda g: consistency.softmax_mse_loss(g.leaf(2, 3, 8, 8), g.random(2, 3, 8, 8)),
        lambda g: consistency.softmax_mse_loss(g.leaf(2, 3, 8, 8), g.random(2, 3, 8, 8), mask(g, 2, 8, 8)),
    ],
    "consistency.entropy": [lambda g: consistency.entropy(g.leaf(2, 3, 8, 8).softmax(1)).mean()],
    "consistency.update_moving_average": [averaged],
    "correspondence.map_coordinates": [lambda g: correspondence.map_coordinates(g.random(2, 8, 8, 2), (2, 4))],
    "correspondence.geometric_matches": [
        lambda g: correspondence.geometric_matches(g.random(2, 9, 2), g.random(2, 8, 2), (1, 2))
    ],
    "correspondence.feature_matches": [lambda g: correspondence.feature_matches(g.random(2, 9, 4), g.random(2, 8, 4))],
    "info_nce.unit_vectors": [lambda g: info_nce.unit_vectors(g.leaf(6, 5)).sum()],
    "info_nce.similarities": [lambda g: info_nce.similarities(g.leaf(6, 5), g.leaf(7, 5), 0.1).square().sum()],
    "info_nce.log_negatives": [lambda g: info_nce.log_negatives(g.leaf(6, 7), mask(g, 6, 7)).sum()],
    "info_nce.nt_xent_loss": [lambda g: info_nce.nt_xent_loss(g.leaf(2, 6, 5), g.leaf(2, 6, 5))],
    "info_nce.info_nce_loss": [
        lambda g: info_nce.info_nce_loss(g.leaf(6, 5), g.leaf(6, 5), g.random(9, 5), valid=mask(g, 6, 9))
    ],
    "info_nce.paired_info_nce_loss": [
        lambda g: info_nce.paired_info_nce_loss(g.leaf(6, 7), mask(g, 6, 7), ~mask(g, 6, 7))
    ],
    "info_nce.dense_info_nce_loss": [
        dense(each) for each in [("same_image", "batch"), ("same_image", "queue"), ("batch",), ("queue",)]
    ],
    "mixing.box_mask": [lambda g: mixing.box_mask(g.random(2, 2), g.random(2, 2) + 3, (5, 6)).float()],
    "mixing.pasted": [lambda g: mixing.pasted(mask(g, 2, 5, 6), g.leaf(2, 3, 5, 6), g.random(2, 3, 5, 6)).sum()],
    "pdcr.grid_positions": [lambda g: pdcr.grid_positions((8, 8), 16)],
    "pdcr.patch_centres": [lambda g: pdcr.patch_centres(torch.tensor([[1, 2]]), (2, 4))],
    **{
        f"pdcr.{name}": [dragsaw]
        for name in ("grid_on_device", "class_shares", "divergence", "dragsaw_loss", "gather_features")
    },
    **{f"pdcr.{name}": [affinity] for name in ("affinity_regression", "patch_dice")},
    "pdcr.guarded": [
        lambda g: pdcr.guarded(g.leaf(3).square().sum(), 1e-6, "drop"),
        lambda g: pdcr.guarded(g.leaf(3).square().sum(), 1e6, "divide"),
    ],
    "perturbation.photometric_jitter": [
        lambda g: perturbation.photometric_jitter(g.random(2, 1, 8, 8), g.random(4, 2).abs()),
        lambda g: perturbation.photometric_jitter(g.random(2, 3, 8, 8), g.random(4, 2).abs(), (0.0, 1.0)),
    ],
    "perturbation.change_colours": [
        lambda g: perturbation.change_colours(g.random(2, 3, 8, 8).sigmoid(), g.random(2, 2))
    ],
    "perturbation.gaussian_blur": [lambda g: perturbation.gaussian_blur(g.random(2, 1, 4, 8, 8), g.random(2).abs(), 3)],
    "perturbation.channel_dropout": [lambda g: perturbation.channel_dropout(g.leaf(2, 8, 4, 4), 0.5).sum()],
    "pixel_sampling.sample_anchors": [
        lambda g: pixel_sampling.sample_anchors(g.labels(2, 16, 16), g.labels(2, 16, 16) % 3, 3, 20, 50)
    ],
    "pixel_sampling.ClassQueue": [class_queue],
    "pseudo_labels.hard_labels": [lambda g: pseudo_labels.hard_labels(g.random(2, 3, 8, 8))],
    "pseudo_labels.confident_labels": [
        lambda g: pseudo_labels.confident_labels(g.labels(2, 8, 8), g.random(2, 8, 8), 0.5)
    ],
    "pseudo_labels.largest_components": [
        lambda g: pseudo_labels.largest_components(g.labels(2, 8, 8), 3),
        lambda g: pseudo_labels.largest_components(g.labels(2, 4, 8, 8), 3),
    ],
    "queue.KeyQueue": [key_queue(False), key_queue(True)],
    "region_contrast.RegionPoints": [],
    "region_contrast.sample_region_points": [
        lambda g: region_contrast.sample_region_points(
            g.put(torch.arange(200).reshape(2, 10, 10) // 9 % 9),
            g.put(torch.arange(200).reshape(2, 10, 10) // 8 % 9),
            4,
            5,
        )
    ],
    "region_contrast.gather_points": [
        lambda g: region_contrast.gather_points(g.leaf(2, 3, 4, 4), g.put(torch.arange(24).reshape(2, 3, 4) % 16)).sum()
    ],
    "region_contrast.region_contrast_loss": [
        regions(positives, negatives) for positives in ("one", "all", "average") for negatives in ("image", "batch")
    ],
    "segmentation.soft_dice_loss": [lambda g: segmentation.soft_dice_loss(g.leaf(2, 3, 8, 8), g.labels(2, 8, 8))],
    "segmentation.cross_entropy_loss": [
        lambda g: segmentation.cross_entropy_loss(g.leaf(2, 3, 8, 8), g.labels(2, 8, 8))
    ],
    "segmentation.dice_ce_loss": [lambda g: segmentation.dice_ce_loss(g.leaf(2, 3, 4, 8, 8), g.labels(2, 4, 8, 8))],
    "segmentation.segmentation_loss": [
        lambda g: segmentation.segmentation_loss(
            g.leaf(2, 3, 8, 8), g.labels(2, 8, 8), background=True, squared=True, per_image=True
        ),
        lambda g: segmentation.segmentation_loss(g.leaf(2, 3, 8, 8), g.labels(2, 8, 8), loss="ce"),
        lambda g: segmentation.segmentation_loss(g.leaf(2, 3, 8, 8), g.labels(2, 8, 8), combine="sum"),
    ],
    "consistency.entropy_loss": [lambda g: consistency.entropy_loss(g.leaf(2, 3, 8, 8))],
    "decoder_consistency.sharpened": [lambda g: decoder_consistency.sharpened(g.random(2, 3, 8, 8).softmax(1), 0.1)],
    "decoder_consistency.mutual_consistency_loss": [
        lambda g: decoder_consistency.mutual_consistency_loss([g.leaf(2, 3, 8, 8), g.leaf(2, 3, 8, 8)])
    ],
    "decoder_consistency.pyramid_consistency_loss": [
        lambda g: decoder_consistency.pyramid_consistency_loss([g.leaf(2, 3, 8, 8), g.leaf(2, 3, 8, 8)])
    ],
    "decoder_consistency.cross_consistency_loss": [
        lambda g: decoder_consistency.cross_consistency_loss(g.leaf(2, 3, 8, 8), [g.leaf(2, 3, 8, 8)])
    ],
    "signed_distance.signed_distances": [
        lambda g: signed_distance.signed_distances(g.labels(2, 8, 8), 3).nan_to_num(),
        lambda g: signed_distance.signed_distances(g.labels(2, 4, 8, 8), 3, border="inner", absent="zero").nan_to_num(),
    ],
    "signed_distance.dual_task_loss": [
        lambda g: signed_distance.dual_task_loss(g.leaf(2, 3, 8, 8), g.leaf(2, 2, 8, 8))
    ],
    "signed_distance.distance_regression_loss": [
        lambda g: signed_distance.distance_regression_loss(
            g.leaf(2, 2, 8, 8), g.random(2, 2, 8, 8).masked_fill(mask(g, 2, 2, 8, 8), torch.nan)
        )
    ],
    "supervised_contrast.supcon_loss": [supcon("all"), supcon("negatives")],
    "voxel_contrast.batch_contrast_loss": [
        lambda g: voxel_contrast.batch_contrast_loss(g.leaf(6, 5), g.random(6, 5), negatives=g.random(4, 5))
    ],
    "voxel_contrast.feature_contrast_loss": [
        lambda g: voxel_contrast.feature_contrast_loss(g.leaf(40, 5), g.random(40, 5))
    ],
    **CONTRAST_CASES,
}
NUMBERS = {"consistency.sigmoid_rampup"}  # of Python, not tensors
RANDOM = {  # other draws on each device
    "adversarial.virtual_adversarial_loss",
    "fusion.draw_boxes",
    "masked_images.block_mask",
    "perturbation.channel_dropout",
    "pixel_sampling.sample_anchors",
    "region_contrast.sample_region_points",
    "unreliable.draw_rows",
}
ON_THE_HOST = {"pdcr.grid_positions", "pdcr.patch_centres"}  # constants, sent by `grid_on_device`


def public() -> Iterable[str]:
    for found in pkgutil.iter_modules(losses.__path__):
        module = import_module(f"{losses.__name__}.{found.name}")
        for name, value in vars(module).items():
            defined = getattr(value, "__module__", "") == module.__name__
            if defined and callable(value) and not name.startswith("_"):
                yield f"{found.name}.{name}"


def test_every_loss_is_asked() -> None:
    assert set(public()) == CASES.keys() | NUMBERS


def outcome(case: Callable[[Inputs], Any], device: torch.device) -> tuple[list[Tensor], list[Tensor]]:
    """Results, and gradients of a scalar result."""
    given = Inputs(device)
    results = [leaf for leaf in tree_leaves(case(given)) if isinstance(leaf, Tensor)]
    if given.leaves:
        results[0].backward()
    gradients = [leaf.grad for leaf in given.leaves if leaf.grad is not None]
    assert len(gradients) == len(given.leaves)
    return results, gradients


@pytest.mark.parametrize(
    ("name", "case"), [pytest.param(name, case, id=name) for name, cases in CASES.items() for case in cases]
)
def test_a_loss(name: str, case: Callable[[Inputs], Any]) -> None:
    with pretended() as counts:
        results, gradients = outcome(case, DEVICE)
        assert not counts.waits
        if name not in ON_THE_HOST:
            assert all(isinstance(tensor, OnDevice) for tensor in (*results, *gradients))
    if name in RANDOM | ON_THE_HOST:
        return
    expected, expected_gradients = outcome(case, CPU)
    for there, here in zip((*results, *gradients), (*expected, *expected_gradients), strict=True):
        torch.testing.assert_close(there.held, here, rtol=1e-5, atol=1e-6)  # type: ignore[attr-defined]


def planted(fault: Callable[[Tensor], Tensor]) -> Callable[[Inputs], Any]:
    return lambda given: fault(segmentation.dice_ce_loss(given.leaf(2, 3, 8, 8), given.labels(2, 8, 8))[None]).sum()


def test_a_planted_fault_is_caught() -> None:
    def read(loss: Tensor) -> Tensor:
        return loss / loss.sum().item()

    with pretended() as counts:
        outcome(planted(read), DEVICE)
        assert counts.waits == {("item", "outside"): 1}
    with pretended(), pytest.raises(Mismatch):
        outcome(planted(lambda loss: loss * torch.ones(1)), DEVICE)
