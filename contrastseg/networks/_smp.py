"""What the networks built from segmentation_models_pytorch share: their ResNet encoder, and how its maps are made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor, nn

from contrastseg.errors import SuiteError, TrainingError, unknown_name
from contrastseg.networks._torchvision import import_torchvision
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
    if spatial_dims != 2:
        raise SuiteError(f"{network} is a 2D network", remedy="use unet or vnet in 3D")
    for kind, value, known in (
        ("encoder", encoder, Encoder.__args__),  # type: ignore[attr-defined]
        ("weights", weights, Weights.__args__),  # type: ignore[attr-defined]
    ):
        if value not in known:
            raise SuiteError(unknown_name(f"{kind} of network {network}", value, known))
    import_torchvision()
    from segmentation_models_pytorch.encoders import get_encoder

    settings = {"in_channels": in_channels, "output_stride": output_stride}
    if weights == "none":
        return get_encoder(encoder, weights=None, **settings)
    try:
        return get_encoder(encoder, weights=weights, **settings)
    except Exception as error:  # the hub's client has errors of its own, its transport's and the system's
        raise TrainingError(
            f"the ImageNet weights of {encoder} cannot be downloaded: {' '.join(str(error).split())[:300]}",
            case=network,
            remedy="set `weights: none` for this network, or run once where the Hugging Face hub can be reached and"
            " bring its cache (HF_HOME) here",
        ) from error


class SMPNetwork(FeatureNetwork):
    """Base of the networks with a ResNet encoder, `encoder1` (stride 2) … `encoder5`; see `FeatureNetwork`."""

    encoder: Any
    decoder: Any
    head: nn.Module

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.encoder = encoder
        names = [f"encoder{level}" for level in range(1, 6)]
        deepest = encoder.output_stride
        self.strides = {name: (min(2 ** (level + 1), deepest),) * 2 for level, name in enumerate(names)}
        self.channels = dict(zip(names, encoder.out_channels[1:], strict=True))

    def encode(self, images: Tensor) -> dict[str, Tensor]:
        """See `FeatureNetwork.encode`."""
        encoder = self.encoder
        stem = nn.Sequential(encoder.conv1, encoder.bn1, encoder.relu)
        stages = [stem, nn.Sequential(encoder.maxpool, encoder.layer1), encoder.layer2, encoder.layer3, encoder.layer4]
        maps: dict[str, Tensor] = {}
        x = images
        for level, stage in enumerate(stages, start=1):
            x = maps[f"encoder{level}"] = self.attached(f"encoder{level}", stage(x))
        return maps

    def classify(self, features: Mapping[str, Tensor]) -> Tensor:
        """See `FeatureNetwork.classify`."""
        logits: Tensor = self.head(features["decoder0"])
        return logits
