"""The soak itself, on a stand-in for Snakemake whose jobs only sleep and write."""

from __future__ import annotations

import csv
import random
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.soak import COLUMNS, KINDS, Soak, soak
from tests.workflow.warm import interpreter

STEPS = ("train", "predict", "score", "report")
# The jobs one after the other, each started where its file is not there; fails where one of them does.
DRIVER = """
import os, pathlib, subprocess, sys
lock = pathlib.Path("lock")
if "--unlock" in sys.argv:
    lock.unlink()
    sys.exit()
if lock.exists():
    sys.exit(2)
lock.touch()
pathlib.Path("results").mkdir(exist_ok=True)
for name in ("train", "predict", "score", "report"):
    if not pathlib.Path("results", name).exists():
        if subprocess.call([os.environ["JOBS"], "-m", "contrastseg", name]):
            lock.unlink()
            sys.exit(1)
lock.unlink()
"""
JOB = """
import pathlib, sys, time
time.sleep(0.4)
pathlib.Path("results", sys.argv[1]).write_text({content})
"""


@pytest.fixture(params=["own", "forked"])
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Callable[..., Soak]:
    (tmp_path / "contrastseg").mkdir()
    (tmp_path / "driver.py").write_text(DRIVER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    python = sys.executable if request.param == "own" else str(Path(interpreter()).with_name("python"))
    monkeypatch.setenv("JOBS", python)

    def make(content: str = "sys.argv[1]", **settings: float) -> Soak:
        (tmp_path / "contrastseg" / "__main__.py").write_text(JOB.format(content=content))
        return Soak([sys.executable, str(tmp_path / "driver.py")], "results", **{"delay_s": 0.2, **settings})

    return make


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_kills_restarts_and_equal_results_are_counted(plan: Callable[..., Soak], tmp_path: Path) -> None:
    assert soak(plan(kills=3), tmp_path / "soak", 2, 1, tmp_path / "soak.csv")
    found = rows(tmp_path / "soak.csv")
    assert list(found[0]) == list(COLUMNS)
    assert [row["round"] for row in found] == ["1", "2"]
    kills = [sum(int(row[f"killed_{kind}"]) for kind in KINDS) for row in found]
    assert sum(kills) > 0
    assert max(kills) <= 3
    for row, killed in zip(found, kills, strict=True):
        assert int(row["restarts"]) <= killed
        assert (row["equal"], row["files_that_differ"]) == ("True", "0")


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_process_is_hit(
    plan: Callable[..., Soak], tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.soak.KINDS", (kind,))
    counts = plan(kills=1).round(tmp_path / "round", random.Random(0))
    assert counts[f"killed_{kind}"] == counts["restarts"] == 1
    assert sorted(path.name for path in (tmp_path / "round" / "results").iterdir()) == sorted(STEPS)


def test_results_that_are_others_are_found(
    plan: Callable[..., Soak], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not soak(plan("repr(time.time())", kills=0), tmp_path / "soak", 1, 0, tmp_path / "soak.csv")
    (row,) = rows(tmp_path / "soak.csv")
    assert (row["equal"], row["files_that_differ"], row["restarts"]) == ("False", "4", "0")
    assert "predict" in capsys.readouterr().out
    assert (tmp_path / "soak" / "round1").is_dir(), "it is kept, to be looked at"


def test_a_failure_of_its_own_is_no_kill(plan: Callable[..., Soak], tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="undisturbed run failed"):
        soak(plan("1 / 0"), tmp_path / "soak", 1, 0, tmp_path / "soak.csv")
