"""Finds networks by name: every module of this package with a function `build`, and the entry points of others.

Modules whose name begins with an underscore hold what several networks share. What there is, and with which options, is
read from the source: a network is imported when it is built, so that a suite can be checked without torch.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Collection, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contrastseg.errors import SuiteError, unknown_name
from contrastseg.networks import catalogue
from contrastseg.networks.weight_settings import weight_file
from contrastseg.plugins import loaded

if TYPE_CHECKING:
    from contrastseg.networks.features import FeatureNetwork

ENTRY_POINT_GROUP = "contrastseg.networks"
_GIVEN = ("spatial_dims", "in_channels", "num_classes")
_ANY = "**"  # among the options of a network that hands further ones on, and checks them itself


@cache
def _sources() -> dict[str, dict[str, Any] | EntryPoint]:
    """Every network by name: options and defaults of one of this package, or the entry point of another's.

    Raises:
        SuiteError: Two networks of one name.
    """
    here = Path(__file__)
    modules = sorted(path for path in here.parent.glob("*.py") if path != here and not path.name.startswith("_"))
    read = {path.stem: _options(ast.parse(path.read_text(encoding="utf-8"))) for path in modules}
    sources: dict[str, dict[str, Any] | EntryPoint] = {
        name: options for name, options in read.items() if options is not None
    }
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        if entry.name in sources:
            raise SuiteError(
                f"two networks are called {entry.name!r}",
                remedy=f"rename the entry point {entry.value!r} in its package",
            )
        sources[entry.name] = entry
    return sources


def _options(module: ast.Module) -> dict[str, Any] | None:
    """The options that a module's function `build` takes, with their defaults; None where it has no such function."""
    for node in module.body:
        if isinstance(node, ast.FunctionDef) and node.name == "build":
            given = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
            options = {
                argument.arg: None if default is None else ast.literal_eval(default)
                for argument, default in given
                if argument.arg not in _GIVEN
            }
            return options if node.args.kwarg is None else {**options, _ANY: None}
    return None


def defaults(name: str) -> dict[str, Any]:
    """Get the options of a network of this package with their defaults; a network of another package has none here.

    Raises:
        SuiteError: Unknown network; the message lists the known ones.

    Example:
        >>> defaults("unet")["channels"]
        (16, 32, 64, 128, 256)
    """
    options = _sources()[check({"name": name})]
    return {} if isinstance(options, EntryPoint) else {name: options[name] for name in options if name != _ANY}


def names() -> list[str]:
    """List the names of all networks, sorted.

    Example:
        >>> names()
        ['deeplabv3plus', 'monai', 'resnet_unet', 'smp', 'unet', 'vnet']
    """
    return sorted(_sources())


def check(settings: Mapping[str, Any]) -> str:
    """Get the name of the network that settings ask for, when there is such a network with such options.

    The options of another package's network are known when it is built, and looked at then.

    Args:
        settings: `name` (`unet` if unset) and that network's options.

    Raises:
        SuiteError: Unknown network or option; the message lists the known ones.

    Example:
        >>> check({"name": "unet", "channels": [8, 16]})
        'unet'
    """
    name = _known_name(settings)
    settings, _ = weight_file(settings)
    options = _sources()[name]
    if not isinstance(options, EntryPoint):
        if _ANY in options:
            catalogue.check_options(settings, [option for option in options if option != _ANY])
        _check_options(name, settings, options)
    return name


def _known_name(settings: Mapping[str, Any]) -> str:
    name = str(settings.get("name", "unet"))
    if name not in _sources():
        raise SuiteError(unknown_name("network", name, names()))
    return name


def _check_options(name: str, settings: Mapping[str, Any], known: Collection[str]) -> None:
    for option in settings if _ANY not in known else ():
        if option not in ("name", *known):
            raise SuiteError(unknown_name(f"option of network {name}", option, list(known)))


def _builder(settings: Mapping[str, Any]) -> Callable[..., FeatureNetwork]:
    name = _known_name(settings)
    source = _sources()[name]
    builder: Callable[..., FeatureNetwork]
    if isinstance(source, EntryPoint):
        builder = loaded(source, SuiteError)
        _check_options(name, settings, [each for each in inspect.signature(builder).parameters if each not in _GIVEN])
    else:
        _check_options(name, settings, source)  # of another package's network, its adapter checks them
        builder = import_module(f"{__package__}.{name}").build
    return builder


def build(
    settings: Mapping[str, Any],
    *,
    spatial_dims: int,
    in_channels: int,
    num_classes: int,
) -> FeatureNetwork:
    """Build a freshly initialised network.

    Args:
        settings: `name` and that network's options. A file of weights among them is left to training.
        spatial_dims: 2 or 3.
        in_channels: Channels of the image.
        num_classes: Classes including background.

    Raises:
        SuiteError: Unknown network or option; the message lists the known ones.

    Example:
        >>> import torch
        >>> network = build({"name": "unet", "channels": [4, 8]}, spatial_dims=3, in_channels=1, num_classes=2)
        >>> network(torch.zeros(1, 1, 8, 8, 8)).shape
        torch.Size([1, 2, 8, 8, 8])
    """
    settings, _ = weight_file(settings)
    options = {option: value for option, value in settings.items() if option != "name"}
    builder = _builder(settings)
    return builder(spatial_dims=spatial_dims, in_channels=in_channels, num_classes=num_classes, **options)
