"""Aligned Xception-65, the encoder of DeepLabV3+, stepped so that blocks can be attached between its parts.

Source: Chen et al., ECCV 2018, arXiv 1802.02611; layers and ImageNet weights are timm's, converted from the authors'.
The maps have the names, widths and strides of the released code of PDCR. That code differs in three places: its ReLUs
change their input, so that shortcuts read it too; a ReLU stands before `conv3`; none stands between the depthwise and
the pointwise convolutions of `conv3` to `conv5`. Of these, the first is taken over for `block1`, a map it looks into.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from contrastseg.networks._torchvision import import_torchvision

WEIGHTS = "xception65.tf_in1k"


class Xception(nn.Module):
    """The entry, middle and exit flow without the classifier.

    Args:
        in_channels: Channels of the image; ImageNet's filters are repeated or summed over them.
        output_stride: Stride of the deepest maps, 8 or 16.
        pretrained: Whether ImageNet's weights are downloaded.

    Attributes:
        channels: Width of every map by name, in order of computation.
        strides: Its stride along both axes.
    """

    def __init__(self, in_channels: int, output_stride: int, pretrained: bool) -> None:
        super().__init__()
        import_torchvision()
        import timm

        whole: Any = timm.create_model(
            WEIGHTS, pretrained=pretrained, in_chans=in_channels, output_stride=output_stride, num_classes=0
        )
        self.stem: Any = whole.stem
        self.blocks: Any = whole.blocks
        layout = {
            "encoder_conv1": (32, 2),
            "encoder_conv2": (64, 2),
            "encoder_block1": (128, 4),
            "encoder_block2": (256, 8),
            "encoder_block3": (728, 16),
            "encoder_block19": (728, 16),
            "encoder_block20": (1024, 16),
            "encoder_conv3": (1536, 16),
            "encoder_conv4": (1536, 16),
            "encoder_conv5": (2048, 16),
        }
        self.channels = {name: width for name, (width, _) in layout.items()}
        self.strides = {name: (min(stride, output_stride),) * 2 for name, (_, stride) in layout.items()}

    def stages(self) -> dict[str, Callable[[Tensor], Tensor]]:
        """The parts by the map each ends at, in order of computation."""
        blocks, last = self.blocks, self.blocks[20].stack
        modules = [
            self.stem[0],
            self.stem[1],
            lambda x: torch.relu(blocks[0](x)),
            blocks[1],
            blocks[2],
            blocks[3:19],
            blocks[19],
            last.conv1,
            last.conv2,
            last.conv3,
        ]
        return dict(zip(self.channels, modules, strict=True))
