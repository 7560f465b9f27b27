"""From a run's configuration to a method with its modules, the same for training and for prediction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from contrastseg.errors import CheckpointError, TrainingError
from contrastseg.methods import registry
from contrastseg.methods.contract import Method, Task
from contrastseg.networks.features import FeatureNetwork
from contrastseg.networks.registry import build
from contrastseg.training import checkpoints
from contrastseg.training.seeds import stream_seed
from contrastseg.training.settings import RunConfig, TrainingSettings
from contrastseg.training.stages import staged
from contrastseg.training.starting_weights import starting_weights


def stage_training(config: RunConfig) -> TrainingSettings:
    """Get the settings that the run's stage trains with."""
    return staged(config.training, registry.get(config.method), config.stage, config.stage_training, config.settings)


def build_method(
    config: RunConfig,
    in_channels: int,
    num_classes: int,
    training: TrainingSettings | None = None,
    on_weights: Callable[[dict[str, Any]], None] | None = None,
) -> Method:
    """Build the method with freshly initialised modules; initialisation depends on (seed, stage) alone.

    Args:
        config: The run.
        in_channels: Channels of the image.
        num_classes: Classes including background.
        training: Settings of its stage with their length in steps; those of the configuration if unset. Where these
            count epochs the method predicts and takes no step.
        on_weights: Called with how a file of weights went into each network. Without it the file is not read: a method
            that is restored has its weights from a checkpoint.

    Raises:
        TrainingError: A network's strides do not divide the patch.
        CheckpointError: The file of weights cannot be read, or is of another network.
    """
    training = training or stage_training(config)
    start = None if on_weights is None else starting_weights(training.network, on_weights)

    def build_network(in_channels: int = in_channels, num_classes: int = num_classes, **options: Any) -> FeatureNetwork:
        sizes = {"spatial_dims": config.spatial_dims, "in_channels": in_channels, "num_classes": num_classes}
        network = build({**training.network, **options}, **sizes)
        if start is not None and "name" not in options:
            start(network)
        return network

    task = Task(
        config.spatial_dims,
        in_channels,
        num_classes,
        training.steps or 0,
        config.stage,
        build_network,
        tuple(training.patch_size),
        tuple(training.augmentation.flip_axes),
        training.segmentation.model_dump(),
    )
    method = registry.get(config.method)(task, config.settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(config.seed, "initialisation", config.stage))
        method.modules = nn.ModuleDict(method.build())
    _check_patch(method, training.patch_size)
    return method


def _check_patch(method: Method, patch: Sequence[int]) -> None:
    for network in method.modules.values():
        if isinstance(network, FeatureNetwork):
            if network.input_size not in (None, tuple(patch)):
                raise TrainingError(
                    f"patch_size is {list(patch)}, and the network is made for {list(network.input_size or ())}",
                    remedy="give the network (img_size) and training.patch_size one size",
                )
            divisor = network.divisor
            if any(size % step for size, step in zip(patch, divisor, strict=True)):
                raise TrainingError(
                    f"patch_size {list(patch)} is not a multiple of the network's strides, {list(divisor)}",
                    remedy="round patch_size to multiples, or give the network fewer levels or smaller strides",
                )


def load_initial_weights(method: Method, config: RunConfig) -> dict[str, str]:
    """Load the weights that the stage starts from, out of earlier stages' checkpoints.

    Args:
        method: With its modules built; those that start from earlier weights are changed in place.
        config: Its `initial` has the checkpoint of every earlier stage.

    Returns:
        Per module with initial weights, the checkpoint they came from.

    Raises:
        CheckpointError: No checkpoint is given for a stage, or it lacks a module or has other shapes.
    """
    weights_from = {}
    for weights in type(method).stage(config.stage).init_from:
        path = config.initial.get(weights.stage)
        if path is None:
            raise CheckpointError(
                f"stage {config.stage} of {config.method} starts from {weights.stage}, and no checkpoint is given",
                remedy=f"pass --initial {weights.stage}=CHECKPOINT",
            )
        state = checkpoints.load(path)["modules"]
        for name in weights.modules:
            load_module(method.modules.get_submodule(name), name, state, path)
            weights_from[name] = path
    return weights_from


def load_module(module: nn.Module, name: str, state: Mapping[str, Any], path: str) -> None:
    """Load the part of a checkpoint's state that belongs to one module, all of it or nothing.

    Args:
        module: Gets the weights.
        name: Its name in the checkpoint, dotted where it is a part of one.
        state: Tensors by name.
        path: Of the checkpoint, for messages.

    Raises:
        CheckpointError: A tensor is missing, left over, or of another shape.
    """
    prefix = f"{name}."
    module_state = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    try:
        module.load_state_dict(module_state)
    except RuntimeError as error:
        raise CheckpointError(
            f"the weights of {name} do not fit: {' '.join(str(error).split())[:300]}",
            file=path,
            remedy="use the same network settings in both stages",
        ) from error


def restore(method: Method, state: Mapping[str, Any], path: str) -> None:
    """Load a checkpoint's modules into a method built from the same configuration.

    Args:
        method: With its modules built.
        state: Tensors by name, of all modules.
        path: Of the checkpoint, for messages.

    Raises:
        CheckpointError: The checkpoint does not fit the method.
    """
    try:
        method.modules.load_state_dict(state)
    except RuntimeError as error:
        raise CheckpointError(
            f"the checkpoint does not fit its method: {' '.join(str(error).split())[:300]}",
            file=path,
            remedy="train again: the method's code has changed since",
        ) from error
