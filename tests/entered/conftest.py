"""A small suite, prepared and split; maps that fit it; and the commands that enter and score them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

from contrastseg.cli import app
from contrastseg.data.files.formats import read_label
from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.prepare.preparation import prepare_dataset
from contrastseg.data.splits.splits import split_dataset
from contrastseg.errors import ContrastsegError, EnterError
from contrastseg.evaluation.scoring.collect import read_table
from contrastseg.files import read_json
from contrastseg.planning.data_paths import prepared_of, split_of, split_settings
from contrastseg.suite import Suite, load_suite

ROOT = Path(__file__).resolve().parents[2]
SUITE = {
    "name": "tiny",
    "datasets": [
        {"name": "lesions", "dataset": "phantom_lesions", "options": {"cases": 10, "size": [32, 40]}},
        {"name": "organs", "dataset": "phantom_organs", "options": {"cases": 8, "size": [24, 32]}},
    ],
    "methods": ["supervised"],
    "labels": ["r0.4", "r1"],
    "training": {"steps": 2, "patch_size": [32, 32]},
    "evaluation": {"metrics": ["dice"]},
}
SUITE["datasets"][1]["training"] = {"patch_size": [32, 32, 32]}  # type: ignore[index]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the suite's prepared data and splits, and no results."""
    folder = tmp_path_factory.mktemp("entered")
    before = Path.cwd()
    os.chdir(folder)
    try:
        Path("tiny.yaml").write_text(yaml.safe_dump(SUITE))
        suite = load_suite("tiny.yaml")
        for entry in suite.datasets:
            store = prepared_of(entry)
            prepare_dataset(entry.name, entry.dataset, entry.options, entry.preparation, None, store)
            split_dataset(entry.name, store, split_settings(suite, entry), split_of(suite, entry))
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def work(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, as working directory."""
    folder = tmp_path / "work"
    shutil.copytree(prepared, folder)
    monkeypatch.chdir(folder)
    return folder


def invoke(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(one) for one in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def enter(folder: Path | str, *more: object, entry: str = "lesions", method: str = "mine") -> str:
    where = ("--suite", "tiny.yaml", "--entry", entry, "--method", method, "--labels", "r0.4")
    return invoke("enter", folder, *where, *more)


def refused(folder: Path | str, *more: object, kind: type = EnterError, **axes: str) -> ContrastsegError:
    """The error of an `enter`, which must leave the results as they were."""
    before = stored()
    with pytest.raises(kind) as caught:
        enter(folder, *more, **axes)
    assert stored() == before
    return caught.value


def stored() -> dict[str, bytes]:
    """Every file of the entered runs; the lock is none."""
    root = Path("results/tiny/entered")
    files = (file for file in root.rglob("*") if file.is_file() and file.name != ".entering.lock")
    return {str(file.relative_to(root)): file.read_bytes() for file in files}


def suite() -> Suite:
    return load_suite("tiny.yaml")


def dataset(entry: str) -> PreparedDataset:
    return PreparedDataset(prepared_of(suite().entry(entry)))


def expected_cases(entry: str) -> list[str]:
    split = read_json(split_of(suite(), suite().entry(entry)))
    return dataset(entry).cases_of(split["folds"][0]["test"], labelled=True)


def reference(entry: str, case: str) -> NDArray:
    return read_label(dataset(entry).reference_path(case))[0]


def maps(entry: str, folder: str = "maps", change: Callable[[NDArray], NDArray] = lambda labels: labels) -> Path:
    """The references themselves as predictions, changed."""
    path = Path(folder)
    path.mkdir(exist_ok=True)
    for case in expected_cases(entry):
        truth = dataset(entry).reference_path(case)
        if truth.suffix == ".png":
            Image.fromarray(change(reference(entry, case))).save(path / truth.name)
        else:
            image = nibabel.load(truth)
            values = change(np.asarray(image.dataobj).astype(np.uint8))
            nibabel.save(nibabel.Nifti1Image(values, image.affine), path / truth.name)
    return path


def collected(*more: str) -> tuple[object, list[dict]]:
    """Scores and records after scoring what was entered."""
    for index in Path("results/tiny/entered").rglob("predictions.json"):
        output = index.parents[3] / "scores" / index.parts[-3] / f"{index.parts[-2]}.csv"
        store = prepared_of(suite().entry(index.parts[-3]))
        invoke("score", "--prediction", index.parent, "--reference", store, "--output", output, "--metric", "dice")
    invoke("plan", "tiny.yaml", "--output", "results/tiny/plan.json")
    invoke("collect", "--results", "results/tiny", "--partial")
    folder = Path("results/tiny/unfinished")
    return read_table(folder / "scores.parquet"), read_json(folder / "cards.json")


def resplit(entry: str, seed: int) -> None:
    """Another split in the place of the present one, as edited data or an edited list would give."""
    item = suite().entry(entry)
    file = split_of(suite(), item)
    file.unlink()
    settings = split_settings(suite(), item).model_copy(update={"seed": seed})
    split_dataset(entry, prepared_of(item), settings, file)
