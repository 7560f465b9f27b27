"""GLCL: which slices and regions are positives and negatives, and what each stage trains and hands on."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from contrastseg.errors import SuiteError
from contrastseg.methods import registry
from contrastseg.methods.contract import Circumstances, Task
from contrastseg.methods.glcl import regions
from contrastseg.networks.features import FeatureNetwork
from contrastseg.training import assembly, checkpoints
from tests.learning import falls
from tests.methods.pretraining_cases import make, step_once, view, views

VOLUMES = Circumstances(2, 0.1, True, 3)


def slow_global(projections: torch.Tensor, partition: list[int], strategy: str, temperature: float) -> float:
    count = len(projections)
    unit = F.normalize(projections.double(), dim=1)
    s = (unit @ unit.T / temperature).tolist()
    losses = []
    for i in range(count):
        partner = (i + count // 2) % count
        same = [j for j in range(count) if j != i and partition[j] == partition[i]]
        others = [j for j in range(count) if partition[j] != partition[i]]
        if strategy == "gr":
            others = [j for j in range(count) if j not in (i, partner)]
        positives = same if strategy == "gd" else [partner]
        pairs = [-s[i][p] + math.log(math.exp(s[i][p]) + sum(math.exp(s[i][n]) for n in others)) for p in positives]
        losses.append(sum(pairs) / len(pairs))
    return sum(losses) / count


@pytest.mark.parametrize("strategy", ["gr", "gd_minus", "gd"])
def test_the_global_loss_equals_a_loop_over_pairs(strategy: str) -> None:
    variant = "default" if strategy == "gd" else strategy
    method, batch = make("glcl", "global", variant=variant), views(batch=6)
    position = torch.tensor([0.0, 0.2, 0.3, 0.74, 0.75, 1.0])
    for sample in batch.values():
        sample.position = position
    seen: list[torch.Tensor] = []
    method.modules["head"].register_forward_hook(lambda module, inputs, output: seen.append(output.detach()))
    loss = float(method.training_step(batch, 0)["global"].detach())
    assert loss == pytest.approx(slow_global(seen[0], [0, 0, 1, 2, 3, 3] * 2, strategy, 0.1), rel=1e-5)


def test_slices_of_one_partition_alone_cost_nothing_where_they_are_no_negatives() -> None:
    method, batch = make("glcl", "global"), views()
    for sample in batch.values():
        sample.position = torch.zeros(4)
    loss = method.training_step(batch, 0)["global"]
    loss.backward()
    assert float(loss.detach()) == 0
    assert torch.isfinite(method.modules["network"].encoder[0][0].weight.grad).all()


def test_an_unknown_strategy_lists_the_known_ones() -> None:
    with pytest.raises(SuiteError, match="gd_minus"):
        make("glcl", "global", global_strategy="gx").training_step(views(), 0)


@pytest.mark.parametrize(("shape", "size"), [((7, 9), 3), ((4, 4), 1), ((4, 5, 6), 2)])
def test_regions_tile_the_map(shape: tuple[int, ...], size: int) -> None:
    features = torch.randn(2, 3, *shape)
    ours = regions(features, size)
    corners = torch.cartesian_prod(*[torch.arange(0, n - size + 1, size) for n in shape])
    assert ours.shape == (2, len(corners), 3 * size ** len(shape))
    for index, corner in enumerate(corners.tolist()):
        where: Any = (slice(None), slice(None), *[slice(c, c + size) for c in corner])
        assert torch.equal(ours[:, index], features[where].flatten(1))


def test_a_map_too_small_for_regions_says_so() -> None:
    with pytest.raises(SuiteError, match="region_size"):
        regions(torch.randn(1, 2, 5, 5), 3)
    with pytest.raises(SuiteError, match="region_size"):
        regions(torch.randn(1, 2, 2, 5), 3)


def test_the_local_stage_trains_the_decoder_blocks_it_uses_and_not_the_encoder() -> None:
    method, batch = make("glcl", "local", decoder_blocks=2), views()
    method.training_step(batch, 0)["local"].backward()
    network = method.modules["network"]
    assert all(p.grad is None for p in network.encoder.parameters())
    # The U-Net's decoder holds the finest block first: its two coarsest are used.
    assert [any(p.grad is not None for p in block.parameters()) for block in network.decoder] == [False] * 2 + [
        True
    ] * 2
    free = make("glcl", "local", freeze_encoder=False)
    free.training_step(batch, 0)["local"].backward()
    assert all(p.grad is not None for p in free.modules["network"].encoder.parameters())
    with pytest.raises(SuiteError, match="4 decoder blocks"):
        make("glcl", "local", decoder_blocks=5)


@pytest.mark.learns
@pytest.mark.parametrize("stage", ["global", "local"])
def test_gradient_descent_lowers_the_loss_of_a_fixed_batch(stage: str) -> None:
    method, batch = make("glcl", stage), views()
    assert falls([step_once(method, batch, step, rate=0.02) for step in range(100)])


def test_it_applies_to_slices_of_volumes_alone() -> None:
    glcl = registry.get("glcl")
    assert glcl.applies_to(VOLUMES) is None
    assert "volume" in str(glcl.applies_to(Circumstances(2, 0.1, False, 3)))
    assert "3D" in str(glcl.applies_to(Circumstances(3, 0.1, True, 3)))


def test_encoder_and_decoder_go_from_stage_to_stage(phantoms: dict[int, Any], tmp_path: Any) -> None:
    config = phantoms[2].config("glcl")
    state: dict[str, torch.Tensor] = {}
    initial: dict[str, str] = {}
    for stage in registry.get("glcl").stages:
        method = assembly.build_method(config.model_copy(update={"stage": stage.name}), 1, 3)
        taken = assembly.load_initial_weights(
            method, config.model_copy(update={"stage": stage.name, "initial": initial})
        )
        parts = [] if stage.name == "global" else ["network.encoder"]
        parts += ["network.decoder", "network.up"] if stage.name == "train" else []
        assert list(taken) == parts
        for key, value in method.modules.state_dict().items():
            if key.startswith(tuple(f"{part}." for part in parts)):
                assert torch.equal(value, state[key])
        with torch.no_grad():
            for parameter in method.modules.parameters():
                parameter.add_(0.5)
        state = method.modules.state_dict()
        path = tmp_path / f"{stage.name}.ckpt"
        checkpoints.save(path, {"modules": state, "config": {}})
        initial[stage.name] = str(path)


class NoDecoder(FeatureNetwork):
    """A network that names its maps as others do and its parts otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Conv2d(1, 4, 3, 2, 1)
        self.tail = nn.ConvTranspose2d(4, 3, 2, 2)
        self.strides = {"encoder0": (2, 2), "decoder0": (1, 1)}
        self.channels = {"encoder0": 4, "decoder0": 3}


@pytest.mark.parametrize("stage", ["local", "train"])
def test_a_network_without_a_decoder_to_hand_on_is_an_error_with_the_reason(stage: str) -> None:
    glcl = registry.get("glcl")
    method = glcl(Task(2, 1, 3, 100, stage, NoDecoder), glcl.resolve("default", {"decoder_blocks": 1}))
    with pytest.raises(SuiteError, match=r"no part 'network\.decoder'"):
        method.build()


def test_the_train_stage_is_supervised() -> None:
    batch = {"labelled": view(label=True)}
    ours, theirs = (make(name, "train").training_step(batch, 0)["segmentation"] for name in ("glcl", "supervised"))
    assert torch.equal(ours, theirs)
