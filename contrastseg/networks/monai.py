"""The segmentation networks of MONAI, by the names of their classes.

Source: Cardoso et al., MONAI: An open-source framework for deep learning in healthcare, arXiv 2211.02701.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from torch import nn

from contrastseg.errors import SuiteError, unknown_name
from contrastseg.networks._foreign import adopted, as_tuples
from contrastseg.networks.features import FeatureNetwork

MODELS = (
    "AttentionUnet",
    "BasicUNet",
    "BasicUNetPlusPlus",
    "DynUNet",
    "MedNeXt",
    "SegResNet",
    "SwinUNETR",
    "UNETR",
    "UNet",
    "VNet",
)
"""The models that are looked at when this project is tested; others are when a run starts."""
_LEVELS = {"channels": (16, 32, 64, 128, 256), "strides": (2, 2, 2, 2)}
FIRST_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "AttentionUnet": _LEVELS,
    "DynUNet": {
        "kernel_size": (3, 3, 3, 3, 3),
        "strides": (1, 2, 2, 2, 2),
        "upsample_kernel_size": (2, 2, 2, 2),
    },
    "UNet": _LEVELS,
}
"""Options that MONAI leaves without a default: five levels, the widths of our U-Net, each half as fine as the last."""


def build(*, spatial_dims: int, in_channels: int, num_classes: int, model: str = "", **options: Any) -> FeatureNetwork:
    """Build a network of MONAI.

    Args:
        spatial_dims: 2 or 3.
        in_channels: Channels of the image.
        num_classes: Classes including background.
        model: Name of the class in `monai.networks.nets`, such as `SwinUNETR`.
        options: What that class takes, by MONAI's names; its defaults where left out, ours where it has none.

    Raises:
        SuiteError: There is no such class, it takes other options, or it is no network for segmentation.

    Example:
        >>> network = build(spatial_dims=2, in_channels=1, num_classes=4, model="BasicUNet")
        >>> network.strides["encoder4"], network.channels["encoder4"]
        ((16, 16), 256)
    """
    kind = _kind(model)
    known, own = inspect.signature(kind).parameters, options_of(model)
    for option in options:
        if option not in own:
            raise SuiteError(unknown_name(f"option of network monai {model}", option, own))
    given: dict[str, Any] = {**FIRST_OPTIONS.get(model, {}), **as_tuples(options)}
    if model == "VNet":
        given.setdefault("dropout_dim", spatial_dims)
    if "img_size" in known and "img_size" not in given:
        raise SuiteError(
            f"network monai {model} is made for one size of image, and img_size is not given",
            remedy="set img_size to training.patch_size",
        )
    if "spatial_dims" in known:
        given["spatial_dims"] = spatial_dims
    given |= {"in_channels": in_channels, "out_channels": num_classes}
    return adopted(
        f"monai {model}",
        kind,
        given,
        spatial_dims=spatial_dims,
        in_channels=in_channels,
        input_size=given.get("img_size"),
    )


def options_of(model: str) -> list[str]:
    """List what a class of MONAI takes beside the shape of images and logits, by its own names.

    Example:
        >>> options_of("DynUNet")[:3]
        ['kernel_size', 'strides', 'upsample_kernel_size']
    """
    given = ("spatial_dims", "in_channels", "out_channels")
    return [name for name in inspect.signature(_kind(model)).parameters if name not in given]


def _kind(model: str) -> type[nn.Module]:
    """The class of this name, when it makes logits of images.

    Raises:
        SuiteError: There is none; the message lists those that are known to work.
    """
    from monai.networks import nets

    kind = getattr(nets, model, None) if model else None
    if not (inspect.isclass(kind) and issubclass(kind, nn.Module)):
        raise SuiteError(unknown_name("model of network monai", model, sorted(MODELS)))
    missing = {"in_channels", "out_channels"} - set(inspect.signature(kind).parameters)
    if missing:
        raise SuiteError(
            f"network monai {model} is not made of in_channels and out_channels alone",
            remedy=f"choose one that is: {', '.join(sorted(MODELS))}",
        )
    return kind
