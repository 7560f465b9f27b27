"""`python -m contrastseg.training.network_table` finds out what networks have, and writes the table planning reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, get_args

import torch

from contrastseg.errors import SuiteError
from contrastseg.files import write_if_changed
from contrastseg.networks import monai, registry, smp
from contrastseg.networks._upsampling import Upsampling
from contrastseg.networks.catalogue import TABLE
from contrastseg.networks.features import FeatureNetwork

_CLASSES = 4
_SIDES = {2: 96, 3: 64}  # of a network that is made for one size of image


def listed() -> list[dict[str, Any]]:
    """The settings of every network in the table; each option left out has its default."""
    own = [{"name": name} for name in registry.names() if name not in ("monai", "smp")]
    of_monai = [{"name": "monai", "model": model} for model in monai.MODELS]
    of_smp = [{"name": "smp", "architecture": kind, "encoder": "resnet34"} for kind in smp.ARCHITECTURES]
    transformer = {"name": "smp", "architecture": "Segformer", "encoder": "mit_b0"}
    return [*own, *of_monai, *of_smp, transformer]


def described(settings: Mapping[str, Any], spatial_dims: int) -> dict[str, Any] | None:
    """Describe a network as the table does; None where it has no such form.

    Args:
        settings: Of the network.
        spatial_dims: 2 or 3.
    """
    given = dict(settings)
    if settings.get("model") == "UNETR":
        given["img_size"] = [_SIDES[spatial_dims]] * spatial_dims
    try:
        network = registry.build(given, spatial_dims=spatial_dims, in_channels=1, num_classes=_CLASSES)
    except SuiteError:
        return None
    return {
        "settings": given,
        "spatial_dims": spatial_dims,
        "parameters": sum(value.numel() for value in network.parameters()),
        "divisor": list(network.divisor),
        "smallest": _smallest(network),
        "input_size": None if network.input_size is None else list(network.input_size),
        "maps": {name: [list(network.strides[name]), network.channels[name]] for name in network.channels},
        "without_maps": network.without_maps,
        "parts": [name for name, part in network.named_children() if any(True for _ in part.parameters())],
        "decodes": type(network).decode is not FeatureNetwork.decode,
        "upsamplings": list(get_args(Upsampling)) if hasattr(network, "upsampling") else [],
    }


def _smallest(network: FeatureNetwork) -> list[int]:
    """The smallest patch that a batch of two can be trained on. The network has no values afterwards."""
    network.to("meta").train()
    for times in (1, 2, 4, 8, 16):
        size = network.input_size or tuple(times * step for step in network.divisor)
        try:
            network(torch.empty(2, 1, *size, device="meta"))
        except (RuntimeError, ValueError):
            continue
        return list(size)
    raise SuiteError("the network trains on no patch", remedy="leave it out of the table")


def options() -> dict[str, dict[str, list[str]]]:
    """The options of every listed network of another package, by package and name."""
    return {
        "monai": {model: sorted(set(monai.options_of(model))) for model in monai.MODELS},
        "smp": {kind: sorted(set(smp.options_of(kind))) for kind in smp.ARCHITECTURES},
    }


def main() -> None:
    """Write the table, a line for every form."""
    forms = [described(settings, dims) for settings in listed() for dims in (2, 3)]
    lines = ",\n".join(json.dumps(form) for form in forms if form is not None)
    write_if_changed(TABLE, f'{{"options": {json.dumps(options())},\n"forms": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
