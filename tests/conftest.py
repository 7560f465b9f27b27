"""What every test may ask for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from contrastseg.training.settings import RunConfig

# The tests compare results, not speed: one thread keeps sums in one order and leaves the other cores to others.
# Libraries read these variables when they are first imported, so they are set before any test module is.
for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
os.environ.setdefault("MPLBACKEND", "Agg")
# That a busy machine was slow is no finding of a test.
settings.register_profile("here", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("here")


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real samples, one sub-folder per data set in its published layout."""
    folder = os.environ.get("CONTRASTSEG_TEST_DATA")
    if not folder:
        pytest.skip("CONTRASTSEG_TEST_DATA is not set: a folder with real samples, one sub-folder per data set")
    if not Path(folder).is_dir():
        pytest.fail(f"CONTRASTSEG_TEST_DATA names {folder}, which is not a folder")
    return Path(folder)


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
        settings = registry.get(method).resolve(axes.get("variant", "default"), axes.pop("settings", None))
        return RunConfig(
            dataset="phantom",
            spatial_dims=self.spatial_dims,
            method=method,
            settings=settings,
            data=str(self.data),
            split=str(self.split),
            training=training,
            **{"labels": "n2", **axes},
        )


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Phantom]:
    """Small prepared phantoms by dimension: 2 (lesions) and 3 (organs)."""
    from contrastseg.data.preparation import prepare_dataset
    from contrastseg.data.splits import split_dataset

    made = {}
    for dims, dataset, options in (
        (2, "phantom_lesions", {"cases": 8, "size": [40, 48]}),
        (3, "phantom_organs", {"cases": 8, "size": [40, 40]}),
    ):
        folder = tmp_path_factory.mktemp(dataset)
        rule = {"superpixels": {"scale": 30, "min_size": 20}}
        prepare_dataset("phantom", dataset, options, rule, None, folder / "prepared")
        fractions = {"train": 0.5, "val": 0.25, "test": 0.25}
        split_dataset("phantom", folder / "prepared", {"fractions": fractions}, folder / "split.json")
        made[dims] = Phantom(dims, folder / "prepared", folder / "split.json")
    return made
