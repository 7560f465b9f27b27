"""`make gpu`: what comes next, what is written down, and what a call that was cut short leaves to the next."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Imports a module of `benchmarks/gpu`, whose scripts find each other and those of `benchmarks/speed`."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for folder in ("speed", "gpu"):
        monkeypatch.syspath_prepend(str(ROOT / "benchmarks" / folder))
    return importlib.import_module


def item(gpu: Callable[[str], ModuleType], name: str, seconds: float = 1, code: str = "", **more: Any) -> Any:
    return gpu("_schedule").Item(name, "made up", (sys.executable, "-c", code), seconds, **more)


def test_the_first_that_fits_is_next_and_what_failed_comes_last(gpu):
    following = gpu("_schedule").following
    listed = [item(gpu, name, seconds) for name, seconds in (("a", 100), ("b", 10), ("c", 10))]
    names = [
        found.name if (found := following(listed, record, tried, left)) else None
        for record, tried, left in (
            ({}, set(), 100),
            ({}, set(), 99),
            ({}, set(), 9),
            ({"a": {"status": "done"}}, set(), 100),
            ({}, {"a"}, 1000),
            ({"a": {"status": "failed"}}, set(), 1000),
            ({"a": {"status": "failed"}, "b": {"status": "done"}, "c": {"status": "done"}}, set(), 1000),
            ({name: {"status": "done"} for name in "abc"}, set(), 1000),
        )
    ]
    assert names == ["a", "b", None, "b", "b", "b", "a", None]


def test_what_was_cut_off_waits_for_more_than_it_had_and_what_goes_on_does_not(gpu):
    needed = gpu("_schedule").needed
    whole, sliced = item(gpu, "a", 60), item(gpu, "b", 60, sliced=True)
    assert needed(whole, None) == 60
    assert needed(whole, {"status": "cut off", "last_s": 100.0}) == 125
    assert needed(whole, {"status": "cut off", "last_s": 1.0}) == 60
    assert needed(sliced, {"status": "begun", "last_s": 100.0}) == 60


def test_the_deadline_keeps_time_for_the_table(gpu):
    now = 1000.0
    deadline = gpu("_schedule").Deadline(8, lambda: now)
    assert deadline.left() == 470
    assert gpu("_schedule").Deadline(0.5, lambda: now).left() == 27
    now = 1480.0
    assert deadline.left() == -10


def test_the_list_is_fixed_and_gives_at_most_eight_files(gpu):
    listing = gpu("_list")
    names = [one.name for one in listing.items("cuda")]
    assert names == [
        *("tests", "training acdc_2d_256", "supervised", "mean_teacher", "sharing", "losses", "inference"),
        *("training acdc_2d", "training rgb_2d_512", "training 3d_96"),
    ]
    assert [one.name for one in listing.items("cpu", miniature=True)] == [
        n for n in names if n in names[:1] + names[2:8]
    ]
    # `scores` comes beside the rows of the whole runs, and the record with the cards is the last file.
    made = {one.benchmark for one in listing.items("cuda") if one.benchmark} | {"scores"}
    assert made == set(listing.BENCHMARKS)
    assert len(made) + 1 <= 8
    assert all(one.seconds <= 8 * 60 - 10 for one in listing.items("cuda")), "every item fits into eight minutes"
    judged = {target.file for target in gpu("targets").TARGETS if target.device.startswith("cuda")}
    assert judged <= made


def test_rows_replace_their_like_and_the_record_survives(gpu, tmp_path):
    record = gpu("_record")
    results = record.Results(tmp_path, "cpu")
    results.add("training", [{"work": "a", "ms": 1}, {"work": "a", "ms": 2}], ["work"])
    results.add("training", [{"work": "b", "ms": 3, "note": "new column"}], ["work"])
    results.add("training", [{"work": "a", "ms": 4}], ["work"])
    file = tmp_path / f"training-{results.machine}.csv"
    found = [(row["work"], row["ms"], row["note"]) for row in record.read_rows(file)]
    assert sorted(found) == [("a", "4", ""), ("b", "3", "new column")]
    results.add("losses", [{"ms": 1}], [])
    results.add("losses", [{"ms": 2}], [])
    assert [row["ms"] for row in record.read_rows(tmp_path / f"losses-{results.machine}.csv")] == ["2"]
    results.items["tests"] = {"status": "done"}
    results.cards["supervised"] = {"pack": "8-bit subset"}
    results.save({"device": "cpu"})
    again = record.Results(tmp_path, "cpu")
    assert (again.items, again.cards) == ({"tests": {"status": "done"}}, {"supervised": {"pack": "8-bit subset"}})
    assert len(again.files()) == 3
    assert all(path.stem.endswith(results.machine) for path in again.files())


def test_outcomes_of_tests_are_read_with_what_they_recorded(gpu, tmp_path):
    (tmp_path / "t.xml").write_text(
        "<testsuites><testsuite>"
        '<testcase classname="tests.gpu.test_runs" name="a" time="1.5"><properties>'
        '<property name="equal bit for bit" value="False"/></properties></testcase>'
        '<testcase classname="tests.gpu.test_runs" name="b" time="0"><failure message="it broke"/></testcase>'
        '<testcase classname="tests.gpu.test_runs" name="c" time="0"><skipped message="no GPU"/></testcase>'
        "</testsuite></testsuites>"
    )
    record = gpu("_record")
    rows = record.read_tests(tmp_path / "t.xml")
    assert rows[0] == {
        "test": "test_runs::a",
        "outcome": "passed",
        "seconds": 1.5,
        "message": "equal bit for bit: False",
    }
    assert [(row["outcome"], row["message"]) for row in rows[1:]] == [("failed", "it broke"), ("skipped", "no GPU")]
    assert record.counted(rows) == "1 passed, 1 failed, 1 skipped"


def test_training_stops_after_the_last_checkpoint_that_fits(gpu):
    method = gpu("method")
    now = 0.0

    def trained(until: float, begin: int = 0, loading: float = 50.0) -> int:
        """Steps until it is stopped: 1 s each, checkpoints after every 10."""
        nonlocal now
        now = loading
        on_step = method.stopping(until, 10, lambda: now)
        on_step(begin)
        for done in range(begin + 1, 1000):
            now += 1
            try:
                on_step(done)
            except method.Stopped:
                return done
        raise AssertionError("it went on")

    assert trained(85.0) == 30, "the next would be there at 90"
    assert trained(90.0) == 40
    assert trained(90.0, begin=500) == 540, "from a checkpoint, whatever loading took"
    assert trained(55.0) == 6, "the deadline itself"


def test_an_item_ends_in_time_with_all_it_has_started(gpu, tmp_path):
    process = gpu("_process")
    code = "import subprocess, time; p = subprocess.Popen(['sleep', '60']); print(p.pid, flush=True); time.sleep(60)"
    began = time.monotonic()
    assert process.run_for([sys.executable, "-c", code], tmp_path / "log", 0.7, {}) == process.CUT_OFF
    assert time.monotonic() - began < 5
    grandchild = int((tmp_path / "log").read_text())
    assert has_ended(grandchild, within=10)
    assert process.run_for([sys.executable, "-c", "raise SystemExit(3)"], tmp_path / "log", 9, {}) == 3


def has_ended(pid: int, within: float) -> bool:
    """Whether a killed process is gone, or a zombie that nobody has reaped: the kernel may take a moment to end it."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


@pytest.fixture
def call(gpu, monkeypatch, tmp_path, capsys) -> Callable[..., tuple[int, str, dict[str, Any]]]:
    """Calls `make gpu` on a made-up list: exit code, what it printed, the record's items."""
    run = gpu("measure")

    def called(listed: list[Any], *more: str) -> tuple[int, str, dict[str, Any]]:
        monkeypatch.setattr(run, "items", lambda device, miniature: listed)
        with pytest.raises(SystemExit) as ended:
            run.main(["--device", "cpu", "--output", str(tmp_path), *more])
        records = [json.loads(file.read_text())["items"] for file in tmp_path.glob("record-*.json")]
        return int(ended.value.code), capsys.readouterr().out, records[0] if records else {}

    return called


def test_a_finished_item_never_runs_again_and_a_failed_one_does(gpu, call, tmp_path):
    seen = tmp_path / "seen"
    note = f"open({str(seen)!r}, 'a').write"
    file = f"losses-{gpu('_record').Results(tmp_path, 'cpu').machine}.csv"
    csv = "import pathlib, sys; folder = pathlib.Path(sys.argv[-1]); folder.mkdir(exist_ok=True); "
    csv += f"(folder / {file!r}).write_text('ms\\n1\\n')"
    good = item(gpu, "good", code=f"{note}('g'); {csv}", benchmark="losses")
    bad = item(gpu, "bad", code=f"{note}('b'); raise SystemExit('it broke')", benchmark="inference")
    code, shown, items = call([bad, good], "--minutes", "8")
    assert code == 1
    assert (items["bad"]["status"], items["bad"]["note"]) == ("failed", "it broke")
    assert items["good"]["status"] == "done"
    assert "left: bad; call again" in shown.splitlines()
    before = items["good"]
    code, shown, items = call([bad, good], "--minutes", "8")
    assert (code, items["good"]) == (1, before)
    assert seen.read_text() == "bgb"
    code, _, items = call([bad, good], "--minutes", "8", "--again", "good")
    assert seen.read_text() == "bgbgb"


def test_what_does_not_fit_is_left_and_what_is_cut_off_is_said(gpu, call):
    (_, shown, items) = call([item(gpu, "long", seconds=3600)], "--minutes", "1")
    assert not items
    assert "longer than 1 minutes: long" in shown
    slow = item(gpu, "slow", code="import time; time.sleep(60)", benchmark="losses")
    code, shown, items = call([slow], "--minutes", "0.03")
    assert (code, items["slow"]["status"]) == (0, "cut off")
    assert 1 < items["slow"]["last_s"] < 5


def test_a_run_that_is_not_finished_goes_on_the_next_time(gpu, call):
    begun = item(gpu, "begun", code="raise SystemExit(75)", benchmark="runs", sliced=True)
    for _ in range(2):
        code, shown, items = call([begun], "--minutes", "1")
        assert (code, items["begun"]["status"]) == (0, "begun")
    assert "left: begun; call again" in shown


def test_without_a_gpu_it_says_what_to_do(gpu, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match=r"(?s)sees no GPU here.*Fix: ") as ended:
        gpu("measure").main(["--output", str(tmp_path / "none")])
    assert ended.value.code not in (0, None)
    assert not (tmp_path / "none").exists()


def test_make_passes_the_minutes_on():
    shown = subprocess.run(
        ["make", "-n", "-o", ".venv/linked", "gpu", "MINUTES=3"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert "benchmarks/gpu/measure.py --minutes 3" in shown
