"""What the networks built from segmentation_models_pytorch share: their encoder, and how its maps are made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from contrastseg.errors import SuiteError, TrainingError, unknown_name
from contrastseg.networks._torchvision import import_torchvision
from contrastseg.networks._xception import Xception
from contrastseg.networks.features import FeatureNetwork

Encoder = Literal["resnet18", "resnet34", "resnet50", "resnet101"]
Weights = Literal["none", "imagenet"]
Normalise = Literal["none", "imagenet", "half"]
MEAN_AND_DEVIATION = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}
"""Of the red, green and blue that pre-trained encoders were shown, of values in [0, 1]."""


def resnet_encoder(
    network: str, spatial_dims: int, in_channels: int, encoder: str, weights: str, output_stride: int = 32
) -> Any:
    """Build a ResNet encoder for images of any number of channels; ImageNet's filters are repeated or summed over them.

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

    Args:
        network: Name of the network, for messages.
        spatial_dims: Of the images.
        encoder: The encoder asked for.
        weights: The weights asked for.
        known: Names of the encoders there are.

    Raises:
        SuiteError: The network is 2D only, or there is no such encoder or no such weights; the message lists them.
    """
    if spatial_dims != 2:
        raise SuiteError(f"{network} is a 2D network", remedy="use unet or vnet in 3D")
    for kind, value, names in (("encoder", encoder, known), ("weights", weights, get_args(Weights))):
        if value not in names:
            raise SuiteError(unknown_name(f"{kind} of network {network}", value, list(names)))


def with_weights(network: str, encoder: str, make: Callable[[], Any]) -> Any:
    """Make an encoder whose ImageNet weights are downloaded at the first use.

    Args:
        network: Name of the network, for messages.
        encoder: Name of the encoder, for messages.
        make: Makes it.

    Returns:
        What `make` returns.

    Raises:
        TrainingError: The weights cannot be downloaded.
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


class NormalisedInput(nn.Module):
    """Images in [0, 1] as pre-trained weights want them: minus a mean, by a deviation, channel by channel.

    Args:
        normalise: `imagenet` or `half` (−1 to 1).
        in_channels: 3 for red, green and blue; 1 for grey, which gets the mean of the three.

    Raises:
        SuiteError: There is no such normalisation, or images have another number of channels.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, network: str, normalise: str, in_channels: int) -> None:
        super().__init__()
        if normalise not in MEAN_AND_DEVIATION:
            names = list(get_args(Normalise))
            raise SuiteError(unknown_name(f"normalise of network {network}", normalise, names))
        if in_channels not in (1, 3):
            raise SuiteError(
                f"{network}: normalise is for images of 1 or 3 channels, these have {in_channels}",
                remedy="leave normalise out",
            )
        for name, values in zip(("mean", "deviation"), MEAN_AND_DEVIATION[normalise], strict=True):
            row = torch.tensor(values).view(3, 1, 1)
            buffer = row if in_channels == 3 else row.mean(0, keepdim=True)
            self.register_buffer(name, buffer, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) likewise."""
        return (images - self.mean) / self.deviation


def normalised_input(network: str, normalise: str, in_channels: int) -> nn.Module:
    """Build what stands before the encoder: nothing for `none`, else a `NormalisedInput`, with its errors."""
    return nn.Identity() if normalise == "none" else NormalisedInput(network, normalise, in_channels)


class SMPNetwork(FeatureNetwork):
    """Base of the networks with a ResNet encoder, `encoder1` (stride 2) … `encoder5`, or an `Xception`."""

    encoder: Any
    decoder: Any
    head: nn.Module

    def __init__(self, encoder: Any, before: nn.Module) -> None:
        super().__init__()
        self.before = before
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
        x = self.before(images)
        for name, stage in self.stages().items():
            x = maps[name] = self.attached(name, stage(x))
        return maps

    def classify(self, features: Mapping[str, Tensor]) -> Tensor:
        """See `FeatureNetwork.classify`."""
        logits: Tensor = self.head(features["decoder0"])
        return logits
