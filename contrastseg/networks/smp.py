"""The architectures of segmentation_models_pytorch on any of its encoders, in 2D.

Source: Iakubovskii, Segmentation Models Pytorch, 2019, github.com/qubvel-org/segmentation_models.pytorch.
"""

from __future__ import annotations

import inspect
from typing import Any

from contrastseg.errors import SuiteError, unknown_name
from contrastseg.networks._foreign import adopted, as_tuples
from contrastseg.networks._smp import Normalise, Weights, check_encoder, normalised_input, with_weights
from contrastseg.networks._torchvision import import_torchvision
from contrastseg.networks.features import FeatureNetwork

ARCHITECTURES = (
    "DeepLabV3",
    "DeepLabV3Plus",
    "FPN",
    "Linknet",
    "MAnet",
    "PAN",
    "PSPNet",
    "Segformer",
    "UPerNet",
    "Unet",
    "UnetPlusPlus",
)
"""The architectures that are looked at when this project is tested; others are when a run starts."""
_OURS = ("encoder_name", "encoder_weights", "in_channels", "classes", "aux_params", "activation", "kwargs")
_OF_TIMM = ["img_size", "dynamic_img_size"]
_PARTS = ("decoder", "segmentation_head")  # of every one of its models


def build(
    *,
    spatial_dims: int,
    in_channels: int,
    num_classes: int,
    architecture: str = "",
    encoder: str = "resnet34",
    weights: Weights = "none",
    normalise: Normalise = "none",
    **options: Any,
) -> FeatureNetwork:
    """Build a network of segmentation_models_pytorch.

    Args:
        spatial_dims: 2; there is no 3D form.
        in_channels: Channels of the image.
        num_classes: Classes including background.
        architecture: Name of its class, such as `UnetPlusPlus`.
        encoder: Name of its encoder, such as `resnet34`, `mit_b0` or `tu-convnext_tiny` (of timm).
        weights: What the encoder starts from: `none` (random) or `imagenet` (downloaded).
        normalise: What images in [0, 1] become first: `imagenet` (its mean and deviation), `half` (from −1 to 1) or
            `none`.
        options: What that class takes beside these, by its own names; its defaults where left out. Of an encoder of
            timm also `img_size` and `dynamic_img_size`, where it is made for one size of image.

    Raises:
        SuiteError: 3D, an architecture, encoder or option that does not exist, or options that do not fit.
        TrainingError: The ImageNet weights cannot be had.

    Example:
        >>> network = build(spatial_dims=2, in_channels=1, num_classes=4, architecture="FPN", encoder="resnet18")
        >>> network.strides["encoder5"], network.channels["encoder5"]
        ((32, 32), 512)
    """
    kind = _kind(architecture)
    from segmentation_models_pytorch.encoders import get_encoder_names

    known = [encoder] if encoder.startswith("tu-") else get_encoder_names()
    check_encoder("smp", spatial_dims, encoder, weights, known)
    own = options_of(architecture) + (_OF_TIMM if encoder.startswith("tu-") else [])
    for option in options:
        if option not in own:
            raise SuiteError(unknown_name(f"option of network smp {architecture}", option, own))
    before = normalised_input("smp", normalise, in_channels)

    def pretrained(**given: Any) -> Any:
        return with_weights("smp", encoder, lambda: kind(**given))

    make: Any = kind if weights == "none" else pretrained
    given: dict[str, Any] = {
        "encoder_name": encoder,
        "encoder_weights": None if weights == "none" else weights,
        "in_channels": in_channels,
        "classes": num_classes,
        **as_tuples(options),
    }
    network = adopted(
        f"smp {architecture}",
        make,
        given,
        spatial_dims=spatial_dims,
        in_channels=in_channels,
        input_size=given.get("img_size"),
        parts=_PARTS,
    )
    network.before = before
    return network


def options_of(architecture: str) -> list[str]:
    """List what a class takes beside encoder, weights, channels and classes, by its own names.

    Example:
        >>> options_of("Segformer")
        ['encoder_depth', 'decoder_segmentation_channels', 'upsampling']
    """
    return [name for name in inspect.signature(_kind(architecture)).parameters if name not in _OURS]


def _kind(architecture: str) -> Any:
    """The class of this name.

    Raises:
        SuiteError: There is none; the message lists those that are known to work.
    """
    import_torchvision()
    import segmentation_models_pytorch
    from segmentation_models_pytorch.base import SegmentationModel

    kind = getattr(segmentation_models_pytorch, architecture, None) if architecture else None
    if not (inspect.isclass(kind) and issubclass(kind, SegmentationModel)):
        raise SuiteError(unknown_name("architecture of network smp", architecture, list(ARCHITECTURES)))
    return kind
