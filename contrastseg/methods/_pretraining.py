"""What methods share that pre-train a network on unlabelled images and then train it as `supervised` does."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from contrastseg.errors import SuiteError, TrainingError
from contrastseg.methods._kinds import check_choice
from contrastseg.methods.contract import Batch, InitialWeights, Sample, Stage, View
from contrastseg.methods.supervised import Supervised

if TYPE_CHECKING:
    from torch import Tensor, nn

# Two views of an image must differ in all that segmentation should not depend on, or images are easily distinguished.
# The crops are those of a random part of half to all of the extent; flips are the suite's, which knows the anatomy.
STRONG: Mapping[str, Any] = {
    "augmentation": {
        "scale": (0.9, 2.0),
        "shift": 0.25,
        "rotation_degrees": 30.0,
        "brightness": 0.3,
        "contrast": (0.5, 1.5),
        "gamma": (0.5, 2.0),
        "noise": 0.1,
    }
}
STRONG_VIEWS = (
    "Views are drawn by this benchmark's batched augmentation (crop, rotation, brightness, contrast, gamma, noise), not"
    " the source's for photographs; a suite sets them in the method's `stages`, as `augmentation` of the stage."
)
POOLING = {"pooling": "max"}
POOLINGS: dict[str, tuple[str, ...]] = {"pooling": ("max", "mean")}
POOLING_OPTION = {
    "pooling": "max: of a map that instance norm has centred the mean is almost the same for every image (cosine 0.998"
    " between ACDC slices in a new network, 0.963 for the maximum; with batch norm 0.93 for both); mean is the source's"
}
TWO_VIEWS = {"first": View("unlabelled", "a"), "second": View("unlabelled", "b")}
LABELLED = {"labelled": View("labelled")}
# What pre-trains the decoder too: one look at unlabelled images, and the whole network is handed on.
DECODER_STAGES = (
    Stage("pretrain", {"images": View("unlabelled")}),
    Stage("train", LABELLED, init_from=(InitialWeights("pretrain", ("network",)),)),
)


def encoder_maps(network: Any) -> list[str]:
    """Names of the encoder's maps, in order of computation.

    Raises:
        SuiteError: The network shows no maps.
    """
    network.require_maps()
    return [name for name in network.channels if name.startswith("encoder")]


def decoder_maps(network: Any) -> list[str]:
    """Names of the decoder's maps, in order of computation: the coarsest first.

    Raises:
        SuiteError: The network has none.
    """
    names = [name for name in network.channels if name.startswith("decoder")]
    if not names:
        raise SuiteError("the network has no decoder maps to pre-train", remedy="choose another network, such as unet")
    return names


def decoder_output(network: Any, head: nn.Module, images: Tensor) -> Tensor:
    """(B, D, *spatial): a head (1×1 convolution) on the decoder's last map, enlarged to the images' size.

    The network's own head has no part in it, and is handed on as it was initialised.
    """
    import torch.nn.functional as F

    output: Tensor = head(network.features(images)[decoder_maps(network)[-1]])
    if output.shape[2:] == images.shape[2:]:
        return output
    return F.interpolate(output, images.shape[2:], mode="bilinear" if images.ndim == 4 else "trilinear")


def encoder_width(network: Any) -> int:
    """Width of the deepest encoder map."""
    width: int = network.channels[encoder_maps(network)[-1]]
    return width


def pooled(features: Tensor, pooling: str) -> Tensor:
    """(B, C): maximum or mean of a map (B, C, *spatial) over its positions.

    Raises:
        SuiteError: `pooling` is neither `max` nor `mean`.
    """
    check_choice("pooling", pooling, POOLINGS["pooling"])
    return features.flatten(2).amax(-1) if pooling == "max" else features.flatten(2).mean(-1)


def momentum_copy(module: nn.Module) -> nn.Module:
    """Make a copy that gets no gradient; `update_moving_average` moves it after every step."""
    return copy.deepcopy(module).requires_grad_(False)


def require_several(sample: Sample, method: str) -> None:
    """Raise where a batch has nothing to contrast an image with.

    Raises:
        TrainingError: The batch holds one image.
    """
    if len(sample.image) < 2:
        raise TrainingError(
            f"{method} contrasts the images of a batch with each other, and a batch has one",
            remedy="set training.unlabelled_batch_size to 2 or more",
        )


class EncoderPretraining(Supervised):
    """Base of methods that pre-train the encoder on two views of unlabelled images; only the encoder is handed on.

    Subclasses implement `build_pretraining` and `pretraining_step`, and `after_pretraining_step` where they average.
    """

    stages: ClassVar[tuple[Stage, ...]] = (
        Stage("pretrain", TWO_VIEWS, training=STRONG),
        Stage("train", LABELLED, init_from=(InitialWeights("pretrain", ("network.encoder",)),)),
    )
    memory_mb = 6000

    def build(self) -> Mapping[str, nn.Module]:
        """The network, and what pre-training adds to it."""
        network = self.task.build_network()
        return {"network": network, **({} if self.task.stage == "train" else self.build_pretraining(network))}

    def training_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """The method's own loss while it pre-trains, `supervised`'s after."""
        if self.task.stage == "train":
            return super().training_step(batch, step)
        return self.pretraining_step(batch, step)

    def unrecordable(self) -> str | None:
        """A step can be recorded; methods whose pre-training cannot say so."""
        return None

    def after_step(self, step: int) -> None:
        """Move averages and queues while the method pre-trains."""
        if self.task.stage != "train":
            self.after_pretraining_step(step)

    def build_pretraining(self, network: Any) -> Mapping[str, nn.Module]:
        """Build heads, averages and queues of the pre-training stage; `network` is built already.

        Returns:
            Modules by name, beside `network`.

        Raises:
            NotImplementedError: A subclass does not say which.
        """
        raise NotImplementedError

    def pretraining_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Compute the named loss terms of a batch of unlabelled views (`first`, `second`).

        Raises:
            NotImplementedError: A subclass does not say how.
        """
        raise NotImplementedError

    def after_pretraining_step(self, step: int) -> None:
        """Called after the optimiser's step of a pre-training stage."""

    def vectors(self, images: Tensor, network: str = "network") -> Tensor:
        """(B, width): the deepest encoder map of images, pooled; the decoder is not computed."""
        module = self.modules[network]
        return pooled(module.encode(images)[encoder_maps(module)[-1]], self.settings["pooling"])

    def both_images(self, batch: Batch) -> Tensor:
        """(2B, C, *spatial): the first view of every image, then the second, for one pass through the network."""
        import torch

        return torch.cat([batch["first"].image, batch["second"].image])
