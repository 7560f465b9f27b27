"""The losses give the numbers that released code gives on the same tensors.

Every expected value is what the named function printed on these tensors, in float64, at the named commit; nothing of
that code is here. `docs/losses.md` says how it was run, on which further sizes the two agreed, and where they differ.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from contrastseg.losses.alignment import negative_cosine_loss
from contrastseg.losses.consistency import sigmoid_rampup, softmax_mse_loss
from contrastseg.losses.correspondence import feature_matches
from contrastseg.losses.info_nce import (
    dense_info_nce_loss,
    info_nce_loss,
    nt_xent_loss,
    paired_info_nce_loss,
    similarities,
)
from contrastseg.losses.pdcr import class_shares, divergence, dragsaw_loss
from contrastseg.losses.supervised_contrast import supcon_loss
from contrastseg.networks.uafr import UncertaintyReweighting

PARTITIONS = 4


def waves(*shape: int, frequency: float) -> Tensor:
    """Numbers that every machine and every version makes alike."""
    count = torch.arange(1, math.prod(shape) + 1, dtype=torch.float64)
    return torch.sin(frequency * count).reshape(shape)


def close(ours: Tensor, theirs: float, relative: float = 1e-9) -> None:
    assert float(ours) == pytest.approx(theirs, rel=relative)


# HobbitLong/SupContrast 66a8fe5, losses.py, SupConLoss with base_temperature = temperature.
@pytest.mark.parametrize(
    ("temperature", "released"), [(0.07, 17.040462076248605), (0.1, 12.135526736115233), (0.5, 3.5153777080102224)]
)
def test_supcon(temperature: float, released: float) -> None:
    views, labels = waves(6, 2, 5, frequency=1.7), torch.tensor([0, 1, 1, 2, 0, 2])
    close(supcon_loss(views.flatten(0, 1), labels.repeat_interleave(2), temperature), released)


# The same function without labels, which is SimCLR's loss.
@pytest.mark.parametrize(("temperature", "released"), [(0.1, 16.027658095640945), (0.5, 4.293803979915364)])
def test_nt_xent(temperature: float, released: float) -> None:
    views = waves(6, 2, 5, frequency=1.7)
    close(nt_xent_loss(views[:, 0], views[:, 1], temperature), released)


# tfzhou/ContrastiveSeg 287e5d3, lib/loss/loss_contrast.py, PixelContrastLoss._contrastive.
@pytest.mark.parametrize(("temperature", "released"), [(0.1, 11.86276541222715), (0.5, 3.3564528584446065)])
def test_pixel_contrast(temperature: float, released: float) -> None:
    views, labels = waves(6, 2, 5, frequency=1.7), torch.tensor([0, 1, 1, 2, 0, 2]).repeat_interleave(2)
    close(supcon_loss(views.flatten(0, 1), labels, temperature, denominator="negatives"), released)


# facebookresearch/moco 7397dfe, moco/builder.py, MoCo.forward, and the cross-entropy its training script takes of it.
@pytest.mark.parametrize(("temperature", "released"), [(0.07, 5.341430597365541), (0.2, 2.9804401499873068)])
def test_info_nce_against_a_queue(temperature: float, released: float) -> None:
    queries, keys, queue = waves(4, 6, frequency=0.9), waves(4, 6, frequency=1.3), waves(9, 6, frequency=2.1)
    close(info_nce_loss(queries, keys, queue, temperature), released)


# WXinlong/DenseCL b64bbb6, openselfsup/models/densecl.py, DenseCL.forward_train, the dense term.
@pytest.mark.parametrize(("temperature", "released"), [(0.1, 6.321300417281019), (0.2, 3.552907880243681)])
def test_dense_info_nce_by_features(temperature: float, released: float) -> None:
    backbone = [waves(2, 3, 9, frequency=f).transpose(1, 2) for f in (0.7, 1.1)]
    queries, keys = (waves(2, 4, 9, frequency=f).transpose(1, 2) for f in (1.9, 2.3))
    matches = feature_matches(*backbone)
    close(
        dense_info_nce_loss(queries, keys, matches, temperature, ("queue",), waves(7, 4, frequency=2.9)),
        released,
    )


# krishnabits001/domain_specific_cl e5aae80, models.py, encoder_pretrain_net and decoder_pretrain_net, τ = 0.1.
def test_glcl_random() -> None:
    vectors = waves(8, 5, frequency=1.7)
    close(nt_xent_loss(vectors[0::2], vectors[1::2], 0.1), 15.82465963796939)


def test_glcl_partitions_as_negatives() -> None:
    """Three versions of four images, one of each partition; the release adds both directions of a pair up."""
    index = torch.arange(12)
    image, partition = index % 4, index % PARTITIONS
    vectors = waves(12, 5, frequency=1.7)
    positives = (image[:, None] == image) & (index[:, None] != index)
    loss = paired_info_nce_loss(similarities(vectors, vectors, 0.1), positives, partition[:, None] != partition)
    close(2 * loss, 28.03205036396541)


def test_glcl_partitions_as_positives_too() -> None:
    """Blocks of four partitions, two views after each other; volumes are paired with the next and the last one."""
    vectors, index = waves(32, 5, frequency=1.7), torch.arange(32)
    partition, view = index % PARTITIONS, index // PARTITIONS
    negatives = partition[:, None] != partition
    other_view = (view[:, None] // 2 == view // 2) & (partition[:, None] == partition) & (index[:, None] != index)
    apart = (index[:, None] - index) % 32
    other_volume = (apart == 2 * PARTITIONS) | (apart == 32 - 2 * PARTITIONS)
    similarity = similarities(vectors, vectors, 0.1)
    terms = [paired_info_nce_loss(similarity, positives, negatives) for positives in (other_view, other_volume)]
    close(2 * sum(terms[1:], terms[0]), 59.32893253017965)


# With all eight other regions as negatives, where the release lists five.
@pytest.mark.parametrize(("maps", "released"), [(2, 16.440393913500863), (4, 16.43021540844433)])
def test_glcl_regions(maps: int, released: float) -> None:
    nine = waves(maps, 9, 9, 4, frequency=1.7)[:, ::4, ::4].flatten(1, 2)
    close(nt_xent_loss(nine[0::2], nine[1::2], 0.1), released)


# lzh19961031/PDCR_UAFR-MIS 1d59c53, 3D/nnunet/training/loss_functions/deep_supervision.py; ours computes in float32.
ROWS, COLUMNS = waves(2, 8, 3, frequency=0.8), waves(2, 8, 3, frequency=1.4)
SHARES = [waves(2, 8, 3, frequency=frequency).abs() / 3 for frequency in (1.3, 2.3)]


def test_pdcr_within_layers() -> None:
    """cl_loss_3d: the mean over two layers."""
    terms = [
        dragsaw_loss(each, each, divergence(shares, shares), 0.5)
        for each, shares in zip((ROWS, COLUMNS), SHARES, strict=True)
    ]
    close((terms[0] + terms[1]) / 2, 2.8806301173364295, 1e-6)


def test_pdcr_across_layers() -> None:
    """cl_loss_3d_multilayer: one pair of layers, divided by the number of layers."""
    close(dragsaw_loss(ROWS, COLUMNS, divergence(*SHARES), 0.5) / 2, 1.4103121445325193, 1e-6)


def test_pdcr_in_2d_has_affinity_and_divergence_exchanged_and_sums() -> None:
    """2D/criterions/bcl.py, CL_Loss.cal_loss: three patch sizes, one class."""
    shares = SHARES[0].permute(2, 0, 1).unsqueeze(-1)
    swapped = 1 - divergence(shares, shares)
    close(2 * 8 * 8 * dragsaw_loss(ROWS, ROWS, swapped, 1.0), 193.50429787642838, 1e-6)


def test_pdcr_in_2d_averages_shares_first_where_asked() -> None:
    """The same with similarityfirst False and equal weights of the three patch sizes."""
    shares = SHARES[0].permute(2, 0, 1).unsqueeze(-1).mean(0, keepdim=True)
    close(dragsaw_loss(ROWS, ROWS, 1 - divergence(shares, shares), 1.0, "sum"), 175.1764892299612, 1e-6)


# The same, 2D/models/backbones/get_uncertainty_att.py, and unct of 3D/nnunet/network_architecture/generic_UNet.py.
@pytest.mark.parametrize(("shape", "released"), [((2, 4, 5, 6), 2.3877051738), ((2, 8, 3, 4, 5), 3.3133014240)])
def test_uafr(shape: tuple[int, ...], released: float) -> None:
    block = UncertaintyReweighting(shape[1], len(shape) - 2)
    with torch.no_grad():
        for index, parameter in enumerate(block.parameters()):
            parameter.copy_(waves(*parameter.shape, frequency=0.7 + 0.1 * index))
        result = block(waves(*shape, frequency=1.3).float())
    close((result * waves(*shape, frequency=0.37)).sum(), released, 1e-5)


def test_pdcr_shares() -> None:
    """foreground_ratio, of patches inside the image that hold every class: there its faults do not show."""
    label = ((waves(1, 40, 40, 40, frequency=1.1) + 1) * 2).long().clamp(max=3)
    centres = torch.tensor([[16, 16, 16], [32, 16, 32]])
    released = [[0.152, 0.176, 0.28], [0.128, 0.224, 0.328]]
    torch.testing.assert_close(class_shares(label, centres, [(5, 5, 5)], 4)[0, 0], torch.tensor(released))


# HiLab-git/SSL4MIS 06df604, code/utils/losses.py, softmax_mse_loss, and its means in code/train_mean_teacher_2D.py and
# code/train_uncertainty_aware_mean_teacher_2D.py; ours computes in float32.
@pytest.mark.parametrize(
    ("classes", "everywhere", "masked"),
    [(2, 0.2981613638533891, 0.28810055533829537), (4, 0.1950838342749944, 0.3315014483985354)],
)
def test_consistency(classes: int, everywhere: float, masked: float) -> None:
    """The masked form divides by twice the pixels whatever the number of classes."""
    student, teacher = (3 * waves(2, classes, 3, 4, frequency=frequency) for frequency in (1.7, 0.6))
    close(softmax_mse_loss(student, teacher), everywhere, 1e-6)
    mask = waves(2, 3, 4, frequency=0.45) > 0
    close(softmax_mse_loss(student, teacher, mask, divisor=2), masked, 1e-6)
    close(softmax_mse_loss(student, teacher, mask), 2 / classes * masked, 1e-6)
    with pytest.raises(ValueError, match="divisor is 0"):
        softmax_mse_loss(student, teacher, divisor=0)


# The same, code/utils/ramps.py, sigmoid_rampup(step, 200).
@pytest.mark.parametrize(
    ("step", "released"), [(0, 0.006737946999085467), (50, 0.060054667895307945), (199, 0.9998750078121745), (500, 1.0)]
)
def test_rampup(step: int, released: float) -> None:
    assert sigmoid_rampup(step, 500, 0.4) == pytest.approx(released, rel=1e-12)


# facebookresearch/simsiam a7bc177, main_simsiam.py, train.
def test_simsiam() -> None:
    predictions, projections = ([waves(5, 7, frequency=f) for f in pair] for pair in ((0.9, 1.3), (1.7, 2.1)))
    crossed = zip(predictions, reversed(projections), strict=True)
    terms = [negative_cosine_loss(prediction, projection) for prediction, projection in crossed]
    close((terms[0] + terms[1]) / 2, -0.03004012212903312)
