"""What the networks built from segmentation_models_pytorch share: their encoder, and how its maps are made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

from torch import Tensor, nn

from contrastseg.errors import SuiteError, TrainingError, unknown_name
from contrastseg.networks._torchvision import import_torchvision
from contrastseg.networks._xception import Xception
from contrastseg.networks.features import FeatureNetwork

Encoder = Literal["resnet18", "resnet34", "resnet50", "resnet101"]
Weights = Literal["none", "imagenet"]


def resnet_encoder(
    network: str, spatial_dims: int, in_channels: int, encoder: str, weights: str, output_stride: int = 32
) -> Any:
    """A ResNet encoder for images of any number of channels; ImageNet's filters are repeated or summed over them.

    Args:
        network: Who asks, for messages.
        spatial_dims: Must be 2.
        in_channels: Channels of the image.
        encoder: One of `Encoder`.
        weights: `none` (random) or `imagenet` (downloaded once, from the Hugging Face hub).
        output_stride: Stride of the deepest map; under 32, deeper stages are dilated instead of strided.

    Raises:
        SuiteError: 3D is asked for, or an encoder or weights that do not exist.
        TrainingError: The weights cannot be had.
    """
    check_encoder(network, spatial_dims, encoder, weights, get_args(Encoder))
    import_torchvision()
    from segmentation_models_pytorch.encoders import get_encoder

    def make(weights: str | None) -> Any:
        return get_encoder(encoder, weights=weights, in_channels=in_channels, output_stride=output_stride)

    return make(None) if weights == "none" else with_weights(network, encoder, lambda: make(weights))


def check_encoder(network: str, spatial_dims: int, encoder: str, weights: str, known: Sequence[str]) -> None:
    """Refuse 3D, and an encoder or weights that do not exist.

    Raises:
        SuiteError: It is one of these; the message lists what there is.
    """
    if spatial_dims != 2:
        raise SuiteError(f"{network} is a 2D network", remedy="use unet or vnet in 3D")
    for kind, value, names in (("encoder", encoder, known), ("weights", weights, get_args(Weights))):
        if value not in names:
            raise SuiteError(unknown_name(f"{kind} of network {network}", value, list(names)))


def with_weights(network: str, encoder: str, make: Callable[[], Any]) -> Any:
    """What `make` returns, an encoder whose ImageNet weights it downloads.

    Raises:
        TrainingError: The weights cannot be had.
    """
    try:
        return make()
    except Exception as error:  # the hub's client has errors of its own, its transport's and the system's
        raise TrainingError(
            f"the ImageNet weights of {encoder} cannot be downloaded: {' '.join(str(error).split())[:300]}",
            case=network,
            remedy="set `weights: none` for this network, or run once where the Hugging Face hub can be reached and"
            " bring its cache (HF_HOME) here",
        ) from error


def encoder_maps(encoder: Any) -> tuple[dict[str, tuple[int, ...]], dict[str, int]]:
    """Strides and widths of the encoder's maps by name, in order of computation."""
    if isinstance(encoder, Xception):
        return dict(encoder.strides), dict(encoder.channels)
    names = [f"encoder{level}" for level in range(1, 6)]
    deepest = encoder.output_stride
    strides: dict[str, tuple[int, ...]] = {
        name: (min(2 ** (level + 1), deepest),) * 2 for level, name in enumerate(names)
    }
    return strides, dict(zip(names, encoder.out_channels[1:], strict=True))


class SMPNetwork(FeatureNetwork):
    """Base of the networks with a ResNet encoder, `encoder1` (stride 2) … `encoder5`, or an `Xception`."""

    encoder: Any
    decoder: Any
    head: nn.Module

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.encoder = encoder
        self.strides, self.channels = encoder_maps(encoder)

    def stages(self) -> dict[str, Callable[[Tensor], Tensor]]:
        """The encoder's parts by the map each ends at, in order of computation."""
        encoder = self.encoder
        if isinstance(encoder, Xception):
            return encoder.stages()
        return {
            "encoder1": nn.Sequential(encoder.conv1, encoder.bn1, encoder.relu),
            "encoder2": nn.Sequential(encoder.maxpool, encoder.layer1),
            "encoder3": encoder.layer2,
            "encoder4": encoder.layer3,
            "encoder5": encoder.layer4,
        }

    def encode(self, images: Tensor) -> dict[str, Tensor]:
        """See `FeatureNetwork.encode`."""
        maps: dict[str, Tensor] = {}
        x = images
        for name, stage in self.stages().items():
            x = maps[name] = self.attached(name, stage(x))
        return maps

    def classify(self, features: Mapping[str, Tensor]) -> Tensor:
        """See `FeatureNetwork.classify`."""
        logits: Tensor = self.head(features["decoder0"])
        return logits
