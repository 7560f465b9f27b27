"""Finds networks by name: every module of this package that defines `build`, or an entry point that loads to one.

Modules whose name begins with an underscore hold what several networks share.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from contrastseg.errors import SuiteError, unknown_name

if TYPE_CHECKING:
    from contrastseg.networks.features import FeatureNetwork

ENTRY_POINT_GROUP = "contrastseg.networks"
_NOT_NETWORKS = {"decoders", "features", "heads", "registry", "uafr"}


def names() -> list[str]:
    """The names of all networks, sorted."""
    import contrastseg.networks as package

    found = {module.name for module in pkgutil.iter_modules(package.__path__)} - _NOT_NETWORKS
    ours = {name for name in found if not name.startswith("_")}
    return sorted(ours | {entry.name for entry in entry_points(group=ENTRY_POINT_GROUP)})


def _builder(name: str) -> Callable[..., FeatureNetwork]:
    if name not in names():
        raise SuiteError(unknown_name("network", name, names()))
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        if entry.name == name:
            builder: Callable[..., FeatureNetwork] = entry.load()
            return builder
    found: Callable[..., FeatureNetwork] = importlib.import_module(f"contrastseg.networks.{name}").build
    return found


def build(
    settings: Mapping[str, Any],
    *,
    spatial_dims: int,
    in_channels: int,
    num_classes: int,
) -> FeatureNetwork:
    """A freshly initialised network.

    Args:
        settings: `name` and that network's options.
        spatial_dims: 2 or 3.
        in_channels: Channels of the image.
        num_classes: Classes including background.

    Raises:
        SuiteError: Unknown network or option; the message lists the known ones.
    """
    options = dict(settings)
    builder = _builder(str(options.pop("name", "unet")))
    known = [
        name
        for name in inspect.signature(builder).parameters
        if name not in ("spatial_dims", "in_channels", "num_classes")
    ]
    for option in options:
        if option not in known:
            raise SuiteError(unknown_name(f"option of network {settings.get('name', 'unet')}", option, known))
    return builder(spatial_dims=spatial_dims, in_channels=in_channels, num_classes=num_classes, **options)
