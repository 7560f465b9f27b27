"""The networks with a ResNet encoder, and the torchvision they stand on."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import torch

from contrastseg.errors import SuiteError
from contrastseg.networks import registry
from tests.workflow.warm import planner

ROOT = Path(__file__).resolve().parents[2]
NAMES = ["deeplabv3plus", "resnet_unet"]


def run(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A program of its own, torch behind it: what is imported once cannot be imported anew."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    command = [planner(), "-c", code]
    return subprocess.run(
        command, capture_output=True, text=True, env={**environment, **variables}, cwd=ROOT, check=False
    )


# A torchvision for another torch: its library is found and cannot be loaded.
WITHOUT = "import torch\ndef fail(path): raise OSError(path)\ntorch.ops.load_library = fail\n"
# One that brings its operators: here a stand-in of our own, so that the test runs beside any torch.
WITH = (
    "import torch\nlibrary = torch.library.Library('torchvision', 'FRAGMENT')\n"
    "for name in ('nms', 'qnms'):\n"
    "    if not hasattr(torch.ops.torchvision, name):\n"
    "        library.define(name + '(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')\n"
)
IMPORT = (
    "from contrastseg.networks._torchvision import has_stand_ins, import_torchvision\n"
    "module = import_torchvision()\nassert import_torchvision() is module\n"
    "import segmentation_models_pytorch, timm, torchvision\nassert torchvision is module\n"
    "print(has_stand_ins(), module.models.resnet18(num_classes=2).eval()(torch.zeros(1, 3, 32, 32)).shape)"
)


def test_torchvision_is_imported_as_it_is_where_its_operators_are_present() -> None:
    done = run(WITH + IMPORT)
    assert done.stdout.strip() == "False torch.Size([1, 2])", done.stderr


def test_torchvision_is_imported_where_its_operators_are_absent() -> None:
    suppression = "\ntorch.ops.torchvision.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)"
    done = run(WITHOUT + IMPORT + suppression)
    assert done.stdout.strip() == "True torch.Size([1, 2])", done.stderr
    assert done.returncode != 0
    assert "NotImplementedError" in done.stderr


def test_other_failures_of_torchvision_are_not_swallowed() -> None:
    code = "import sys\nsys.modules['torchvision'] = None\nfrom contrastseg.networks._torchvision import *\n"
    done = run(code + "import_torchvision()")
    assert done.returncode != 0
    assert "torchvision" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("name", NAMES)
def test_three_dimensions_are_refused_and_unknown_names_listed(name: str) -> None:
    def build(dims: int = 2, **options: object) -> object:
        return registry.build({"name": name, **options}, spatial_dims=dims, in_channels=1, num_classes=2)

    with pytest.raises(SuiteError, match="2D network") as caught:
        build(3)
    assert "vnet" in str(caught.value)
    with pytest.raises(SuiteError, match="resnet50"):
        build(encoder="resnet51")
    with pytest.raises(SuiteError, match="imagenet"):
        build(weights="imagnet")
    build(weights="./imagnet")  # a file, which training reads


def test_weights_that_cannot_be_had_are_a_typed_error_that_names_the_way_out(tmp_path: Path) -> None:
    code = (
        "from contrastseg.errors import TrainingError\nfrom contrastseg.networks import registry\n"
        "try:\n"
        "    registry.build({'name': 'deeplabv3plus', 'encoder': 'resnet18', 'weights': 'imagenet'},"
        " spatial_dims=2, in_channels=1, num_classes=2)\n"
        "except TrainingError as error:\n    print(error)"
    )
    done = run(code, HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path))
    assert "resnet18" in done.stdout, done.stderr
    assert "`weights: none`" in done.stdout


def test_the_default_encoder_is_a_resnet50() -> None:
    for name, divisor in (("deeplabv3plus", 16), ("resnet_unet", 32)):
        network = registry.build({"name": name}, spatial_dims=2, in_channels=3, num_classes=2)
        assert network.channels["encoder5"] == 2048
        assert network.divisor == (divisor, divisor)
        # torchvision's ResNet-50 has 25,557,032 weights, 2,049,000 of them in its classifier.
        assert sum(p.numel() for p in network.encoder.parameters()) == 25_557_032 - 2_049_000


def test_deeplabs_output_stride_and_the_smallest_batch_it_trains_on() -> None:
    fine = registry.build(
        {"name": "deeplabv3plus", "encoder": "resnet18", "output_stride": 8},
        spatial_dims=2,
        in_channels=1,
        num_classes=2,
    )
    assert fine.strides["encoder5"] == fine.strides["aspp"] == (8, 8)
    image = torch.randn(1, 1, 32, 32)
    with pytest.raises(SuiteError, match="batch_size"):
        fine(image)
    assert fine.eval()(image).shape == (1, 2, 32, 32)
    with pytest.raises(SuiteError, match="8 or 16"):
        registry.build({"name": "deeplabv3plus", "output_stride": 32}, spatial_dims=2, in_channels=1, num_classes=2)


def test_the_resnet_unet_has_five_decoder_levels() -> None:
    with pytest.raises(SuiteError, match="five levels"):
        registry.build({"name": "resnet_unet", "widths": [8, 8]}, spatial_dims=2, in_channels=1, num_classes=2)


@pytest.mark.parametrize("name", ["deeplabv3plus", "resnet_unet"])
@pytest.mark.parametrize("channels", [1, 3])
def test_normalised_input_is_what_the_plain_network_sees_of_normalised_images(name: str, channels: int) -> None:
    def build(normalise: str) -> torch.nn.Module:
        torch.manual_seed(0)
        settings = {"name": name, "encoder": "resnet18", "normalise": normalise}
        return registry.build(settings, spatial_dims=2, in_channels=channels, num_classes=2).eval()

    images = torch.rand(2, channels, 64, 64)
    mean, deviation = (torch.tensor(row).view(1, 3, 1, 1) for row in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    if channels == 1:
        mean, deviation = mean.mean(1, keepdim=True), deviation.mean(1, keepdim=True)
    plain, imagenet, half = build("none"), build("imagenet"), build("half")
    assert torch.equal(imagenet(images), plain((images - mean) / deviation))
    torch.testing.assert_close(half(images), plain(2 * images - 1))
    assert plain.state_dict().keys() == imagenet.state_dict().keys()


@pytest.mark.parametrize(("channels", "normalise"), [(2, "imagenet"), (3, "image_net")])
def test_other_images_and_names_have_no_normalisation(channels: int, normalise: str) -> None:
    settings = {"name": "resnet_unet", "encoder": "resnet18", "normalise": normalise}
    with pytest.raises(SuiteError, match="normalise"):
        registry.build(settings, spatial_dims=2, in_channels=channels, num_classes=2)
