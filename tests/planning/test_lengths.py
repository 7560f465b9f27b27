"""Lengths in epochs before anything is trained: by what is published, then by what is prepared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.prepare.preparation import prepare_dataset
from contrastseg.data.splits.split_files import Split
from contrastseg.data.splits.splits import split_dataset
from contrastseg.planning import Plan, expand
from contrastseg.planning.data_paths import prepared_of, split_of, split_settings
from contrastseg.planning.estimates import estimate
from contrastseg.planning.lengths import lengths
from contrastseg.suite import parse_suite

HEADER = "method,stage,spatial_dims,parameters,seconds_per_step,pixels_per_step,device,torch"


def plan(**entry: Any) -> Plan:
    """Of 12 images or volumes 8 train; 5 epochs of batches of 3."""
    suite = {
        "name": "small",
        "datasets": [{"name": "own", "split": {"fractions": {"train": 0.67, "val": 0, "test": 0.33}}, **entry}],
        "methods": ["supervised", {"name": "simclr", "stages": {"pretrain": {"steps": 40}}}],
        "labels": ["n3", "r1"],
        "seeds": [0, 1],
        "training": {"epochs": 5, "batch_size": 3, "patch_size": [32, 32]},
    }
    return expand(parse_suite(suite)[0])


def steps(found: Plan) -> dict[tuple[str, str], int | None]:
    assert {row["stage"] for row in lengths(found)} == {"train"}, "the pre-training counts steps"
    return {(row["method"], row["labels"]): row["steps"] for row in lengths(found)}


def prepare(found: Plan) -> None:
    (entry,) = found.suite.datasets
    prepare_dataset(entry.name, entry.dataset, entry.options, entry.preparation, None, prepared_of(entry))
    settings = split_settings(found.suite, entry).model_dump()
    split_dataset(entry.name, prepared_of(entry), settings, split_of(found.suite, entry))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_images_are_counted_before_they_are_prepared_and_after() -> None:
    found = plan(dataset="phantom_lesions", options={"cases": 12, "size": [40, 48]})
    expected = {(method, labels): 5 * n for method in ("supervised", "simclr") for labels, n in (("n3", 1), ("r1", 2))}
    assert steps(found) == expected
    Path("methods-here.csv").write_text(f"{HEADER}\nsupervised,train,2,9,0.5,3072,cpu,2.0\n")
    hours = 2 * (5 + 10) * 0.5 / 3600
    assert estimate(found, Path())["device_hours_left"].startswith(f"{hours:.2f} (steps measured on here)")
    prepare(found)
    assert steps(found) == expected


def test_slices_are_known_when_volumes_are_prepared() -> None:
    found = plan(dataset="phantom_organs", spatial_dims=2, options={"cases": 12, "size": [40, 40]})
    assert set(steps(found).values()) == {None}
    assert estimate(found, Path("absent"))["device_hours_left"].startswith("unknown")
    prepare(found)
    (entry,) = found.suite.datasets
    dataset, split = PreparedDataset(prepared_of(entry)), Split.from_file(split_of(found.suite, entry))
    for (_, labels), number in steps(found).items():
        slices = sum(dataset.geometry(case).shape[0] for case in dataset.cases_of(split.labelled(labels)))
        assert number == 5 * (slices // 3)
