"""What is known of networks without building them: a table made by `python -m contrastseg.training.network_table`.

Planning and listing read it without torch. A network that is not in it, or has other options, is looked at when
training starts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from contrastseg.errors import SuiteError, unknown_name

TABLE = Path(__file__).with_name("catalogue.json")
KEYS = {"monai": "model", "smp": "architecture"}
"""Networks of other packages, and the option that names which of them."""
_CHANGE_NO_MAP = ("weights", "weights_map", "weights_from", "normalise")
_WITHOUT_3D = ("smp",)


@dataclass(frozen=True)
class Form:
    """A network in 2D or 3D.

    Attributes:
        settings: As a suite asks for it; every other option has its default.
        spatial_dims: 2 or 3.
        parameters: How many, for one channel and four classes.
        divisor: What each axis of a patch must be divisible by.
        smallest: The smallest patch with equal sides that it trains on. One shorter side alone may do.
        input_size: Shape of the patch it is made for; None where others do.
        maps: Stride and width of every feature map by name, in order.
        without_maps: Why it has none; methods that look inside cannot train it, and nothing can be attached.
        parts: Names of the modules that hold its weights, which pre-training can hand on one by one.
        decodes: Whether a decoder of its own works on the maps of another network's encoder, so that one encoder can
            have several.
        upsamplings: The ways of going up that its decoder can be built with (option `upsampling`); empty where it has
            one.
    """

    settings: Mapping[str, Any]
    spatial_dims: int
    parameters: int
    divisor: tuple[int, ...]
    smallest: tuple[int, ...]
    input_size: tuple[int, ...] | None
    maps: Mapping[str, tuple[tuple[int, ...], int]]
    without_maps: str | None
    parts: tuple[str, ...]
    decodes: bool
    upsamplings: tuple[str, ...]

    @property
    def title(self) -> str:
        """Its name, and which of a package's networks it is."""
        return " ".join(str(value) for value in self.settings.values() if not isinstance(value, list))

    @property
    def strides(self) -> dict[str, tuple[int, ...]]:
        """Stride of every feature map, as the network itself has it."""
        return {name: stride for name, (stride, _) in self.maps.items()}

    @property
    def channels(self) -> dict[str, int]:
        """Width of every feature map, as the network itself has it."""
        return {name: width for name, (_, width) in self.maps.items()}

    @property
    def encoder_maps(self) -> list[str]:
        """Names of the encoder's maps."""
        return [name for name in self.maps if name.startswith("encoder")]

    @property
    def decoder_maps(self) -> list[str]:
        """Names of the decoder's maps."""
        return [name for name in self.maps if name.startswith("decoder")]


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(TABLE.read_text(encoding="utf-8"))
    return table


@cache
def forms() -> tuple[Form, ...]:
    """List every network in the table, in each dimension it has.

    Example:
        >>> [form.parameters for form in forms() if form.settings == {"name": "monai", "model": "SegResNet"}]
        [395004, 1176204]
    """
    return tuple(
        Form(
            **{
                **form,
                "divisor": tuple(form["divisor"]),
                "smallest": tuple(form["smallest"]),
                "input_size": None if form["input_size"] is None else tuple(form["input_size"]),
                "maps": {name: (tuple(stride), width) for name, (stride, width) in form["maps"].items()},
                "parts": tuple(form["parts"]),
                "upsamplings": tuple(form["upsamplings"]),
            }
        )
        for form in _table()["forms"]
    )


def known(settings: Mapping[str, Any], spatial_dims: int) -> Form | None:
    """Find what the table says of a network with these very options; None where it says nothing.

    Example:
        >>> known({"name": "monai", "model": "SegResNet"}, 3).divisor
        (8, 8, 8)
        >>> known({"name": "monai", "model": "SegResNet", "blocks_down": [1, 2]}, 3)
    """
    asked = {name: value for name, value in settings.items() if name not in _CHANGE_NO_MAP}
    if asked.get("name") == "smp":
        asked.setdefault("encoder", "resnet34")
    return next((form for form in forms() if form.spatial_dims == spatial_dims and form.settings == asked), None)


def whatever_the_options(settings: Mapping[str, Any], spatial_dims: int) -> Form | None:
    """Find what the table says of a network: all of it, or what holds whatever its options are.

    Returns:
        `known`. Of other options, or another network of a package, its parts and its decoder: it has no maps then.
        None where the table has no network of that name and dimension.

    Example:
        >>> form = whatever_the_options({"name": "unet", "channels": [8, 16]}, 2)
        >>> form.decodes, form.upsamplings, form.maps
        (True, ('transposed', 'linear', 'nearest'), {})
    """
    form = known(settings, spatial_dims)
    if form is not None:
        return form
    name = settings.get("name", "unet")
    alike = (form for form in forms() if form.spatial_dims == spatial_dims and form.settings["name"] == name)
    other = next(alike, None)
    return None if other is None else replace(other, maps={})


def check_options(settings: Mapping[str, Any], own: Sequence[str]) -> None:
    """Check the options of a network of another package, as far as the table knows which there are.

    Args:
        settings: `name` is a key of `KEYS`.
        own: Options that the adapter takes itself.

    Raises:
        SuiteError: No network of the package is named, it is written otherwise, or it has no such option.

    Example:
        >>> check_options({"name": "monai", "model": "SegResNet", "init_filters": 16}, ["model"])
    """
    name = str(settings["name"])
    key = KEYS[name]
    wanted, options = str(settings.get(key) or ""), _table()["options"][name]
    written_otherwise = wanted not in options and wanted.lower() in {each.lower() for each in options}
    if not wanted or written_otherwise:
        raise SuiteError(unknown_name(f"{key} of network {name}", wanted, list(options)))
    for option in settings if wanted in options else ():
        if option not in ("name", *own, *options[wanted]):
            raise SuiteError(unknown_name(f"option of network {name} {wanted}", option, [*own, *options[wanted]]))


def check_patch(settings: Mapping[str, Any], spatial_dims: int, patch: Sequence[int]) -> None:
    """Check that a network can be trained on patches of this shape, as far as the table knows.

    Args:
        settings: Of the network.
        spatial_dims: 2 or 3.
        patch: Shape of the patches, `spatial_dims` numbers.

    Raises:
        SuiteError: It has no such form, or takes other patches.

    Example:
        >>> check_patch({"name": "monai", "model": "SwinUNETR"}, 2, (96, 96))
    """
    if spatial_dims == 3 and settings.get("name") in _WITHOUT_3D:
        raise SuiteError(f"{settings['name']} is a 2D network", remedy="use unet, vnet or a network of monai in 3D")
    size = settings.get("img_size")
    if size is not None and tuple(patch) != ((size,) * spatial_dims if isinstance(size, int) else tuple(size)):
        raise SuiteError(
            f"the network is made for img_size {size}, and patch_size is {list(patch)}",
            remedy="give img_size of the network and training.patch_size one size",
        )
    form = known(settings, spatial_dims)
    if form is None or form.input_size is not None:
        return
    if any(side % step for side, step in zip(patch, form.divisor, strict=True)):
        raise SuiteError(
            f"network {form.title} takes patches whose sides are multiples of {list(form.divisor)}, and patch_size is"
            f" {list(patch)}",
            remedy=f"set training.patch_size to {[-(-n // d) * d for n, d in zip(patch, form.divisor, strict=True)]}",
        )
    # The table knows equal sides alone: a deepest map of one voxel cannot be normalised, one of 1×2×2 can.
    if all(side < least for side, least in zip(patch, form.smallest, strict=True)):
        raise SuiteError(
            f"network {form.title} takes patches of {list(form.smallest)} or more, and patch_size is {list(patch)}",
            remedy=f"set training.patch_size to {[max(pair) for pair in zip(patch, form.smallest, strict=True)]}",
        )
