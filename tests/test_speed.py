"""The speed benchmarks run, compare like with like, and write what they print."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from contrastseg.cli.measured import step_times

SPEED = Path(__file__).resolve().parent.parent / "benchmarks" / "speed"


@pytest.mark.long
def test_preparation_beside_nnunet(tmp_path: Path) -> None:
    size = ("--cases", "2", "--shape", "12", "40", "40", "--rounds", "1")
    command = [sys.executable, str(SPEED / "preparation.py"), *size, "--output", str(tmp_path), "--note", "a test"]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    (file,) = tmp_path.glob("preparation-cpu-*.csv")
    with open(file, newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert [row["contender"] for row in rows] == ["nnunetv2", "contrastseg"] * 2
    for row in rows:
        assert float(row["cases_per_s"]) > 0
        assert float(row["peak_mib"]) > 50
        assert row["cases_per_s"] in shown
    assert {row["note"] for row in rows} == {"a test"}


def test_losses_beside_other_forms(tmp_path: Path) -> None:
    """Every loss has its plain form, and all forms agree: the script stops where they do not."""
    command = [sys.executable, str(SPEED / "losses.py"), "--part", "16", "--rounds", "1", "--output", str(tmp_path)]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "not measured" not in shown
    (file,) = tmp_path.glob("losses-cpu-*.csv")
    with open(file, newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert len(rows) >= 15
    for row in rows:
        assert float(row["ratio"]) > 0
        assert row["loss"] in shown
        assert row["hardware"]
        assert 0 < float(row["memory_exponent"]) < 2.5
    by_loss = {row["loss"]: row for row in rows}
    assert {loss for loss, row in by_loss.items() if row["monai_ms"]} == {
        "nt_xent_loss",
        "soft_dice_loss",
        "dice_ce_loss",
    }
    assert float(by_loss["nt_xent_loss"]["product_ms"]) > 0
    # 128 similarities a side against 128 x 128 x 128 products: what is measured is the loss and not its inputs.
    assert float(by_loss["nt_xent_loss"]["monai_mib"]) > 20 * float(by_loss["nt_xent_loss"]["ours_mib"])
    assert float(by_loss["paired_info_nce_loss"]["memory_exponent"]) == pytest.approx(2, abs=0.1)
    assert float(by_loss["cross_entropy_loss"]["memory_exponent"]) == pytest.approx(1, abs=0.1)
    assert any(row["lightly_ms"] for row in rows) != ("lightly is left out" in shown)


def test_steps_of_methods(tmp_path: Path) -> None:
    """A row per stage, and `contrastseg plan` reads it."""
    size = ("--methods", "supervised", "--dims", "2", "--steps", "4", "--patch", "32", "32")
    subprocess.run([sys.executable, str(SPEED / "methods.py"), *size, "--output", str(tmp_path)], check=True)
    found = step_times(tmp_path)["supervised"]
    assert found.hardware.startswith("cpu-")
    assert found.steps["train", 2].seconds > 0
    assert found.steps["train", 2].pixels == 8 * 32 * 32


def test_statistics_of_a_grid(tmp_path: Path) -> None:
    sizes = ("--datasets", "3", "--methods", "3", "--ratios", "1", "--patients", "6", "--note", "a test")
    command = [sys.executable, str(SPEED / "comparisons.py"), *sizes, "--output", str(tmp_path)]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    (file,) = tmp_path.glob("comparisons-cpu-*.csv")
    with open(file, newline="") as opened:
        rows = {row["step"]: row for row in csv.DictReader(opened)}
    # 3 data sets × 2 metrics: 3 methods each with 3 classes and their mean; 3 tests with the reference's row; 3 pairs.
    assert {step: int(row["rows"]) for step, row in rows.items()} == {
        "summary": 72,
        "comparisons": 18,
        "pairs": 18,
        "rankings": 18,
        "critical": 6,
    }
    assert all(f"step {step}" in shown for step in rows)


def test_metrics_beside_other_programs(tmp_path: Path) -> None:
    """The values agree, or the script stops; whoever is not here is named."""
    command = [sys.executable, str(SPEED / "metrics.py"), "--part", "16", "--rounds", "1", "--output", str(tmp_path)]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    (file,) = tmp_path.glob("metrics-cpu-*.csv")
    with open(file, newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert [row["case"] for row in rows if row["contender"] == "contrastseg"] == [
        *("2D", "ACDC-like", "LA-like", "CT-like", "CT-like, disjoint", "CT-like, 13 classes", "memory, 13 classes")
    ]
    for contender in ("monai", "medpy", "surface_distance"):
        assert contender in {row["contender"] for row in rows} or f"{contender}: not installed" in shown
    for row in rows:
        assert row["hardware"]
        assert row["case"] in shown
        if row["contender"] in ("monai", "medpy"):
            assert row["agrees"] == "to 1e-4"
    assert int(rows[-1]["peak_mib"]) > 20
    assert "MISSED" not in shown, "targets are about the full sizes"


@pytest.mark.parametrize("file", sorted((SPEED / "results").glob("*.csv")), ids=lambda file: file.stem)
def test_committed_results_name_their_hardware(file: Path) -> None:
    with open(file, newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert rows
    assert all(row["hardware"] for row in rows)
