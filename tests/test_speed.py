"""The speed benchmarks run, compare like with like, and write what they print."""

from __future__ import annotations

import csv
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from contrastseg.planning.step_times import step_costs, step_times

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


@pytest.mark.long
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
    (file,) = tmp_path.glob("methods-cpu-*.csv")
    (cost,) = step_costs(file)
    assert (cost.images, cost.step, cost.as_many, cost.arithmetic) == (8, 1, 1, 1)
    assert cost.memory > 1e8


@pytest.mark.long
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


@pytest.mark.long
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


@pytest.mark.long
def test_batches_beside_a_version_of_the_project(tmp_path: Path) -> None:
    """Counts of two versions, here one and the same, are equal; launches stay few."""
    size = ("--work", "6_slices", "--before", f"before={SPEED.parents[1]}", "--rounds", "1", "--steps", "8")
    command = [sys.executable, str(SPEED / "batches.py"), *size, "--output", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    (file,) = tmp_path.glob("batches-cpu-*.csv")
    with open(file, newline="") as opened:
        ours, before = csv.DictReader(opened)
    assert (ours["contender"], before["contender"]) == ("contrastseg", "before")
    assert [ours[count] for count in ("launches", "sent", "waits")] == [
        before[c] for c in ("launches", "sent", "waits")
    ]
    assert 10 < int(ours["launches"]) <= 40
    assert (ours["sent"], ours["waits"]) == ("1", "0")
    ratio = float(before["host_ms"]) / float(ours["host_ms"])
    assert float(before["times_ours"]) == pytest.approx(ratio, abs=0.1)


@pytest.mark.long
def test_cases_in_common_batches(tmp_path: Path) -> None:
    """The script stops where labels differ; batches are as many as windows of a size fill."""
    size = ("--work", "images_128", "--part", "4", "--rounds", "1")
    command = [sys.executable, str(SPEED / "cases.py"), *size, "--output", str(tmp_path)]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    (file,) = tmp_path.glob("cases-cpu-*.csv")
    with open(file, newline="") as opened:
        rows = {row["contender"]: row for row in csv.DictReader(opened)}
    batches = {"contrastseg": 2, "full batches": 2, "case by case": 48}
    assert {contender: int(row["batches"]) for contender, row in rows.items()} == batches
    for row in rows.values():
        assert (row["windows"], row["window"]) == ("48", "32x32")
        assert float(row["case_ms"]) > 0
        assert row["case_ms"] in shown


@pytest.mark.long
def test_inference_beside_other_programs(tmp_path: Path) -> None:
    """The script stops where logits do not agree, or are compared for windows placed otherwise."""
    command = [sys.executable, str(SPEED / "inference.py"), "--part", "2", "--rounds", "1", "--output", str(tmp_path)]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    (file,) = tmp_path.glob("inference-cpu-*.csv")
    with open(file, newline="") as opened:
        rows = list(csv.DictReader(opened))
    for work, windows in {"acdc_2d": 5 * 3 * 3, "la_3d": 2 * 3 * 3, "ct_3d": 2 * 3 * 3}.items():
        here = {row["contender"]: row for row in rows if row["work"] == work}
        assert {"contrastseg", "bare"} <= set(here)
        assert {int(row["windows"]) for row in here.values()} == {windows}, "counted at the network"
        assert float(here["bare"]["share_outside"]) == 0
        for contender in ("monai", "nnunetv2"):
            if contender not in here:
                assert f"{contender}: not installed" in shown
                continue
            assert float(here[contender]["same_label"]) > 0.95
            assert float(here[contender]["ours_per_window"]) > 0
    assert all(row["hardware"] for row in rows)


@pytest.mark.long
def test_training_beside_the_bare_network(tmp_path: Path) -> None:
    small = ("--work", "acdc_2d", "--part", "0.25", "--channels", "4", "8", "--rounds", "1", "--steps", "3")
    command = [sys.executable, str(SPEED / "training.py"), *small, "--contenders", "contrastseg", "bare"]
    subprocess.run([*command, "--device", "cpu", "--output", str(tmp_path)], check=True, capture_output=True)
    (file,) = tmp_path.glob("training-cpu-*.csv")
    with open(file, newline="") as opened:
        rows = {row["contender"]: row for row in csv.DictReader(opened)}
    ours, bare = rows["contrastseg"], rows["bare"]
    expected = 1 - float(bare["cpu_ms"]) / float(ours["cpu_ms"])
    assert float(ours["cpu_share_outside"]) == pytest.approx(expected, abs=0.05)
    assert float(bare["cpu_share_outside"]) == 0
    assert float(bare["cpu_ms"]) > 0


@pytest.mark.long
def test_streaming_beside_data_in_memory(tmp_path: Path) -> None:
    small = ("--work", "slices", "--cache-gb", "0.002", "--channels", "4", "8", "--rounds", "1", "--steps", "2")
    command = [sys.executable, str(SPEED / "streaming.py"), *small, "--device", "cpu", "--output", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True)
    (file,) = tmp_path.glob("streaming-cpu-*.csv")
    with open(file, newline="") as opened:
        rows = {row["contender"]: row for row in csv.DictReader(opened)}
    assert {name: row["residency"] for name, row in rows.items()} == {
        "held": "host",
        "cold": "mapped",
        "warm": "mapped",
    }
    for row in rows.values():
        assert float(row["set_gb"]) >= 10 * float(row["cache_gb"])
        assert float(row["times_held"]) == pytest.approx(
            float(row["step_ms"]) / float(rows["held"]["step_ms"]), abs=0.01
        )
    assert float(rows["held"]["disk_mib"]) <= float(rows["cold"]["disk_mib"])


@pytest.mark.long
def test_start_and_planning(tmp_path: Path) -> None:
    few = ("--rounds", "1", "--planning-rounds", "1", "--part", "100")
    command = [sys.executable, str(SPEED / "start.py"), *few, "--output", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    (file,) = tmp_path.glob("start-cpu-*.csv")
    with open(file, newline="") as opened:
        rows = {(row["what"], row["contender"]): row for row in csv.DictReader(opened)}
    ours, trivial = rows["planning", "contrastseg"], rows["planning", "trivial workflow"]
    # supervised on nine entries, at three or four label ratios that differ and three seeds: trained, predicted, scored.
    assert 9 * 3 * 3 * 3 <= int(ours["jobs"]) <= 9 * 4 * 3 * 3 * 2
    assert abs(int(trivial["jobs"]) - int(ours["jobs"])) <= 3, "as many jobs"
    assert float(ours["times_trivial"]) == pytest.approx(float(ours["cpu_s"]) / float(trivial["cpu_s"]), rel=1e-2)
    started, floor = rows["first step", "contrastseg"], rows["first step", "import torch"]
    assert float(started["cpu_s"]) > float(floor["cpu_s"]) > 0.1


@pytest.mark.long
def test_options_of_a_step_train_the_same(tmp_path: Path) -> None:
    size = ("--part", "8", "--steps", "2", "--eager", "--work", "acdc_2d", "3d")
    command = [sys.executable, str(SPEED / "options.py"), *size, "--output", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True)
    (file,) = tmp_path.glob("options-cpu-*.csv")
    with open(file, newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert len(rows) == 8
    for work in ("acdc_2d", "3d"):
        losses = [float(row["loss_after"]) for row in rows if row["work"] == work]
        assert losses == pytest.approx([losses[0]] * 4, rel=0.02)
        assert losses[0] > 0.1, "the loss is one"


@pytest.mark.parametrize("file", sorted((SPEED / "results").glob("*.csv")), ids=lambda file: file.stem)
def test_committed_results_name_their_hardware(file: Path) -> None:
    with open(file, newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert rows
    assert all(row["hardware"] for row in rows)


@pytest.mark.long
def test_runs_that_share_a_device(tmp_path: Path) -> None:
    small = ("--runs", "1", "2", "--steps", "4", "--warmup", "1", "--channels", "4", "8", "--threads", "2")
    small += ("--part", "0.25")
    command = [sys.executable, str(SPEED / "sharing.py"), *small, "--device", "cpu", "--output", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True)
    (file,) = tmp_path.glob("sharing-cpu-*.csv")
    with open(file, newline="") as opened:
        one, two = csv.DictReader(opened)
    assert (one["runs"], one["threads_each"], one["times_alone"]) == ("1", "2", "1.0")
    assert (two["runs"], two["threads_each"]) == ("2", "1")
    assert float(two["time_of_all"]) == pytest.approx(2 / float(two["times_alone"]), rel=0.01)
    assert float(two["times_alone"]) == pytest.approx(
        float(two["samples_per_s"]) / float(one["samples_per_s"]), rel=0.01
    )


def test_only_the_time_in_which_all_runs_train_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SPEED))
    together = importlib.import_module("sharing").together
    alone = [float(second) for second in range(20)]
    assert together([alone], 1) == (1.0, 1.0)
    # The second starts late and is slow; before it came the first was twice as fast.
    first = [0.5 * n for n in range(20)] + [10.0 + n for n in range(10)]
    assert together([first, [10.0, 12.0, 14.0, 16.0]], 1) == (1.5, 1.5)
    with pytest.raises(SystemExit, match="at the same time"):
        together([alone, [30.0, 31.0, 32.0]], 1)
