"""Targets of speed: committed results reach them, and what does not, or is not there, fails."""

from __future__ import annotations

import csv
import importlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
SPEED = ROOT / "benchmarks" / "speed"
RESULTS = SPEED / "results"
MACHINE = "cpu-amd-epyc-2cores"
Row = dict[str, str]


@pytest.fixture
def speed(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Imports a module of the benchmarks, which are scripts and no package."""
    monkeypatch.syspath_prepend(str(SPEED))
    return importlib.import_module


def lines(speed: Callable[[str], ModuleType], folder: Path) -> dict[str, list]:
    judging, targets = speed("_judging"), speed("targets")
    return {name: judging.judge(targets.TARGETS, name, files) for name, files in judging.machines(folder).items()}


def altered(folder: Path, benchmark: str, change: Callable[[list[Row]], list[Row]]) -> Path:
    """A copy of the committed results with one file's rows changed."""
    shutil.copytree(RESULTS, folder, dirs_exist_ok=True)
    file = folder / f"{benchmark}-{MACHINE}.csv"
    with open(file, newline="") as opened:
        rows = list(csv.DictReader(opened))
    columns = list(rows[0])
    with open(file, "w", newline="") as opened:
        writer = csv.DictWriter(opened, columns)
        writer.writeheader()
        writer.writerows(change(rows))
    return folder


def test_committed_results_reach_the_targets(speed):
    found = lines(speed, RESULTS)
    failed = {
        (machine, line.target.file, line.which): line.cells()
        for machine, here in found.items()
        for line in here
        if line.verdict == "FAIL"
    }
    assert not failed
    lines_of_all = [line for here in found.values() for line in here]
    measured = {line.target.file for line in lines_of_all if line.verdict not in ("not measured", "not judged")}
    on_cpus = {line.target.file for line in lines_of_all if not line.target.device.startswith("cuda")}
    assert measured >= on_cpus, "every script has a file of some machine"
    for line in found[MACHINE]:
        assert line.verdict != "not judged" or line.target.device.startswith("cuda"), "every contender was there"
        assert (line.value is not None) == (line.verdict == "pass")


def test_every_script_is_run_and_every_one_has_a_target(speed):
    scripts = {file.stem for file in SPEED.glob("*.py") if 'add_argument("--output"' in file.read_text()} - {"run"}
    scripts.remove("options")  # helps to choose settings; there is nothing to reach
    run, targets = speed("run"), speed("targets").TARGETS
    made_by_make_gpu = {"runs"}
    assert scripts == {target.file for target in targets} - made_by_make_gpu
    assert set(run.SCRIPTS) == {target.file for target in targets if not target.device.startswith("cuda")}
    assert set(run.ON_GPU) == {target.file for target in targets if target.device != "cpu"} - made_by_make_gpu


def slower(rows: list[Row]) -> list[Row]:
    return [
        row | {"times_ours": "1.2"} if (row["case"], row["contender"]) == ("CT-like", "monai") else row for row in rows
    ]


def test_a_slower_result_fails_its_line_and_the_command(speed, tmp_path):
    folder = altered(tmp_path, "metrics", slower)
    (line,) = [one for one in lines(speed, folder)[MACHINE] if one.verdict == "FAIL" and one.target.file == "metrics"]
    assert (line.target.at_least, line.value, line.which) == (1.5, 1.2, "CT-like")
    command = [sys.executable, str(SPEED / "targets.py"), "--results", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    (shown,) = [text for text in done.stdout.splitlines() if "≥ 1.5" in text and "not measured" not in text]
    assert shown.split()[-1] == "FAIL"
    assert "1.2" in shown


@pytest.mark.parametrize(
    ("benchmark", "change", "note"),
    [
        ("metrics", lambda rows: [row for row in rows if row["case"] != "CT-like"], "no row with"),
        ("metrics", lambda rows: [row | {"times_ours": ""} for row in rows], "times_ours is ''"),
        ("metrics", lambda rows: [row | {"times_ours": "nan"} for row in rows], ""),
        ("methods", lambda rows: [row for row in rows if row["method"] != "supervised"], "0 rows with"),
        ("methods", lambda rows: [row | {"seconds_per_step": "", "error": "it broke"} for row in rows], "it broke"),
        ("losses", lambda rows: [], "no row"),
        ("inference", lambda rows: [], "no row"),
    ],
)
def test_what_is_not_there_fails(speed, tmp_path, benchmark, change, note):
    found = lines(speed, altered(tmp_path, benchmark, change))[MACHINE]
    failed = [line for line in found if line.target.file == benchmark and line.verdict == "FAIL"]
    assert failed
    assert all(note in line.note for line in failed), failed


def test_what_has_no_file_was_not_measured(speed, tmp_path):
    folder = altered(tmp_path, "metrics", lambda rows: rows)
    (folder / f"comparisons-{MACHINE}.csv").unlink()
    found = lines(speed, folder)[MACHINE]
    assert {line.verdict for line in found if line.target.file == "comparisons"} == {"not measured"}
    assert {line.cells()[-1] for line in found if line.target.file == "comparisons"} == {"not measured"}
    command = [sys.executable, str(SPEED / "targets.py"), "--results", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    judged = sum(line.verdict == "pass" for here in lines(speed, folder).values() for line in here)
    assert judged < sum(line.verdict == "pass" for here in lines(speed, RESULTS).values() for line in here)
    assert done.stdout.splitlines()[-1] == f"{judged} of {judged} lines pass"
    assert done.returncode == 0


def test_a_target_of_one_gpu_is_not_judged_on_another(speed):
    judge, target = speed("_judging").judge, speed("_judging").Target
    minutes = target("made up", "runs", "minutes", at_most=5, device="cuda-nvidia-h200")
    files = {"runs": [{"minutes": "6"}]}
    assert [line.verdict for line in judge([minutes], "cuda-nvidia-h200", files)] == ["FAIL"]
    (line,) = judge([minutes], "cuda-nvidia-a40", files)
    assert (line.verdict, line.note) == ("not judged", "cuda-nvidia-h200's target")


def test_what_a_gpu_has_to_reach(speed):
    """A file that misses each of the targets of `make gpu` fails it, and one that reaches it passes."""
    targets = [one for one in speed("targets").TARGETS if one.file in ("runs", "sharing", "training")]
    training = [
        {"work": "acdc_2d_256", "contender": "contrastseg", "share_outside": "0.11", "samples_per_s": "299"},
        {"work": "acdc_2d_256", "contender": "dataloader", "share_outside": "0.7", "samples_per_s": "100"},
    ]
    missed = {
        "training": training,
        "runs": [{"method": "supervised", "minutes_per_30000_steps": "5.1"}],
        "sharing": [{"runs": "3", "time_of_all": "1.51"}, {"runs": "1", "time_of_all": "1.0"}],
    }
    reached = {
        "training": [training[0] | {"share_outside": "0.10", "samples_per_s": "300"}, training[1]],
        "runs": [{"method": "supervised", "minutes_per_30000_steps": "4.9"}],
        "sharing": [{"runs": "3", "time_of_all": "1.5"}, {"runs": "1", "time_of_all": "9"}],
    }
    judge = speed("_judging").judge
    for files, verdict in ((missed, "FAIL"), (reached, "pass")):
        judged = [line for line in judge(targets, "cuda-nvidia-h200", files) if line.verdict != "not judged"]
        assert [(line.target.file, line.verdict) for line in judged] == [
            *[("training", verdict)] * 2,
            ("runs", verdict),
            ("sharing", verdict),
        ]


def test_a_program_that_was_not_installed_is_said_and_not_judged(speed, tmp_path):
    folder = altered(tmp_path, "metrics", lambda rows: [row for row in rows if row["contender"] != "medpy"])
    (line,) = [one for one in lines(speed, folder)[MACHINE] if one.target.beside == "medpy"]
    assert (line.verdict, line.note) == ("not judged", "medpy was not installed")
    folder = altered(tmp_path, "losses", lambda rows: [row | {"monai_ms": ""} for row in rows])
    found = [one for one in lines(speed, folder)[MACHINE] if one.target.by == "monai_ms"]
    assert [(line.verdict, line.note) for line in found] == [("not judged", "monai was not installed")]


def test_a_column_that_does_not_exist_fails(speed):
    judging = speed("_judging")
    target = judging.Target("made up", "losses", "ratoi", at_most=1)
    (line,) = judging.judge([target], MACHINE, {"losses": [{"ratio": "1"}]})
    assert (line.verdict, line.note) == ("FAIL", "no column ratoi")
    target = judging.Target("made up", "losses", "ratio", at_most=1, by="moani_ms", beside="monai")
    (line,) = judging.judge([target], MACHINE, {"losses": [{"ratio": "1"}]})
    assert (line.verdict, line.note) == ("FAIL", "no column moani_ms")


def test_bounds_sums_and_tolerances(speed):
    judging = speed("_judging")
    rows = [{"step": "a", "s": "2"}, {"step": "b", "s": "3.2"}]

    def verdicts(**options) -> list[tuple[str, float]]:
        found = judging.judge([judging.Target("made up", "f", "s", **options)], MACHINE, {"f": rows})
        return [(line.verdict, line.value) for line in found]

    assert verdicts(at_most=3) == [("pass", 2.0), ("FAIL", 3.2)]
    assert verdicts(at_least=3) == [("FAIL", 2.0), ("pass", 3.2)]
    assert verdicts(at_most=5, total=True) == [("FAIL", 5.2)]
    assert verdicts(at_most=5, total=True, tolerance=0.05, because="it is noisy") == [("pass", 5.2)]
    assert verdicts(rows={"step": "b"}, over={"step": "a"}, at_most=1.6) == [("pass", 1.6)]
    (line,) = judging.judge([judging.Target("made up", "f", "s", at_most=1, device="cuda")], MACHINE, {"f": rows})
    assert (line.verdict, line.note) == ("not judged", "a GPU's target")


@pytest.mark.parametrize(("succeeds", "reached", "code"), [(True, True, 0), (False, True, 1), (True, False, 1)])
def test_a_script_that_fails_fails_the_whole_and_leaves_nothing_old(
    speed, tmp_path, monkeypatch, succeeds, reached, code
):
    run = speed("run")
    (tmp_path / f"start-{MACHINE}.csv").write_text("of an earlier run")
    ran = []

    def pretend(name, arguments, environment):
        ran.append((name, *arguments[-2:], environment["CUDA_VISIBLE_DEVICES"]))
        return name != "start" or succeeds

    monkeypatch.setattr(run, "run", pretend)
    monkeypatch.setattr(run, "report", lambda folder: reached)
    monkeypatch.setattr(sys, "argv", ["run.py", "--only", "losses", "start", "--output", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        run.main()
    assert int(ended.value.code) == code
    assert ran == [(name, "--output", str(tmp_path), "") for name in ("losses", "start")]
    assert not list(tmp_path.iterdir())


def test_the_page_shows_the_committed_results():
    command = [sys.executable, str(SPEED / "targets.py"), "--markdown"]
    table = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    page = (ROOT / "docs" / "speed.md").read_text(encoding="utf-8")
    assert table.strip() in page, "put what `python benchmarks/speed/targets.py --markdown` prints into docs/speed.md"
