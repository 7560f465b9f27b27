"""Semantic-aware contrast: who masks whom, what the patches hold, and how they are put back."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from contrastseg.errors import SuiteError
from contrastseg.methods import _query_patches as geometry
from contrastseg.methods.contract import Sample, Task
from contrastseg.methods.semantic_aware import SemanticAware, balanced_choice
from contrastseg.networks.registry import build


def make(
    stage: str,
    dims: int = 2,
    classes: int = 3,
    variant: str = "default",
    norm: str = "instance",
    flip_axes: tuple[int, ...] = (0, 1),
    **settings: Any,
) -> SemanticAware:
    def network(in_channels: int = 1, num_classes: int = classes) -> nn.Module:
        options = {"channels": [4, 8, 8], "convolutions": 1, "norm": norm}
        return build(options, spatial_dims=dims, in_channels=in_channels, num_classes=num_classes)

    small = {"patch_size": [32] * dims, "patches": 6}
    task = Task(dims, 1, classes, 100, stage, network, flip_axes=flip_axes)
    method = SemanticAware(task, SemanticAware.resolve(variant, {**small, **settings}))
    torch.manual_seed(0)
    method.modules = nn.ModuleDict(method.build())
    return method


def sample(dims: int = 2, patients: tuple[int, ...] = (0, 1, 2, 3), classes: int = 3) -> Sample:
    """A block per class, at another place in each sample; the image is the label with noise."""
    label = torch.zeros(len(patients), *[40] * dims, dtype=torch.int64)
    for index in range(len(patients)):
        first = 4 + 2 * index
        label[index, first : first + 12, first : first + 9] = 1
        if classes > 2:
            label[index, 26:34, 20 + index : 35] = 2
    image = label.float().unsqueeze(1) + 0.1 * torch.randn(label.unsqueeze(1).shape, generator=torch.Generator())
    which = torch.tensor(patients)
    nowhere = torch.zeros(*label.shape, dims)
    return Sample(image, label, nowhere, which, which, torch.full((len(patients),), 0.5), patient=which)


def gradients(module: nn.Module) -> float:
    return sum(float(p.grad.abs().sum()) for p in module.parameters() if p.grad is not None)


def test_no_network_of_a_fold_sees_the_labels_it_will_mask() -> None:
    seen = sample()
    other = replace(seen, label=seen.label.flip(2) if seen.label is not None else None)
    even = (seen.patient % 2 == 0)[:, None, None]  # type: ignore[operator]
    changed = replace(seen, label=torch.where(even, other.label, seen.label))  # type: ignore[arg-type]
    found = {}
    for name, data in (("as it is", seen), ("even patients changed", changed)):
        method = make("coarse")
        sum(method.training_step({"labelled": data}, 0).values()).backward()  # type: ignore[union-attr]
        folds = method.modules["folds"]
        assert folds.seen.tolist() == [2, 2]
        found[name] = [[p.grad.clone() for p in network.parameters()] for network in folds]
        assert gradients(method.modules["network"]) > 0
    pairs = [list(zip(*fold, strict=True)) for fold in zip(*found.values(), strict=True)]
    assert all(torch.equal(a, b) for a, b in pairs[0]), "the network that masks the even patients"
    assert not all(torch.equal(a, b) for a, b in pairs[1])


def test_a_fold_with_one_image_in_the_batch_trains_a_network_with_batch_norm() -> None:
    def network(in_channels: int = 1, num_classes: int = 3) -> nn.Module:
        options = {"name": "deeplabv3plus", "encoder": "resnet18", "width": 16}
        return build(options, spatial_dims=2, in_channels=in_channels, num_classes=num_classes)

    method = SemanticAware(Task(2, 1, 3, 100, "coarse", network), SemanticAware.resolve("default"))
    method.modules = nn.ModuleDict(method.build())
    whole = sample(patients=(0, 0, 0, 1))
    assert whole.label is not None
    even = replace(whole, image=whole.image[..., :32, :32], label=whole.label[..., :32, :32])
    terms = method.training_step({"labelled": even}, 0)
    assert torch.isfinite(terms["cross_fitted"])
    assert method.modules["folds"].seen.tolist() == [1, 3], "an image shown twice counts once"


def test_each_patient_is_masked_by_the_network_of_its_fold() -> None:
    method = make("contrast", folds=3)
    with torch.no_grad():
        for index, network in enumerate(method.modules["folds"]):
            network.head.weight.zero_()
            network.head.bias.copy_(torch.eye(3)[index])
    method.modules["folds"].seen.fill_(1)
    masks = method._masks(sample(patients=(5, 3, 7, 0)))
    assert [mask.unique().tolist() for mask in masks] == [[2], [0], [1], [0]]


def test_a_single_patient_is_masked_by_its_own_labels() -> None:
    coarse = make("coarse")
    data = sample(patients=(0, 0))
    sum(coarse.training_step({"labelled": data}, 0).values()).backward()  # type: ignore[union-attr]
    assert coarse.modules["folds"].seen.tolist() == [0, 2]
    method = make("contrast")
    method.modules["folds"].load_state_dict(coarse.modules["folds"].state_dict())
    assert data.label is not None
    data.label[0, :3] = 255
    masks = method._masks(data)
    assert torch.equal(masks, torch.where(data.label == 255, 0, data.label))


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("variant", ["default", "simclr", "no_mask_channel"])
def test_contrast_reaches_the_patch_encoder_and_its_head_alone(dims: int, variant: str) -> None:
    method = make("contrast", dims, variant=variant)
    loss = method.training_step({"labelled": sample(dims)}, 0)["contrast"]
    assert torch.isfinite(loss)
    loss.backward()
    patches = method.modules["patch_network"]
    assert gradients(patches.encoder) > 0
    assert gradients(method.modules["projector"]) > 0
    assert gradients(patches.decoder) == 0
    assert gradients(method.modules["network"]) == gradients(method.modules["folds"]) == 0
    width = next(iter(patches.encoder.parameters())).shape[1]
    assert width == (1 if variant == "no_mask_channel" else 2)


def drawn(label: Tensor, organs: dict[int, Tensor]) -> Sample:
    """Slices (B, H, W) with labels as drawn; each organ has its own texture (H, W), and noise lies over all."""
    image = 0.1 * torch.randn(label.shape, generator=torch.Generator().manual_seed(0))
    for value, texture in organs.items():
        image = torch.where(label == value, image + texture, image)
    which = torch.arange(len(label))
    nowhere = torch.zeros(*label.shape, 2)
    return Sample(image.unsqueeze(1), label, nowhere, which, which, which / len(label), patient=which)


def unlike_organs() -> Sample:
    """An easy phantom: a bright disc, a striped bar and a dark diamond, each at places and sizes of its own."""
    rows, columns = torch.meshgrid(*[torch.arange(48.0)] * 2, indexing="ij")
    label = torch.zeros(4, 48, 48, dtype=torch.int64)
    for index in range(4):
        label[index, torch.hypot(rows - 12 - index, columns - 13 + index) < 8 - index / 2] = 1
        label[index, ((rows - 11 - index).abs() < 5) & ((columns - 35 + index).abs() < 8 + index / 2)] = 2
        label[index, (rows - 35 + index).abs() + (columns - 20 - 2 * index).abs() < 9 + index / 2] = 3
    textures = {1: torch.ones(48, 48), 2: 2 + 0.5 * torch.sin(2 * columns), 3: -1 + 0.5 * torch.sin(2 * rows)}
    return drawn(label, textures)


def mirror_twins() -> Sample:
    """Two squares, one brighter to the right, the other to the left: each is the other's mirror image."""
    label = torch.zeros(4, 48, 48, dtype=torch.int64)
    for index in range(4):
        label[index, 4 + 2 * index : 24 + 2 * index, 2:22] = 1
        label[index, 4 + 2 * index : 24 + 2 * index, 26:46] = 2
    across = torch.linspace(-1, 1, 20).repeat(48, 1)
    ramp = torch.zeros(48, 48)
    ramp[:, 2:22], ramp[:, 26:46] = across, -across
    return drawn(label, {1: ramp, 2: ramp})


def contrast_learnt(data: Sample, steps: int = 40, **options: Any) -> tuple[float, float]:
    """How far the contrast's loss came down with true masks: 0 where all vectors are alike, 1 where none is left.

    Of the mean of the first three steps and of the last ten. Every organ is in every image and all are drawn, so with C
    organs in N images vectors all alike have the loss ln(2NC − 1); organs told apart for certain leave ln(2N − 1).
    """
    assert data.label is not None
    images, organs = len(data.label), int(data.label.max())
    method = make("contrast", classes=organs + 1, patches=images * organs, **options)
    optimiser = torch.optim.AdamW([p for p in method.modules.parameters() if p.requires_grad], 5e-3)
    losses = []
    for step in range(steps):
        torch.manual_seed(step)
        loss = method.training_step({"labelled": data}, step)["contrast"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    alike, apart = math.log(2 * images * organs - 1), math.log(2 * images - 1)
    first, last = sum(losses[:3]) / 3, sum(losses[-10:]) / 10
    return (alike - first) / (alike - apart), (alike - last) / (alike - apart)


@pytest.mark.learns
@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_contrast_tells_unlike_organs_apart_whatever_the_views(norm: str) -> None:
    first, last = contrast_learnt(unlike_organs(), norm=norm)
    assert last > 0.8
    assert last > first + 0.25


@pytest.mark.learns
@pytest.mark.parametrize("norm", ["instance", "batch"])
@pytest.mark.parametrize(("flip_axes", "told_apart"), [((), True), ((0,), True), ((0, 1), False)])
def test_organs_that_mirror_each_other_are_told_apart_where_the_suite_leaves_their_sides_alone(
    norm: str, flip_axes: tuple[int, ...], told_apart: bool
) -> None:
    learnt = contrast_learnt(mirror_twins(), norm=norm, flip_axes=flip_axes)[1]
    assert learnt > 0.8 if told_apart else learnt < 0.2
    if not told_apart:
        assert contrast_learnt(mirror_twins(), norm=norm, flip_axes=flip_axes, mirror=False)[1] > 0.8


@pytest.mark.parametrize(("ways", "moved"), [("moved", True), ("empty", False)])
def test_one_organ_is_told_from_background_by_more_than_its_mask(ways: str, moved: bool) -> None:
    method = make("contrast", classes=2, background_mask=ways)
    views: list[Tensor] = []
    method.modules["patch_network"].encoder[0].register_forward_pre_hook(lambda module, inputs: views.append(*inputs))
    assert torch.isfinite(method.training_step({"labelled": sample(classes=2)}, 0)["contrast"])
    (view, _) = views[0].split(8)
    organ, background = view.split(4)
    assert float(organ[:, 1].mean()) > 0.2
    assert (float(background[:, 1].mean()) > 0.2) == moved
    assert background[:, 1].any() == moved
    assert float(organ[:, 0].mean()) > 0.5 + float(background[:, 0].mean())


def test_rows_that_skip_a_stage_change_nothing_in_it() -> None:
    data = {"labelled": sample()}
    for variant, stage, name in (
        ("random_init", "contrast", "contrast"),
        ("coarse_only", "contrast", "contrast"),
        ("coarse_only", "train", "segmentation"),
    ):
        method = make(stage, variant=variant)
        loss = method.training_step(data, 0)[name]
        loss.backward()
        assert float(loss.detach()) == 0
        assert gradients(method.modules) == 0
    assert float(make("train", variant="random_init").training_step(data, 0)["segmentation"].detach()) > 0


def test_batches_without_an_organ_cost_nothing() -> None:
    empty = sample()
    assert empty.label is not None
    empty = replace(empty, label=torch.zeros_like(empty.label))
    for stage in ("contrast", "train"):
        terms = make(stage).training_step({"labelled": empty}, 0)
        loss = sum(terms.values())
        loss.backward()  # type: ignore[union-attr]
        assert float(loss.detach()) == 0  # type: ignore[union-attr]


@pytest.mark.parametrize("dims", [2, 3])
def test_segmentation_trains_the_patch_network_and_keeps_a_frozen_encoder(dims: int) -> None:
    for encoder in ("fine-tuned", "frozen"):
        method = make("train", dims, encoder=encoder)
        method.training_step({"labelled": sample(dims)}, 0)["segmentation"].backward()
        patches = method.modules["patch_network"]
        assert gradients(patches.decoder) > 0
        assert (gradients(patches.encoder) > 0) == (encoder == "fine-tuned")
        assert gradients(method.modules["network"]) == gradients(method.modules["folds"]) == 0


class Told(nn.Module):
    """A coarse network that reads the labels off the image, which holds them."""

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.one_hot(images[:, 0].round().long(), 3).movedim(-1, 1).float()


class Believing(nn.Module):
    """A patch network that repeats the mask it is given."""

    def forward(self, patches: Tensor) -> Tensor:
        certainty = 10 * (patches[:, 1:] - 0.5)
        return torch.cat([-certainty, certainty], dim=1)


@pytest.mark.parametrize("dims", [2, 3])
def test_patches_come_back_where_they_were_cut_out(dims: int) -> None:
    method = make("train", dims, patch_size=[48] * dims, patches=3)
    method.modules["network"], method.modules["patch_network"] = Told(), Believing()
    label = sample(dims).label
    assert label is not None
    label[3] = 0
    logits = method.predict(label.float().unsqueeze(1))
    assert logits.shape == (4, 3, *label.shape[1:])
    assert torch.equal(logits.argmax(1), label)
    torch.testing.assert_close(logits[3, 0].exp(), torch.ones_like(logits[3, 0]))
    coarse = make("train", dims, variant="coarse_only")
    coarse.modules["network"] = Told()
    assert torch.equal(coarse.predict(label.float().unsqueeze(1)), Told()(label.float().unsqueeze(1)))


class Sure(nn.Module):
    """A coarse network with the same probabilities everywhere."""

    def __init__(self, *probabilities: float) -> None:
        super().__init__()
        self.probabilities = torch.tensor(probabilities)

    def forward(self, images: Tensor) -> Tensor:
        shape = [1, -1, *[1] * (images.ndim - 2)]
        return self.probabilities.log().reshape(shape).expand(len(images), -1, *images.shape[2:])


def test_coarse_masks_of_new_patients_are_of_all_networks_that_were_trained() -> None:
    images = sample().image
    for seen, variant, expected in (
        ([4, 4], "coarse_ensemble", (0.3, 0.3, 0.4)),
        ([4, 0], "coarse_ensemble", (0.45, 0.35, 0.2)),
        ([0, 0], "coarse_ensemble", (0.8, 0.1, 0.1)),
        ([4, 4], "coarse_only", (0.8, 0.1, 0.1)),
    ):
        method = make("train", variant=variant)
        method.modules["network"] = Sure(0.8, 0.1, 0.1)
        method.modules["folds"][0] = Sure(0.1, 0.6, 0.3)
        method.modules["folds"][1] = Sure(1e-6, 0.2, 0.8)
        method.modules["folds"].seen.copy_(torch.tensor(seen))
        found = method.predict(images).softmax(1)[0, :, 0, 0]
        torch.testing.assert_close(found, torch.tensor(expected), atol=1e-4, rtol=0)
    with pytest.raises(SuiteError, match="ensemble, network"):
        make("train", coarse_at_test="all")


def test_where_patches_overlap_the_likeliest_organ_wins() -> None:
    class Larger(nn.Module):
        """Every patch is its organ throughout; the larger the mask, the surer."""

        def forward(self, patches: Tensor) -> Tensor:
            certainty = patches[:, 1:].mean((2, 3), keepdim=True).expand_as(patches[:, 1:])
            return torch.cat([-certainty, certainty], dim=1)

    method = make("train", margin=0.0, minimum_side=1)
    method.modules["network"], method.modules["patch_network"] = Told(), Larger()
    label = torch.zeros(1, 40, 40, dtype=torch.int64)
    label[0, 5:25, 5:25] = 1
    label[0, 15:25, 15:35] = 2
    found = method.predict(label.float().unsqueeze(1)).argmax(1)[0]
    # The box of 1 holds a quarter of 2; 2 fills its own box and wins where they meet.
    assert set(found[15:25, 15:35].unique().tolist()) == {2}
    assert set(found[5:15, 5:15].unique().tolist()) == {1}
    assert set(found[30:].unique().tolist()) == {0}


def test_organs_are_drawn_alike_however_often_they_are_there() -> None:
    torch.manual_seed(0)
    present = torch.zeros(40, 2, dtype=torch.bool)
    present[:, 0] = True
    present[:8, 1] = True
    rare = 0
    for _ in range(300):
        which, organ = balanced_choice(present, 4)
        assert len(which) == 4
        assert present[which, organ].all()
        assert len({*zip(which.tolist(), organ.tolist(), strict=True)}) == 4
        rare += int((organ == 1).sum())
    assert 0.4 < rare / 1200 < 0.55
    which, organ = balanced_choice(present[:2], 16)
    assert list(zip(which.tolist(), organ.tolist(), strict=True)) == [(0, 0), (0, 1), (1, 0), (1, 1)]


@pytest.mark.parametrize("dims", [2, 3])
def test_rotations_keep_lengths_and_the_slice_axis(dims: int) -> None:
    torch.manual_seed(0)
    turns = geometry.random_rotations(50, dims, 30.0, (0, 1))
    torch.testing.assert_close(turns @ turns.transpose(1, 2), torch.eye(dims).expand(50, -1, -1))
    assert {round(float(d)) for d in torch.linalg.det(turns)} == {-1, 1}
    plain = geometry.random_rotations(50, dims, 30.0)
    assert float(plain[:, -1, -1].min()) >= 0.866 - 1e-3
    for axis, other in ((-2, -1), (-1, -2)):
        one = geometry.random_rotations(50, dims, 30.0, [axis + 2])
        assert {round(float(value)) for value in one[:, axis, axis].sign()} == {-1, 1}
        assert (one[:, other, other] > 0).all()
    if dims == 3:
        assert (turns[:, 0, 0] == 1).all()
        assert not turns[:, 0, 1:].any()


def test_unknown_ways_list_the_known_ones() -> None:
    with pytest.raises(SuiteError, match="fine-tuned, frozen"):
        make("train", encoder="melted")


def test_patches_are_given_by_a_side_or_by_one_per_axis() -> None:
    batch = {"labelled": sample()}
    losses = []
    for sides in (32, [32, 32]):
        method = make("contrast", patch_size=sides)
        torch.manual_seed(1)
        losses.append(method.training_step(batch, 0)["contrast"].item())
    assert losses[0] == losses[1]
    with pytest.raises(SuiteError, match="patch_size of semantic_aware"):
        make("contrast", patch_size=[32, 32, 32])
