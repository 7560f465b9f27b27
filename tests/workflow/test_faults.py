"""Faults anywhere on the road from data to report: nothing is lost, nothing half-written is taken for whole.

Each test disturbs a copy of a folder in which a small suite has its data and nothing else, then runs the same command
again: the results are those of the run that nothing disturbed, weights, predictions, scores, tables and figures byte
for byte. What single steps do is tested where they are; here Snakemake and the jobs go through it together.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from contrastseg.training import checkpoints
from tests.workflow.conftest import SUITE, Workspace, copy_of_the_repository
from tests.workflow.equal import differences, left_behind
from tests.workflow.faulty import VARIABLE

pytestmark = pytest.mark.long

INDEX = {"file": "predictions.json"}
STEPS = {"steps": 6, "checkpoint_every": 2}
FULL = "no space left on the disk"
# Jobs by words of their command line.
SUPERVISED = ["train", "supervised"]
PRETRAINING = ["train", "simclr", "--stage"]
RUNS = {name: f"runs/lesions/{name}/default/r0.4/draw0-fold0-seed0" for name in ("supervised", "simclr")}
PRETRAINED = "runs/lesions/simclr/default/pretrain-pretrain/draw0-fold0-seed0"


@pytest.fixture(scope="module")
def spaces(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Workspace]:
    """A folder with the data prepared, and a copy in which the suite was run without any disturbance."""
    folder = tmp_path_factory.mktemp("faults")
    ready = copy_of_the_repository(folder)
    shutil.copy(Path(__file__).with_name("faulty.py"), ready.code)
    main = ready.code / "contrastseg" / "__main__.py"
    main.write_text(main.read_text().replace("from contrastseg.cli", "import faulty  # noqa\nfrom contrastseg.cli"))
    ready.write_suite(
        datasets=SUITE["datasets"][:1],
        methods=["supervised", "simclr"],
        training={**SUITE["training"], **STEPS},
        figures=[{"name": "box", "kind": "box"}],
    )
    ready.run("--until", "split")
    whole = Workspace(ready.code, folder / "whole")
    shutil.copytree(ready.work, whole.work)
    whole.run()
    return {"ready": ready, "whole": whole}


@pytest.fixture
def space(spaces: dict[str, Workspace], tmp_path: Path) -> Workspace:
    """A copy to disturb."""
    shutil.copytree(spaces["ready"].work, tmp_path / "work")
    return Workspace(spaces["ready"].code, tmp_path / "work")


@pytest.fixture
def finish(space: Workspace, spaces: dict[str, Workspace]) -> Callable[[], str]:
    """Run the same command to its end, and compare."""

    def run() -> str:
        said = space.run()
        assert differences(space.results, spaces["whole"].results) == []
        assert space.planned() == {}
        return said

    return run


class Run:
    """Snakemake at work, with faults in its jobs.

    Args:
        space: Where.
        faults: See `tests.workflow.faulty`; each that waits is given the file it says so in.
    """

    def __init__(self, space: Workspace, *faults: dict[str, Any]) -> None:
        flags = [str(space.work / f"flag{number}") for number in range(len(faults))]
        told = [{**fault, "flag": flag} for fault, flag in zip(faults, flags, strict=True)]
        self.flags = [Path(flag) for flag in flags]
        self.text = space.work / "said.txt"
        with open(self.text, "w") as file:
            options = {"output": file, "environment": {VARIABLE: json.dumps(told)}}
            self.process = space.start("--configfile", "tiny.yaml", **options)

    def reached(self, number: int = 0) -> int:
        """Wait until a job is at the place of a fault; returns its process id."""
        for _ in range(6000):
            if self.flags[number].exists():
                return int(self.flags[number].read_text())
            assert self.process.poll() is None, self.text.read_text()
            time.sleep(0.02)
        raise AssertionError("the place of the fault was not reached")

    def kill(self, number: int = 0) -> None:
        """Kill the job that waits at the place of a fault."""
        os.kill(self.reached(number), signal.SIGKILL)
        self.flags[number].unlink()

    def fails(self) -> str:
        """Wait for the end, which is no good one; returns what Snakemake and its jobs said."""
        assert self.process.wait() == 1, self.text.read_text()
        return self.text.read_text()


def disturbed(space: Workspace, *faults: dict[str, Any]) -> str:
    """Run with faults that nobody has to wait for; returns what was said."""
    return Run(space, *faults).fails()


def resumable(folder: Path, name: str = checkpoints.RESUME) -> int:
    """The step at which a run goes on."""
    return int(checkpoints.load(folder / "checkpoints" / name)["step"])


def test_a_training_is_killed_after_its_first_checkpoint(space: Workspace, finish: Callable[[], str]) -> None:
    run = Run(space, {"job": PRETRAINING, "what": "stop", "file": checkpoints.RESUME})
    run.kill()
    assert "Error in rule pretrain" in run.fails()
    assert resumable(space.results / PRETRAINED) == 2
    assert not (space.results / PRETRAINED / "run.json").exists()
    assert (space.results / RUNS["supervised"] / "scores").is_dir(), "the other method is finished meanwhile"
    finish()
    assert left_behind(space.results) == []


def test_a_power_cut_leaves_half_of_the_newest_checkpoint(space: Workspace, finish: Callable[[], str]) -> None:
    """What a disk may hold after one: the file in its place, and only the beginning of it written."""
    run = Run(space, {"job": SUPERVISED, "what": "stop", "file": checkpoints.RESUME, "time": 2})
    run.kill()
    run.fails()
    folder = space.results / RUNS["supervised"]
    newest = folder / "checkpoints" / checkpoints.RESUME
    assert resumable(folder) == 4
    os.truncate(newest, newest.stat().st_size // 2)
    # From the one before, at step 2, there is one checkpoint to come before the end; from the start, two.
    again = Run(space, {"job": SUPERVISED, "what": "stop", "file": checkpoints.RESUME})
    again.reached()
    assert resumable(folder) == 4
    again.kill()
    again.fails()
    finish()


def test_predictions_and_scorings_are_killed(space: Workspace, finish: Callable[[], str]) -> None:
    """In the middle of a file, and between two."""
    index = ["predict", f"results/tiny/{RUNS['simclr']}/checkpoints/last.ckpt"]
    scoring = ["score", f"results/tiny/{RUNS['supervised']}/predictions/lesions/last"]
    run = Run(
        space,
        {"job": scoring, "what": "half", "file": "last.csv"},
        {"job": index, "what": "half", "file": "predictions.json"},
    )
    run.kill(0)
    run.kill(1)
    run.fails()
    assert not list(space.results.rglob("scores/**/last.csv"))
    assert left_behind(space.results) == ["last.csv", "predictions.json"]
    images = sorted(path.name for path in (space.results / RUNS["simclr"] / "predictions" / "lesions").rglob("*.png"))
    assert images, "those before it are whole"
    run = Run(space, {"job": index, "what": "stop", "file": images[0]})
    run.kill()
    run.fails()
    finish()


def test_the_preparation_is_killed(space: Workspace, finish: Callable[[], str]) -> None:
    shutil.rmtree(space.work / "resources")
    run = Run(space, {"job": ["prepare"], "what": "half", "file": "cases.csv"})
    run.kill()
    run.fails()
    finish()


def test_snakemake_is_killed_and_its_jobs_go_on(space: Workspace, finish: Callable[[], str]) -> None:
    run = Run(space, {"job": SUPERVISED, "what": "stop", "file": checkpoints.RESUME})
    orphan = run.reached()
    run.process.kill()
    run.process.wait()
    os.kill(orphan, 0)  # it lives
    locked = space.snakemake("--configfile", "tiny.yaml")
    assert locked.returncode == 1
    assert "--unlock" in locked.stdout
    space.run("--unlock")
    # Nobody ended the job that was left: it is not disturbed, its run waits, and the other method is finished.
    said = space.snakemake("--configfile", "tiny.yaml")
    assert said.returncode == 1
    assert f"by process {orphan} on" in said.stdout
    assert resumable(space.results / RUNS["supervised"]) == 2
    assert (space.results / RUNS["simclr"] / "scores").is_dir()
    os.kill(orphan, signal.SIGKILL)
    finish()


def test_a_second_snakemake_is_refused_and_the_first_finishes(
    space: Workspace, spaces: dict[str, Workspace], finish: Callable[[], str]
) -> None:
    run = Run(space, {"job": SUPERVISED, "what": "stop", "file": checkpoints.RESUME})
    run.reached()
    second = space.snakemake("--configfile", "tiny.yaml")
    assert second.returncode == 1
    assert "LockException" in second.stdout
    run.flags[0].unlink()
    assert run.process.wait() == 0, run.text.read_text()
    assert differences(space.results, spaces["whole"].results) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here, the disk that is always full")
def test_the_disk_is_full_wherever_something_is_written(space: Workspace, finish: Callable[[], str]) -> None:
    """The kernel's own ENOSPC, through /dev/full in the place of the file that a job writes first.

    Training, prediction, scoring, table and figure meet it one after the other: each time a little space was freed.
    """
    folder = space.results / RUNS["simclr"]
    full = {"what": "full"}
    said = disturbed(space, {**full, "job": ["train"], "file": checkpoints.RESUME, "time": 2})
    assert said.count(FULL) == 2, "the pre-training of one method, the training of the other"
    assert resumable(space.results / RUNS["supervised"], checkpoints.PREVIOUS) == 2, "the one before is kept"
    said = disturbed(space, {**full, "job": ["train", "simclr", "--initial"], "file": "last.ckpt"})
    assert FULL in said
    assert not (folder / "run.json").exists()
    assert FULL in disturbed(space, {**full, "job": ["predict"], "file": "predictions.json"})
    assert not list(folder.glob("predictions/**/predictions.json"))
    assert FULL in disturbed(space, {**full, "job": ["collect"], "file": "scores.parquet"})
    full_tables = [{**full, "job": [job], "file": file} for job, file in (("tabulate", "main.md"), ("plot", "box.svg"))]
    assert disturbed(space, *full_tables).count(FULL) == 2
    assert not (space.results / "report.html").exists()
    finish()
    assert left_behind(space.results) == []


def without_rights() -> None:
    """Let permissions bind the process that is started, root's too: the capabilities to pass them are dropped."""
    import ctypes

    for capability in (1, 2, 3):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP


@pytest.fixture
def read_only(space: Workspace) -> Iterator[Path]:
    """The results with the beginning of a run in them, where nobody may write."""
    folder = space.work / "results"
    (space.results / RUNS["supervised"]).mkdir(parents=True)
    folders = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    for path in folders:
        path.chmod(0o555)
    yield folder
    for path in folders:
        path.chmod(0o755)


@pytest.mark.skipif(sys.platform != "linux", reason="rights are dropped as Linux does it")
def test_results_that_are_read_only(space: Workspace, read_only: Path, finish: Callable[[], str]) -> None:
    writable = subprocess.run(["test", "-w", str(read_only)], preexec_fn=without_rights, check=False).returncode == 0
    if writable:
        pytest.skip("permissions do not bind here")
    process = space.start("--configfile", "tiny.yaml", warm=False, preexec_fn=without_rights)
    said, _ = process.communicate()
    assert process.returncode == 1
    assert "Permission denied" in said
    assert "results/tiny" in said
    for path in (read_only, *read_only.rglob("*")):
        path.chmod(0o755)
    finish()


def test_numbers_memory_and_devices_fail(space: Workspace, finish: Callable[[], str]) -> None:
    """Errors as torch raises them, in step 4; what the device itself does is not to be had without one."""
    lost = {"job": SUPERVISED, "what": "lost", "step": 4}
    said = disturbed(space, {"job": PRETRAINING, "what": "nan", "step": 4}, lost)
    assert "weights are not finite after step 4" in said
    assert "the device failed or is gone" in said
    stopped = space.results / PRETRAINED / "checkpoints"
    assert sorted(path.name for path in stopped.iterdir()) == ["nonfinite.json", checkpoints.RESUME]
    assert resumable(space.results / PRETRAINED) == resumable(space.results / RUNS["supervised"]) == 2
    said = disturbed(space, {**lost, "what": "memory"})
    assert "lower training.batch_size (2) or training.patch_size ([32, 32])" in said
    finish()
    assert not list(space.results.rglob("nonfinite.json"))


@pytest.mark.parametrize("method", ["simclr", "supervised"])  # supervised is what the others are compared with
def test_a_method_that_always_fails_is_a_hole_with_a_name(
    space: Workspace, finish: Callable[[], str], method: str
) -> None:
    other = "supervised" if method == "simclr" else "simclr"
    broken = {"job": ["train", method, "r0.4"], "what": "error", "step": 1}
    for _ in range(2):  # the second time there is nothing new to be had
        said = disturbed(space, broken)
        assert "this method is broken" in said
        assert "What is finished stands in results/tiny/unfinished/report.html" in said
        shown = space.results / "unfinished"
        table = (shown / "tables" / "main.md").read_text()
        rows = {line.split("|")[1].split()[0]: line for line in table.splitlines() if line.startswith("| s")}
        assert "not run" in rows[method]
        assert "not run" not in rows[other]
        assert f"Not run: {method}" in table
        assert "planned, without scores" in (shown / "report.html").read_text()
        assert (shown / "figures" / "box.svg").is_file()
        assert not (space.results / "scores.parquet").exists(), "the part must not stand where the whole is looked for"
    finish()
    assert not shown.exists()


def test_a_training_fails_that_other_code_made_necessary(spaces: dict[str, Workspace], tmp_path: Path) -> None:
    """What was finished before the edit is neither lost nor taken for what the edit makes of it."""
    shutil.copytree(spaces["whole"].work, tmp_path / "work")
    space = Workspace(spaces["whole"].code, tmp_path / "work")
    card = space.results / RUNS["supervised"] / "run.json"
    before = json.loads(card.read_text())["fingerprint"]
    step = "    def training_step"
    with space.edited("contrastseg/methods/supervised.py", step, f"    edited = True\n\n{step}"):
        for what in ({"job": SUPERVISED, "what": "error", "step": 5}, {"job": ["predict"], "what": "full", **INDEX}):
            disturbed(space, what)
            table = (space.results / "unfinished" / "tables" / "main.md").read_text()
            assert "Not run: supervised" in table, "older scores are not those of this run"
        space.run()
        assert json.loads(card.read_text())["fingerprint"] != before
        assert space.planned() == {}
    space.run()
    assert differences(space.results, spaces["whole"].results) == []
