"""The demonstration shows something: it is not noise, and a second run of it does nothing."""

from __future__ import annotations

import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from contrastseg.data.files.formats import read_label
from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.prepare.stores import find_prepared, find_split
from contrastseg.data.splits.split_files import Split
from contrastseg.evaluation.metrics.case_scores import score_case

ROOT = Path(__file__).resolve().parents[2]


def snakemake(folder: Path, *options: str, suite: str = "demo") -> str:
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(folder / "Snakefile"), "--cores", "all"]
    command += ["--configfile", f"benchmarks/{suite}.yaml", *options]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout + result.stderr


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    for name in ("contrastseg", "workflow", "profiles", "benchmarks"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Snakefile", "environment.yml"):
        shutil.copy(ROOT / name, folder)
    subprocess.run([sys.executable, "benchmarks/external_row.py"], cwd=folder, check=True, capture_output=True)
    snakemake(folder, suite="demo_tuned")
    snakemake(folder)
    return folder


def mean_shape_dice(folder: Path, entry: str) -> float:
    """Mean Dice of predicting the mean shape of the training labels for every test case.

    Foreground is where some structure lies in more than a share of the training labels; of the shares from 0.1 to 0.6,
    the one that is best on the test cases themselves, which no predictor could know.
    """
    dataset = PreparedDataset(find_prepared(entry, folder / "resources"))
    split = Split.from_file(find_split(entry, folder / "resources"))
    labels = [dataset.load(case).label for case in dataset.cases_of(split.train())]
    depth = max(label.shape[0] for label in labels if label is not None)
    votes = np.zeros((dataset.num_classes, depth, *labels[0].shape[1:]))  # type: ignore[union-attr]
    planar = dataset.info.spatial_dims == 2
    for label in labels:
        assert label is not None
        rows = label if planar else _stretched(label, depth)
        for value in range(dataset.num_classes):
            votes[value] += rows == value
    structures, covered = votes[1:].argmax(0) + 1, 1 - votes[0] / len(labels)
    shapes = [np.where(covered > share, structures, 0).astype(np.uint8) for share in np.arange(0.1, 0.65, 0.1)]
    classes = list(range(1, dataset.num_classes))
    scores = []
    for case in dataset.cases_of(split.test()):
        reference, spacing, _ = read_label(dataset.reference_path(case))
        geometry = dataset.geometry(case)
        guesses = [geometry.to_native(s if planar else _stretched(s, geometry.shape[0]), 0) for s in shapes]
        found = [score_case(guess, reference, spacing, classes, ("dice",)) for guess in guesses]
        scores.append([np.nanmean([row.values["dice"] for row in rows]) for rows in found])
    return float(np.mean(scores, axis=0).max())


def _stretched(label: np.ndarray, depth: int) -> np.ndarray:
    """The volume with its slices repeated or dropped to a depth."""
    return label[np.linspace(0, len(label) - 1, depth).round().astype(int)]


def test_the_external_row_predicts_a_dark_region_inside_the_picture() -> None:
    dark_region = runpy.run_path(str(ROOT / "benchmarks" / "external_row.py"))["dark_region"]
    picture = np.full((3, 40, 40), 200, np.uint8)
    picture[:, :5] = 30
    picture[:, 15:30, 12:28] = 40
    found = dark_region(picture)
    assert found.dtype == np.uint8
    assert 200 <= found.sum() <= 280
    assert found[15:30, 12:28].sum() == found.sum()
    assert not dark_region(np.full((1, 20, 20), 9, np.uint8)).any()


@pytest.mark.long
def test_the_external_row_stands_in_the_table_and_is_entered_once(demo: Path) -> None:
    scores = pd.read_parquet(demo / "results" / "demo" / "scores.parquet")
    row = scores[(scores.method == "threshold") & (scores.metric == "dice")]
    assert set(row["labels"]) == {"r0.05"}
    assert row["value"].mean() > 0.1
    assert "threshold \\[E\\]" in (demo / "results" / "demo" / "tables" / "main.md").read_text()
    again = subprocess.run([sys.executable, "benchmarks/external_row.py"], cwd=demo, check=True, capture_output=True)
    assert again.stdout == b""


@pytest.mark.long
def test_tuned_rows_stand_on_the_page_with_k_and_in_no_table_of_untuned_ones(demo: Path) -> None:
    page = (demo / "results" / "demo" / "report.html").read_text()
    assert "K = 2" in page
    assert "K = 2" not in (demo / "results" / "demo" / "tables" / "main.md").read_text()
    trials = pd.read_csv(demo / "results" / "demo_tuned" / "tuning.csv")
    assert len(trials) == 2 * 2 * 6, "methods, trials, validation patients"
    assert trials.groupby(["method", "trial"])["dice"].mean().between(0.05, 1).all(), "every trial learns something"


@pytest.mark.long
@pytest.mark.parametrize("suite", ["demo_tuned", "demo"])
def test_a_second_run_does_nothing(demo: Path, suite: str) -> None:
    assert "Nothing to be done" in snakemake(demo, suite=suite)


@pytest.mark.long
@pytest.mark.parametrize("entry", ["lesions", "organs"])
def test_supervised_learns_and_labels_help_by_more_than_a_seed(demo: Path, entry: str) -> None:
    scores = pd.read_parquet(demo / "results" / "demo" / "scores.parquet")
    scores = scores[scores.checkpoint == "last"]  # the oracle is selected on the test cases
    chosen = scores[(scores.dataset == entry) & (scores.method == "supervised") & (scores.metric == "dice")]
    means = chosen.groupby(["labels", "seed"])["value"].mean().unstack("seed")
    low, high = means.loc["r0.05"], means.loc["r1"]
    spread = max(low.max() - low.min(), high.max() - high.min())
    assert high.mean() - mean_shape_dice(demo, entry) >= 0.2
    assert high.mean() - low.mean() > spread
