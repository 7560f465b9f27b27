"""Small prepared data sets that tests train on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contrastseg.training.settings import RunConfig

# Only to be quick: the same code with a partner as small as the network. test_cross_teaching.py has the transformer.
SMALL: dict[str, dict[str, Any]] = {
    "cross_teaching": {"partner": {"name": "unet", "channels": [4, 8, 8], "convolutions": 1}}
}


@dataclass(frozen=True)
class Phantom:
    """A small prepared data set with its split: 2D photographs or 3D volumes."""

    spatial_dims: int
    data: Path
    split: Path

    def config(self, method: str, **axes: Any) -> RunConfig:
        """A run on it, short enough for a test; `training` overrides single settings of the budget."""
        from contrastseg.methods import registry
        from contrastseg.training.settings import RunConfig

        strides = [2, 2, 2, 2] if self.spatial_dims == 2 else [[1, 2, 2], [1, 2, 2], [2, 2, 2], [2, 2, 2]]
        training = {
            "network": {"name": "unet", "channels": [4, 8, 8, 8, 8], "strides": strides, "convolutions": 1},
            "steps": 6,
            "batch_size": 2,
            "patch_size": [32, 32] if self.spatial_dims == 2 else [8, 32, 32],
            "checkpoint_every": 2,
            "log_every": 1,
            "accelerator": "cpu",
            **axes.pop("training", {}),
        }
        chosen = {**SMALL.get(method, {}), **(axes.pop("settings", None) or {})}
        if method == "pretrained":
            chosen = {"weights": str(self.weights(training["network"])), **chosen}
        settings = registry.get(method).resolve(axes.get("variant", "default"), chosen)
        return RunConfig(
            entry="phantom",
            spatial_dims=self.spatial_dims,
            method=method,
            settings=settings,
            data=str(self.data),
            split=str(self.split),
            training=training,
            **{"labels": "n2", **axes},
        )

    def weights(self, network: Mapping[str, Any]) -> Path:
        """A file with the encoder of this network beside the data, for methods that start from one."""
        import torch

        from contrastseg.data.prepare.cases import PreparedDataset
        from contrastseg.files import digest
        from contrastseg.networks.registry import build
        from contrastseg.networks.weight_files import write_encoder

        file = self.data.parent / f"encoder-{digest([network, self.spatial_dims])}.safetensors"
        if not file.is_file():
            channels = PreparedDataset(self.data).in_channels
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(23)
                made = build(network, spatial_dims=self.spatial_dims, in_channels=channels, num_classes=2)
            write_encoder(made, file, {})
        return file


_PREPARED, _SPLIT = "prepared", "split.json"


def found_phantoms(folder: Path) -> dict[int, Phantom]:
    """What `make_phantoms` has left in a folder."""
    return {dims: Phantom(dims, folder / f"{dims}d" / _PREPARED, folder / f"{dims}d" / _SPLIT) for dims in (2, 3)}


def make_phantoms(folder: Path) -> dict[int, Phantom]:
    """Prepare and split both in a folder; by dimension: 2 (lesions) and 3 (organs)."""
    from contrastseg.data.prepare.preparation import prepare_dataset
    from contrastseg.data.splits.splits import split_dataset

    made = found_phantoms(folder)
    for dims, dataset, options in (
        (2, "phantom_lesions", {"cases": 8, "size": [40, 48]}),
        (3, "phantom_organs", {"cases": 8, "size": [40, 40]}),
    ):
        rule = {"superpixels": {"scale": 30, "min_size": 20}}
        prepare_dataset("phantom", dataset, options, rule, None, made[dims].data)
        fractions = {"train": 0.5, "val": 0.25, "test": 0.25}
        split_dataset("phantom", made[dims].data, {"fractions": fractions}, made[dims].split)
    return made
