"""What single methods promise beyond the contract."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from contrastseg.errors import CheckpointError, SuiteError
from contrastseg.methods import registry
from contrastseg.methods.contract import InitialWeights, Method, Stage, View
from contrastseg.training import assembly
from tests.methods.made_up import make, sample


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("variant", ["default", "rf", "swapped_sign"])
def test_pdcr_adds_three_terms_that_reach_encoder_and_decoder(dims: int, variant: str) -> None:
    method = make("pdcr", dims, variant)
    terms = method.training_step({"labelled": sample(dims)}, 0)
    assert list(terms) == ["segmentation", "pdcr_encoder", "pdcr_decoder", "pdcr_cross"]
    for name in ("pdcr_encoder", "pdcr_decoder", "pdcr_cross"):
        assert torch.isfinite(terms[name])
    network = method.modules["network"]
    gradient = torch.autograd.grad(terms["pdcr_encoder"], network.encoder[0][0].weight, retain_graph=True)[0]
    assert float(gradient.abs().sum()) > 0
    gradient = torch.autograd.grad(terms["pdcr_decoder"], network.up[2].weight, retain_graph=True)[0]
    assert float(gradient.abs().sum()) > 0
    gradient = torch.autograd.grad(terms["pdcr_cross"], method.modules["fine_adapter"][0].weight)[0]
    assert float(gradient.abs().sum()) > 0


def test_pdcr_without_weights_is_supervised() -> None:
    free = make("pdcr", encoder_weight=0.0, decoder_weight=0.0, cross_weight=0.0)
    plain = make("supervised")
    ours = sum(free.training_step({"labelled": sample()}, 0).values())
    theirs = sum(plain.training_step({"labelled": sample()}, 0).values())
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_pdcr_counts_pixels_in_full_precision_whatever_the_network_computes_in(precision: torch.dtype) -> None:
    method, batch = make("pdcr", 3, "rf"), sample(3)
    assert batch.label is not None
    features = {name: value.to(precision) for name, value in method.modules["network"].features(batch.image).items()}
    with torch.autocast("cpu", precision):
        mixed = method.regularisation(features, batch.label)  # type: ignore[attr-defined]
    full = method.regularisation({name: value.float() for name, value in features.items()}, batch.label)  # type: ignore[attr-defined]
    for name in full:
        torch.testing.assert_close(mixed[name], full[name], rtol=1e-5, atol=1e-7)


def test_pdcr_names_the_strides_there_are() -> None:
    with pytest.raises(SuiteError, match=r"no encoder map of stride 8; there are: \[1, 2, 4\]"):
        make("pdcr", levels=3, decoder_strides=(2, 1))
    with pytest.raises(SuiteError, match=r"no decoder map of stride 4; there are: \[1, 2\]"):
        make("pdcr", levels=3, encoder_strides=(2, 4))
    with pytest.raises(SuiteError, match="hierarchical"):
        make("pdcr", patches="round").training_step({"labelled": sample()}, 0)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize(
    "settings",
    [
        {"average": "shares"},
        {"objective": "l1"},
        {"objective": "l2", "reduction": "sum"},
        {"affinity": "dice"},
        {"cross_stride": 8, "cross_width": 3},
    ],
)
def test_pdcrs_settings_change_its_terms(dims: int, settings: dict[str, Any]) -> None:
    batch = {"labelled": sample(dims)}
    plain = make("pdcr", dims).training_step(batch, 0)
    terms = make("pdcr", dims, **settings).training_step(batch, 0)
    changed = {name for name in terms if float((terms[name] - plain[name]).detach().abs()) > 1e-6}
    expected = {"pdcr_cross"} if "cross_stride" in settings else {"pdcr_encoder", "pdcr_decoder", "pdcr_cross"}
    assert changed == expected
    sum(terms.values()).backward()


@pytest.mark.parametrize("dims", [2, 3])
def test_pdcrs_sum_is_over_images_pairs_and_layers(dims: int) -> None:
    batch = {"labelled": sample(dims)}
    asked = {"encoder_points": (8, 8), "decoder_points": (8, 8), "cross_points": 8}
    mean, whole = (make("pdcr", dims, **asked, reduction=name).training_step(batch, 0) for name in ("mean", "sum"))
    pairs = 2 * 8 * 8
    for name, terms in (("pdcr_encoder", 2), ("pdcr_decoder", 2), ("pdcr_cross", 1)):
        assert float(whole[name].detach()) == pytest.approx(terms * pairs * float(mean[name].detach()), rel=1e-4)


@pytest.mark.parametrize(("guard", "factor"), [("divide", 0.001), ("drop", 0.0)])
def test_pdcrs_guard_is_of_each_layer_and_patch_size(guard: str, factor: float) -> None:
    asked: dict[str, Any] = {"encoder_points": (16, 4), "reduction": "sum"}
    batch = sample()
    assert batch.label is not None

    def terms(**settings: Any) -> dict[str, float]:
        method = make("pdcr", **asked, **settings)
        features = method.modules["network"].features(batch.image)
        return {n: float(v) for n, v in method.regularisation(features, batch.label).items()}  # type: ignore[attr-defined]

    layers = {}
    for size in (5, 7, 9):
        method = make("pdcr", **asked, patch_sizes=(size,))
        network, label = method.modules["network"], batch.label
        features = network.features(batch.image)
        for name, stride, points in (("encoder2", (4, 4), 16), ("encoder3", (8, 8), 4)):
            term = method._term(features[name], features[name], stride, points, label, 1.0)  # type: ignore[attr-defined]
            layers[name, size] = float(term)
    weight = 100 / 200
    assert all(layers["encoder2", size] > 200 and layers["encoder3", size] < 200 for size in (5, 7, 9))
    expected = weight * sum((factor if value > 200 else 1.0) * value for value in layers.values()) / 3
    assert terms(encoder_weight=weight, guard=guard)["pdcr_encoder"] == pytest.approx(expected, rel=1e-5)
    # The limit is of the weighted value.
    unguarded, guarded = (terms(encoder_weight=0.01, guard=name)["pdcr_encoder"] for name in ("none", guard))
    assert guarded == pytest.approx(unguarded, rel=1e-6)


@pytest.mark.parametrize("dims", [2, 3])
def test_pdcr_reads_named_maps_and_crosses_as_released(dims: int) -> None:
    named = make("pdcr", dims, encoder_maps=["encoder2", "encoder3"], decoder_maps=["decoder2", "decoder3"])
    by_stride = make("pdcr", dims)
    for name, term in by_stride.training_step({"labelled": sample(dims)}, 0).items():
        assert torch.equal(term, named.training_step({"labelled": sample(dims)}, 0)[name])
    convolution, norm, _ = by_stride.modules["fine_adapter"]
    assert convolution.kernel_size == ((3, 3) if dims == 2 else (1, 1, 1))
    assert (convolution.bias is None) == (dims == 2)
    assert isinstance(norm, torch.nn.BatchNorm2d if dims == 2 else torch.nn.BatchNorm3d)
    released = make("pdcr", dims, encoder_maps=["encoder1", "encoder2"], cross_stride=16, cross_width=32)
    for name, side in (("fine_adapter", 8), ("coarse_adapter", 4)):
        convolution = released.modules[name][0]
        assert convolution.kernel_size == convolution.stride == (side,) * dims
        assert convolution.padding == (0,) * dims
        assert convolution.out_channels == 32


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"encoder_maps": ["encoder2", "encoder9"]}, "pdcr: unknown feature map 'encoder9'; there are: decoder0"),
        ({"encoder_maps": "encoder2"}, "encoder_maps is 'encoder2'"),
        ({"decoder_maps": ["decoder0"]}, "1 decoder maps have 2 numbers of points"),
        ({"encoder_maps": ["encoder2"], "encoder_points": (4,)}, "between two encoder maps"),
        ({"cross_stride": 4}, "does not divide the cross-layer term's"),
        ({"affinity": "dice", "average": "shares"}, "no shares to average"),
        ({"affinity": "iou"}, "affinity of pdcr 'iou'; there are: dice, shares"),
        ({"objective": "l3"}, "objective of pdcr 'l3'; there are: dragsaw, l1, l2"),
        ({"reduction": "max"}, "reduction of pdcr 'max'; there are: mean, sum"),
        ({"average": "features"}, "average of pdcr 'features'; there are: loss, shares"),
    ],
)
def test_pdcr_refuses_what_it_cannot_do(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SuiteError, match=message):
        make("pdcr", **settings)


def test_receptive_fields_have_the_released_sizes() -> None:
    method = make("pdcr", 3, "rf")
    assert method._sizes((4, 4, 4)) == [(23, 23, 23)]  # type: ignore[attr-defined]
    assert method._sizes((8, 8, 8)) == [(47, 47, 47)]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("dims", "expected"),
    [
        (2, [f"encoder{level}" for level in range(5)] + ["decoder1", "decoder0"]),
        (3, ["decoder3", "decoder2", "decoder1", "decoder0"]),
    ],
)
def test_uafr_sits_where_the_paper_puts_it(dims: int, expected: list[str]) -> None:
    for name in ("uafr", "pdcr_uafr"):
        assert list(make(name, dims).modules["network"].attachments) == expected
    chosen = make("uafr", dims, encoder_sites=1, decoder_sites=0)
    assert list(chosen.modules["network"].attachments) == ["encoder4"]


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", ["uafr", "pdcr_uafr"])
def test_uafr_sits_at_named_maps_in_the_networks_order(name: str, dims: int) -> None:
    method = make(name, dims, sites=["decoder2", "encoder1"], dropout=0.2, kernel=1)
    blocks = method.modules["network"].attachments
    assert list(blocks) == ["encoder1", "decoder2"]
    assert {block.head[0].kernel_size for block in blocks.values()} == {(1,) * dims}
    # As released: dropout outside the encoder alone.
    shares = [[m.p for m in block.modules() if isinstance(m, torch.nn.Dropout)] for block in blocks.values()]
    assert shares == [[], [0.2]]
    terms = method.training_step({"labelled": sample(dims)}, 0)
    assert all(torch.isfinite(term) for term in terms.values())


def test_uafr_names_the_maps_there_are() -> None:
    with pytest.raises(SuiteError, match=r"unknown feature map 'low_level'; there are: decoder0"):
        make("uafr", sites=["encoder1", "low_level"])
    with pytest.raises(SuiteError, match="sites is 'encoder1'"):
        make("uafr", sites="encoder1")
    with pytest.raises(SuiteError, match="norm of uafr 'group'; there are: batch, instance"):
        make("uafr", norm="group")
    with pytest.raises(SuiteError, match="norm of pdcr_uafr 'group'"):
        make("pdcr_uafr", norm="group")


def test_teacher_is_the_average_of_the_student_and_gets_no_gradient() -> None:
    method = make("mean_teacher")
    student, teacher = method.modules["network"], method.modules["teacher"]
    assert not any(p.requires_grad for p in teacher.parameters())
    before = teacher.head.weight.clone()
    with torch.no_grad():
        student.head.weight.add_(1.0)
    method.after_step(1)
    torch.testing.assert_close(teacher.head.weight, 0.5 * before + 0.5 * student.head.weight)
    method.after_step(10_000)
    expected = 0.99 * (0.5 * before + 0.5 * student.head.weight) + 0.01 * student.head.weight
    torch.testing.assert_close(teacher.head.weight, expected)


def test_consistency_weight_follows_the_ramp_and_prediction_the_setting() -> None:
    method = make("mean_teacher")
    batch = {"labelled": sample(), "student": sample(), "teacher": sample()}
    batch["teacher"].image = batch["teacher"].image + 1
    ends = (0, method.task.steps)
    early, late = (float(method.training_step(batch, step)["consistency"].detach()) for step in ends)
    assert early == pytest.approx(late * 0.006737947, rel=1e-4)
    with torch.no_grad():
        method.modules["teacher"].head.bias.add_(1.0)
    assert torch.equal(method.predict(batch["labelled"].image), method.modules["network"](batch["labelled"].image))
    other = make("mean_teacher", predict_with="teacher")
    assert torch.equal(other.predict(batch["labelled"].image), other.modules["teacher"](batch["labelled"].image))


class TwoStages(Method):
    """Hands an encoder from one stage to the next."""

    name = "two_stages"
    card = registry.get("supervised").card
    stages = (
        Stage("warm", {"images": View("unlabelled")}),
        Stage("train", {"labelled": View("labelled")}, init_from=(InitialWeights("warm", ("network.encoder",)),)),
    )


def test_weights_taken_over_are_the_saved_ones_and_not_the_initial_ones(
    phantoms: dict[int, Any], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from contrastseg.training import checkpoints

    config = phantoms[2].config("supervised").model_copy(update={"method": "two_stages"})
    monkeypatch.setattr(registry, "get", lambda name: TwoStages)
    first = assembly.build_method(config.model_copy(update={"stage": "warm"}), 3, 2)
    with torch.no_grad():
        for parameter in first.modules.parameters():
            parameter.add_(0.5)
    path = tmp_path / "warm.ckpt"
    checkpoints.save(path, {"modules": first.modules.state_dict(), "config": {}})
    second = assembly.build_method(config, 3, 2)
    initial = {name: value.clone() for name, value in second.modules.state_dict().items()}
    with pytest.raises(CheckpointError, match="--initial"):
        assembly.load_initial_weights(second, config)
    taken = assembly.load_initial_weights(second, config.model_copy(update={"initial": {"warm": str(path)}}))
    assert list(taken) == ["network.encoder"]
    for name, value in second.modules.state_dict().items():
        if name.startswith("network.encoder"):
            assert torch.equal(value, first.modules.state_dict()[name])
            assert not torch.equal(value, initial[name])
        else:
            assert torch.equal(value, initial[name])
    other = phantoms[2].config("supervised", training={"network": {"channels": [6, 8]}})
    narrow = assembly.build_method(other.model_copy(update={"method": "two_stages"}), 3, 2)
    with pytest.raises(CheckpointError, match="do not fit"):
        assembly.load_initial_weights(
            narrow, other.model_copy(update={"method": "two_stages", "initial": {"warm": str(path)}})
        )


@pytest.mark.parametrize(
    ("method", "setting", "value"),
    [
        ("cps", "cross_weight", "0.1"),
        ("cps", "cross_weight", True),
        ("ideal", "negatives", "queue"),
        ("semantic_aware", "mirror", 1),
        ("mean_teacher", "consistency_weight", None),
    ],
)
def test_a_value_of_another_kind_is_refused_before_anything_is_planned(method: str, setting: str, value: Any) -> None:
    chosen = registry.get(method)
    with pytest.raises(SuiteError, match=f"{setting} of {method} is"):
        chosen.resolve(overrides={setting: value})
