"""What a job may take: minutes by measured steps, and more of everything at another attempt."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.shell import shell

from contrastseg import planning
from contrastseg.planning.limits import limit_minutes
from contrastseg.suite import parse_suite

HEADER = "method,stage,spatial_dims,seconds_per_step,pixels_per_step,device"


def job(stage: str = "", **changes: object) -> SimpleNamespace:
    """The wildcards of a run of `simclr`, or of a stage of it."""
    axes = {"suite": "small", "dataset": "lesions", "method": "simclr", "variant": "default", "labels": "r1"}
    stages = {"stage": stage} if stage else {}
    return SimpleNamespace(**{**axes, "draw": "0", "fold": "0", "seed": "0", **stages, **changes})


def jobs(measured: Path, training: Mapping[str, object]) -> planning.Jobs:
    suite = {
        "name": "small",
        "datasets": [{"name": "lesions", "dataset": "phantom_lesions"}],
        "methods": ["supervised", {"name": "simclr", "stages": {"pretrain": {"steps": 4000}}}],
        "labels": ["r1"],
        "training": {"steps": 1000, "batch_size": 4, "patch_size": [32, 32], **training},
    }
    return planning.Jobs(parse_suite(suite)[0], None, step_times_folder=measured)


def table(folder: Path, name: str, *rows: str) -> None:
    (folder / f"methods-{name}.csv").write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("seconds", "minutes"),
    [(None, 1440), (1.0, 60), (450.0, 60), (3600.0, 480), (3601.0, 481), (1e6, 1440)],
    ids=["nobody measured it", "never less than an hour", "an hour", "eight times as long", "rounded up", "a day"],
)
def test_a_limit_is_generous_and_has_ends(seconds: float | None, minutes: int) -> None:
    assert limit_minutes(seconds, 1) == minutes
    assert limit_minutes(seconds, 3) == 3 * minutes


def test_limits_follow_the_measured_steps_of_a_stage(tmp_path: Path) -> None:
    """Twice the pixels and four times the steps take eight times as long."""
    table(tmp_path, "cpu-one", "simclr,train,2,1.0,4096,cpu", "simclr,pretrain,2,0.5,2048,cpu")
    asked = jobs(tmp_path, {"accelerator": "cpu"})
    assert asked.runtime(job(), 1) == math.ceil(8 * 1000 * 1.0 / 60)
    assert asked.runtime(job(), 2) == 2 * asked.runtime(job(), 1)
    assert asked.runtime(job("pretrain"), 1) == math.ceil(8 * 4000 * 0.5 * 2 / 60)
    assert asked.runtime(job(method="supervised"), 1) == 1440


def test_steps_of_a_gpu_say_nothing_of_a_cpu(tmp_path: Path) -> None:
    table(tmp_path, "cpu-one", "simclr,train,2,2.0,4096,cpu", "supervised,train,2,1.0,4096,cpu")
    table(tmp_path, "nvidia", "simclr,train,2,1.0,4096,NVIDIA")
    assert jobs(tmp_path, {"accelerator": "cpu"}).runtime(job(), 1) == math.ceil(8 * 2000 / 60)
    assert jobs(tmp_path, {}).runtime(job(), 1) == math.ceil(8 * 1000 / 60)
    assert jobs(tmp_path, {}).runtime(job(method="supervised"), 1) == math.ceil(8 * 1000 / 60), "better than a guess"


def test_another_attempt_gets_more_memory(tmp_path: Path) -> None:
    asked = jobs(tmp_path, {})
    assert asked.memory_mb(job(), 3) == 3 * asked.memory_mb(job(), 1) > 0
    assert [planning.by_attempt(4000)(job(), attempt) for attempt in (1, 2)] == [4000, 8000]


def test_the_steps_measured_in_the_repository_are_found() -> None:
    """A day is what a stage is given whose steps nobody measured."""
    root = Path(__file__).resolve().parents[2]
    assert jobs(root / "benchmarks" / "speed" / "results", {"accelerator": "cpu"}).runtime(job(), 1) < 1440


def test_snakemake_tells_the_libraries_of_a_job_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands of rules say nothing of it."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    command = "echo $OMP_NUM_THREADS $MKL_NUM_THREADS $OPENBLAS_NUM_THREADS"
    assert shell(command, read=True, threads=3).split() == ["3", "3", "3"]
