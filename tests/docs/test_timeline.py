"""The timeline of a workflow: what Snakemake recorded of outputs, as jobs side by side."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture
def timeline() -> ModuleType:
    return importlib.import_module("contrastseg.report.site.timeline")


def record(folder: Path, name: str, rule: str, log: str, start: float, end: float, **other: Any) -> None:
    content = {"rule": rule, "log": [log], "starttime": start, "endtime": end, "incomplete": False, **other}
    file = folder / ".snakemake" / "metadata" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))


def test_jobs_their_rows_and_what_runs_beside_training(timeline: ModuleType, tmp_path: Path) -> None:
    record(tmp_path, "a", "train_supervised", "a.log", 100, 110)
    record(tmp_path, "a2", "train_supervised", "a.log", 100, 112)  # a second output of the same job
    record(tmp_path, "sub/b", "train_pdcr", "b.log", 104, 120)
    record(tmp_path, "c", "score", "c.log", 118, 124)
    record(tmp_path, "d", "tables", "d.log", 124, 125)
    record(tmp_path, "e", "score", "e.log", 90, 300, incomplete=True)
    jobs = timeline.read_jobs(tmp_path)
    assert [(job.kind, job.start, job.end) for job in jobs] == [
        ("train", 0, 12),
        ("train", 4, 20),
        ("score", 18, 24),
        ("tables and figures", 24, 25),
    ]
    assert [len(row) for row in timeline.lanes(jobs)] == [3, 1]
    assert timeline.seconds_beside(jobs, "score", "train") == (2, 6)
    axes = timeline.draw(jobs).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["train", "score", "tables and figures"]
    assert [len(bars.get_paths()) for bars in axes.collections] == [1, 1, 1, 1]
    assert axes.get_xlim() == (0, 25)


def test_a_folder_without_records(timeline: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no record of a finished job"):
        timeline.read_jobs(tmp_path)
