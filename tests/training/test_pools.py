"""Stages without labels draw from a pool, and refuse one that does not fit."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.splits.pool_files import Pool, pool_cases, pool_hash
from contrastseg.data.splits.pools import PoolSettings, write_pool
from contrastseg.data.splits.split_files import Split
from contrastseg.errors import PoolError, TrainingError
from contrastseg.files import write_json
from contrastseg.methods import registry
from contrastseg.methods.contract import Batch, InitialWeights, Stage, View
from contrastseg.methods.supervised import Supervised
from contrastseg.training import checkpoints
from contrastseg.training.run import train
from contrastseg.training.settings import RunConfig
from contrastseg.training.storage import JoinedStorage, Storage
from contrastseg.training.training_cases import cases_of_run
from tests.pooling import prepared, renamed

CPU = torch.device("cpu")


class Looks(Supervised):
    """Looks at images, then trains: the smallest method with a stage that uses no labels."""

    name = "looks"
    stages = (
        Stage("look", {"image": View("unlabelled")}),
        Stage("train", {"labelled": View("labelled")}, init_from=(InitialWeights("look", ("network",)),)),
    )

    def training_step(self, batch: Batch, step: int) -> dict[str, Any]:
        """Quiet answers to images alone, the segmentation loss otherwise."""
        if "image" not in batch:
            return super().training_step(batch, step)
        assert batch["image"].label is None
        return {"quiet": self.modules["network"](batch["image"].image).square().mean()}


@dataclass(frozen=True)
class Pooled:
    """The phantom's own training patients and an archive of another type, size and name that holds its images too."""

    phantom: Any
    archive: PreparedDataset
    pool: Path

    def config(self, **changes: Any) -> RunConfig:
        config = self.phantom.config("looks", **{"stage": "look", **changes.pop("axes", {})})
        places = {"phantom": self.phantom.data, "archive": self.archive.folder}
        folders = {name: str(folder) for name, folder in places.items()}
        return config.model_copy(update={"pool": str(self.pool), "pool_data": folders, **changes})

    def edited(self, path: Path, edit: Any) -> Path:
        value = json.loads(self.pool.read_text())
        edit(value)
        write_json(path, value)
        return path


@pytest.fixture
def pooled(phantoms: dict[int, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pooled:
    monkeypatch.setattr(registry, "get", lambda name: Looks)
    phantom = phantoms[2]
    archive = prepared(tmp_path, "archive", renamed("archive"), {"intensity": "uint8"}, cases=12, size=[40, 48])
    settings = PoolSettings(entry="phantom", sources=("phantom", "archive"), tests={"phantom": (0,)})
    folders = {"phantom": phantom.data, "archive": archive.folder}
    pool = write_pool(settings, folders, {"phantom": phantom.split}, tmp_path / "pool.json")
    return Pooled(phantom, archive, pool)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(checkpoints.load(folder / "checkpoints" / "last.ckpt")["modules"])


def test_the_pool_is_what_is_looked_at_and_the_record_says_so(pooled: Pooled, tmp_path: Path) -> None:
    record = train(pooled.config(), tmp_path / "run")
    pool = Pool.from_file(pooled.pool)
    split = Split.from_file(pooled.phantom.split)
    assert pool.cases_of("phantom") == sorted(split.train())
    others = 12 - len(split.train()) - len(split.test())
    assert len(pool.cases_of("archive")) == others >= 4
    assert record["unlabelled_count"] == len(split.train()) + others
    assert record["pool"] == {"hash": pool.hash, "sources": ["phantom", "archive"]}
    train(pooled.config(), tmp_path / "again")
    alone = pooled.config(pool="", pool_data={})
    assert train(alone, tmp_path / "alone")["pool"] is None
    one, other, third = (weights(tmp_path / name) for name in ("run", "again", "alone"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert not all(torch.equal(one[name], third[name]) for name in one)


class Mixes(Supervised):
    """Learns from labelled and unlabelled images."""

    name = "mixes"
    stages = (Stage("train", {"labelled": View("labelled"), "unlabelled": View("unlabelled")}),)


def test_a_stage_with_labels_has_its_own_labelled_cases_and_the_rest_of_the_pool(
    pooled: Pooled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "get", lambda name: Mixes)
    dataset, split = PreparedDataset(pooled.phantom.data), Split.from_file(pooled.phantom.split)
    config = pooled.config(axes={"stage": "train", "labels": "n2"})
    pool, cases = cases_of_run(config, dataset, split)
    assert pool is not None
    ((own, labelled),) = cases["labelled"]
    assert own.folder == dataset.folder
    assert labelled == dataset.cases_of(split.labelled("n2"))
    assert len(labelled) == 2
    (first, others), (second, archived) = cases["unlabelled"]
    assert (first.folder, second.folder) == (dataset.folder, pooled.archive.folder)
    assert sorted([*labelled, *others]) == pool.cases_of("phantom")
    assert archived == pool.cases_of("archive")
    every = config.model_copy(update={"labels": "r1"})
    assert [there.folder for there, _ in cases_of_run(every, dataset, split)[1]["unlabelled"]] == [second.folder]


def test_a_later_stage_takes_over_what_was_learnt_from_the_pool(pooled: Pooled, tmp_path: Path) -> None:
    train(pooled.config(), tmp_path / "look")
    initial = {"look": str(tmp_path / "look" / "checkpoints" / "last.ckpt")}
    final = pooled.config(pool="", pool_data={}, initial=initial, axes={"stage": "train"})
    assert train(final, tmp_path / "run")["taken_over"]


def test_nothing_but_the_cases_used_is_opened(pooled: Pooled, tmp_path: Path) -> None:
    """Images that were left out, and every label, are gone; the weights are the same."""
    train(pooled.config(), tmp_path / "with")
    pool = Pool.from_file(pooled.pool)
    folders = {}
    for entry, folder in pooled.config().pool_data.items():
        shutil.copytree(folder, tmp_path / "copies" / entry)
        folders[entry] = str(tmp_path / "copies" / entry)
        shutil.rmtree(tmp_path / "copies" / entry / "references")
        for case in PreparedDataset(folder).cases:
            there = tmp_path / "copies" / entry / "cases" / case
            (there / "label.npy").unlink()
            if case not in pool.cases_of(entry):
                shutil.rmtree(there)
    train(pooled.config(data=folders["phantom"], pool_data=folders), tmp_path / "without")
    one, other = weights(tmp_path / "with"), weights(tmp_path / "without")
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_test_case_inside_is_refused_even_where_the_file_does_not_know_it(pooled: Pooled, tmp_path: Path) -> None:
    (tested,) = Split.from_file(pooled.phantom.split).test()[:1]
    (case,) = pool_cases("archive", pooled.archive, [tested.replace("lesion", "archive")])

    def slip_in(value: dict[str, Any]) -> None:
        value["tests"] = []
        value["used"].append(vars(case))
        value["hash"] = pool_hash([*Pool.from_file(pooled.pool).used, case])

    path = pooled.edited(tmp_path / "leaky.json", slip_in)
    with pytest.raises(PoolError, match=f"a test case is inside .* phantom/{tested}") as caught:
        train(pooled.config(pool=str(path)), tmp_path / "run")
    assert caught.value.case == f"archive/{case.case}"
    assert not (tmp_path / "run").exists()


def test_pools_that_do_not_fit_the_run(pooled: Pooled, phantoms: dict[int, Any], tmp_path: Path) -> None:
    other = pooled.edited(tmp_path / "other.json", lambda value: value.update(fold=1))
    with pytest.raises(PoolError, match="made for phantom, fold 1"):
        train(pooled.config(pool=str(other)), tmp_path / "run")
    with pytest.raises(PoolError, match="no prepared data is given for archive"):
        train(pooled.config(pool_data={"phantom": str(pooled.phantom.data)}), tmp_path / "run")
    organs = {"phantom": str(pooled.phantom.data), "archive": str(phantoms[3].data)}
    with pytest.raises(PoolError, match="1 channels, those of phantom have 3"):
        train(pooled.config(pool_data=organs), tmp_path / "run")
    with pytest.raises(TrainingError, match="stage train of looks uses labels"):
        train(pooled.config(axes={"stage": "train"}, initial={}), tmp_path / "run")


def test_photographs_do_not_join_volumes(pooled: Pooled, tmp_path: Path) -> None:
    with pytest.raises(PoolError, match="has no volumes"):
        train(pooled.config(spatial_dims=3, axes={"training": {"patch_size": [8, 16, 16]}}), tmp_path / "run")


def test_joined_storages_give_each_unit_as_its_own_storage_does(pooled: Pooled) -> None:
    def held(dataset: PreparedDataset) -> Storage:
        return Storage(dataset, dataset.cases[:3], with_labels=False, spatial_dims=2, device=CPU, residency="host")

    own, archive = held(PreparedDataset(pooled.phantom.data)), held(pooled.archive)
    assert own.images[own.units[0].case].dtype != archive.images[archive.units[0].case].dtype
    joined = JoinedStorage({"phantom": own, "archive": archive})
    assert [unit.case for unit in joined.units] == [
        *(f"phantom/{unit.case}" for unit in own.units),
        *(f"archive/{unit.case}" for unit in archive.units),
    ]
    starts = np.array([[0, 0], [3, -2], [30, 40], [1, 1]])
    blocks = joined.blocks(np.array([5, 0, 2, 3]), starts, (16, 16))
    taken = blocks.take("image", torch.from_numpy(blocks.numbers))
    parts = [(archive, 2), (own, 0), (own, 2), (archive, 0)]
    for block, start, (storage, unit) in zip(taken, starts, parts, strict=True):
        alone = storage.blocks(np.array([unit]), start[None], (16, 16))
        assert torch.equal(block, alone.take("image", torch.from_numpy(alone.numbers))[0])
    assert joined.extents[4].tolist() == archive.extents[1].tolist()
