"""Weights of elsewhere: what is loaded, what is refused, and that an encoder comes back as it was."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from contrastseg.errors import CheckpointError, SuiteError
from contrastseg.networks import registry
from contrastseg.networks.features import FeatureNetwork
from contrastseg.networks.weight_files import load_weights, read_weights, write_encoder
from contrastseg.networks.weight_settings import weight_file

UNET = {"name": "unet", "channels": [4, 8, 8], "norm": "batch"}
MONAI = {"name": "monai", "model": "BasicUNet", "features": [4, 4, 8, 8, 16, 4]}


def built(settings: dict[str, Any], seed: int, num_classes: int = 3) -> FeatureNetwork:
    torch.manual_seed(seed)
    network = registry.build(settings, spatial_dims=2, in_channels=1, num_classes=num_classes)
    with torch.no_grad():  # so that running statistics differ, too
        network.train()(torch.randn(4, 1, 32, 32))
    return network


def images() -> torch.Tensor:
    return torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))


class Code:
    """Runs when it is unpickled."""

    def __reduce__(self) -> Any:
        return (Path.touch, (Path("executed"),))


@pytest.mark.parametrize("settings", [UNET, MONAI], ids=lambda settings: settings["name"])
def test_an_encoder_that_is_written_and_read_makes_the_same_maps_to_the_bit(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    one, two = built(settings, 0).eval(), built(settings, 1).eval()
    names = write_encoder(one, tmp_path / "encoder.safetensors", {"contrastseg": "{}"})
    assert len(names) == len(one.encoder.state_dict())
    state, described = read_weights(tmp_path / "encoder.safetensors")
    assert described == {"contrastseg": "{}"}
    assert not torch.equal(one.encode(images())["encoder0"], two.encode(images())["encoder0"])
    loaded = load_weights(two, state, "encoder.safetensors")
    assert loaded.encoder_share == 1
    assert (loaded.missing, loaded.skipped) == ((), ())
    for key, value in one.encode(images()).items():
        assert torch.equal(value, two.encode(images())[key]), key


def test_the_file_of_another_packages_network_is_loaded_by_its_own_names(tmp_path: Path) -> None:
    from monai.networks.nets import BasicUNet

    theirs = BasicUNet(spatial_dims=2, in_channels=1, out_channels=3, features=(4, 4, 8, 8, 16, 4)).eval()
    torch.save(
        {"epoch": 3, "state_dict": {f"module.{k}": v for k, v in theirs.state_dict().items()}}, tmp_path / "a.pt"
    )
    network = built(MONAI, 1).eval()
    loaded = load_weights(network, read_weights(tmp_path / "a.pt")[0], "a.pt")
    assert loaded.encoder_share == 1
    assert loaded.skipped == ()
    assert torch.equal(theirs(images()), network(images())), "the whole network was in the file"


def test_a_head_of_other_classes_stays_and_is_reported() -> None:
    source, network = built(UNET, 0, num_classes=5), built(UNET, 1)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    loaded = load_weights(network, source.state_dict(), "a.pt")
    assert {name.partition(".")[0] for name in loaded.skipped} == {"head"}
    after = network.state_dict()
    assert all(torch.equal(after[key], before[key]) == key.startswith("head.") for key in after if after[key].ndim > 1)


def test_a_stated_prefix_is_taken_as_it_is() -> None:
    source = built(UNET, 0)
    both = {f"{name}.{key}": value for name in ("teacher", "student") for key, value in source.state_dict().items()}
    loaded = load_weights(built(UNET, 1), both, "a.pt", prefix="student.")
    assert all(name.startswith("teacher.") for name in loaded.skipped)
    with pytest.raises(CheckpointError, match="0 of the encoder's"):
        load_weights(built(UNET, 1), both, "a.pt", prefix="nobody.")


def test_too_few_tensors_are_refused_with_their_names_and_nothing_is_loaded() -> None:
    network = built(UNET, 1)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    state = built(UNET, 0).state_dict()
    encoder = [key for key, value in state.items() if key.startswith("encoder.") and value.is_floating_point()]
    enough = -(-len(encoder) * 8 // 10)
    for count, refused in ((enough - 1, True), (enough, False)):
        part = {key: state[key] for key in encoder[:count]}
        if refused:
            with pytest.raises(CheckpointError, match="under 80%") as caught:
                load_weights(network, part, "a.pt")
            assert encoder[-1] in str(caught.value)
            assert caught.value.remedy is not None
            assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
        else:
            assert load_weights(network, part, "a.pt").missing == tuple(encoder[count:])


def test_other_shapes_are_refused() -> None:
    state = built({**UNET, "channels": [6, 8, 8]}, 0).state_dict()
    with pytest.raises(CheckpointError, match="missing or of another shape"):
        load_weights(built(UNET, 1), state, "a.pt")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(value: float) -> None:
    state = built(UNET, 0).state_dict()
    next(iter(state.values()))[0] = value
    with pytest.raises(CheckpointError, match="not finite"):
        load_weights(built(UNET, 1), state, "a.pt")


def test_bad_files_are_errors_that_say_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    state = {"a.weight": torch.randn(64, 64)}
    torch.save(state, "whole.pt")
    save_file(state, "whole.safetensors")
    for suffix in ("pt", "safetensors"):
        content = Path(f"whole.{suffix}").read_bytes()
        Path(f"cut.{suffix}").write_bytes(content[: len(content) // 2])
        Path(f"empty.{suffix}").touch()
        Path(f"text.{suffix}").write_text("<html>not found</html>", encoding="utf-8")
    flipped = bytearray(Path("whole.pt").read_bytes())
    flipped[len(flipped) // 2] ^= 1
    Path("flipped.pt").write_bytes(flipped)
    torch.save({"model": Code()}, "code.pt")
    Path("code.pkl").write_bytes(pickle.dumps(Code()))
    torch.save([1, 2], "list.pt")
    torch.save({"state_dict": {"a": 1}}, "no_tensors.pt")
    bad = [path for path in sorted(tmp_path.iterdir()) if not path.stem.startswith("whole")]
    assert len(bad) == 11
    for path in [*bad, Path("nowhere.pt")]:
        with pytest.raises(CheckpointError) as caught:
            read_weights(path)
        assert caught.value.remedy, path
        assert caught.value.file == path
    assert not Path("executed").exists(), "code in a file was run"
    for path in tmp_path.glob("whole.*"):
        assert torch.equal(read_weights(path)[0]["a.weight"], state["a.weight"])


@pytest.mark.parametrize(
    "settings",
    [
        {"weights": "a.pt", "weights_map": "first"},
        {"weights": "a.pt", "weights_map": {"suffix": "a"}},
        {"weights": "a.pt", "weights_from": {"sauce": "a"}},
        {"weights": "a.pt", "weights_from": {"test_cases": "none"}},
        {"weights": "none", "weights_map": "auto"},
        {"weights_from": {"source": "a"}},
    ],
)
def test_settings_that_say_nothing_known_are_refused_when_planning(settings: dict[str, Any]) -> None:
    with pytest.raises(SuiteError) as caught:
        registry.check({"name": "unet", **settings})
    assert caught.value.remedy is not None or "there are" in caught.value.reason


def test_every_network_takes_a_file_and_those_with_weights_of_their_own_keep_them() -> None:
    for name in registry.names():
        needed = {"monai": {"model": "UNet"}, "smp": {"architecture": "FPN"}}.get(name, {})
        assert registry.check({"name": name, **needed, "weights": "a.pt", "weights_map": {"prefix": "x."}}) == name
    assert weight_file({"name": "resnet_unet", "weights": "imagenet"}) == (
        {"name": "resnet_unet", "weights": "imagenet"},
        None,
    )
