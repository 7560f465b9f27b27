"""Settings on top of settings: single keys change, and what has another name replaces the whole."""

from __future__ import annotations

import pytest

from contrastseg.training.stages import merge


def test_a_mapping_of_another_name_replaces_one_of_the_same_name_is_merged():
    base = {"network": {"name": "unet", "channels": [8]}, "steps": 1}
    assert merge(base, {"network": {"name": "vnet"}})["network"] == {"name": "vnet"}
    assert merge(base, {"network": {"norm": "batch"}})["network"] == {"name": "unet", "channels": [8], "norm": "batch"}
    assert base["network"] == {"name": "unet", "channels": [8]}


@pytest.mark.parametrize(
    ("base", "override", "merged"),
    [
        ({"name": "monai", "model": "UNETR", "img_size": 96}, {"model": "UNet"}, {"name": "monai", "model": "UNet"}),
        (
            {"name": "smp", "architecture": "FPN", "decoder_dropout": 0.1},
            {"name": "smp", "architecture": "PAN", "encoder": "resnet18"},
            {"name": "smp", "architecture": "PAN", "encoder": "resnet18"},
        ),
        (
            {"name": "smp", "architecture": "FPN", "decoder_dropout": 0.1},
            {"architecture": "FPN", "encoder": "resnet18"},
            {"name": "smp", "architecture": "FPN", "decoder_dropout": 0.1, "encoder": "resnet18"},
        ),
        ({"name": "unet", "channels": [8]}, {"name": "monai", "model": "UNet"}, {"name": "monai", "model": "UNet"}),
    ],
)
def test_another_network_of_a_package_takes_none_of_the_options_of_the_first(
    base: dict, override: dict, merged: dict
) -> None:
    assert merge({"network": base}, {"network": override})["network"] == merged
