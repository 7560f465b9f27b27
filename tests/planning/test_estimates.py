"""What `contrastseg plan` says of hours, disk and downloads before anything starts, and what it does not know."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from contrastseg.fingerprints import stage_fingerprint
from contrastseg.planning import Plan, expand
from contrastseg.planning.data_paths import prepared_of
from contrastseg.planning.estimates import estimate
from contrastseg.report.settings import default_figures, default_tables
from contrastseg.suite import parse_suite

HEADER = "method,stage,spatial_dims,parameters,seconds_per_step,pixels_per_step,device,torch"


def plan(**changes: object) -> Plan:
    """Two runs of `supervised`, two of `simclr` that share a pre-training stage; 200 steps of 4 × 32 × 32."""
    suite = {
        "name": "small",
        "datasets": [{"name": "lesions", "dataset": "phantom_lesions"}],
        "methods": ["supervised", "simclr"],
        "labels": ["r0.1", "r1"],
        "training": {"steps": 200, "batch_size": 4, "patch_size": [32, 32]},
        **changes,
    }
    return expand(parse_suite(suite)[0])


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_nothing_measured_is_said() -> None:
    found = estimate(plan(), Path("absent"))
    assert found["runs"] == found["runs_left"] == 4
    drawings = len(default_tables()) + len(default_figures()) + 1  # and the slices of the overlays
    assert found["jobs"] == 2 + 4 + 1 + 2 * 4 + drawings + 5
    assert found["device_hours_left"] == "unknown: no finished run and no measured step"
    assert found["disk_left_gb"] == "unknown: no finished run"
    assert found["to_download"] == "nothing"


def test_memory_is_that_of_the_largest_data_set_with_its_pool() -> None:
    entries = [
        {"name": "few", "dataset": "phantom_lesions", "options": {"cases": 10}, "pool": ["few", "many"]},
        {"name": "many", "dataset": "phantom_lesions", "options": {"cases": 20}},
        {"name": "later", "dataset": "phantom_lesions", "options": {"cases": 30}},
    ]
    asked = plan(datasets=entries)
    assert estimate(asked, Path("absent"))["memory_of_data_gb"] == "unknown: no prepared data"
    for entry, megabytes in zip(asked.suite.datasets[:2], (30, 40), strict=True):
        case = prepared_of(entry) / "cases" / "a"
        case.mkdir(parents=True)
        (case / "image.npy").write_bytes(b"0" * megabytes * 1_000_000)
        (case / "reference.nii.gz").write_bytes(b"0" * 99_000_000)
    assert estimate(asked, Path("absent"))["memory_of_data_gb"] == "0.07 at most (few); not prepared: later"


def test_other_conventions_score_every_run_once_more() -> None:
    more = estimate(plan(evaluation={"also_conventions": ["ssl4mis"]}), Path("absent"))["jobs"]
    drawings = len(default_tables(True)) + len(default_figures(True)) + 1
    assert more == 2 + 4 + 1 + 3 * 4 + 1 + drawings + 5


def test_hours_follow_measured_steps_their_number_and_their_pixels() -> None:
    rows = ["supervised,train,2,9,0.5,1024,cpu,2.0", "simclr,pretrain,2,9,2.0,4096,cpu,2.0"]
    Path("methods-here.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    found = estimate(plan(), Path())
    seconds = 2 * 200 * 0.5 * 4 + 1 * 200 * 2.0
    assert found["device_hours_left"] == (
        f"{seconds / 3600:.2f} (steps measured on here) (no finished run and no measured step of lesions/simclr/train)"
    )
    longer = plan(
        methods=[{"name": "simclr", "stages": {"pretrain": {"steps": 20000}}}], comparison={"baseline": "simclr"}
    )
    assert estimate(longer, Path())["device_hours_left"].startswith(f"{20000 * 2.0 / 3600:.2f} ")


def test_finished_runs_are_stronger_than_measured_steps() -> None:
    Path("methods-here.csv").write_text(f"{HEADER}\nsupervised,train,2,9,0.5,4096,cpu,2.0\n")
    asked = plan(methods=["supervised"])
    folder = asked.runs[0].folder
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"wall_s": 7200}))
    (folder / "weights").write_bytes(b"0" * 10_000_000)
    found = estimate(asked, Path())
    assert (found["runs_left"], found["device_hours_left"], found["disk_left_gb"]) == (1, "2.00", "0.01")


def test_a_run_of_older_code_is_left_to_do_and_still_tells_how_long_it_takes() -> None:
    asked = plan(methods=["supervised"], labels=["r1"])
    folder = asked.runs[0].folder
    folder.mkdir(parents=True)
    now = stage_fingerprint("train", method="supervised")
    for fingerprint, left, hours in ((now, 0, "0.00"), ("older", 1, "2.00")):
        (folder / "run.json").write_text(json.dumps({"wall_s": 7200, "fingerprint": fingerprint}))
        found = estimate(asked, Path("absent"))
        assert (found["runs_left"], found["device_hours_left"]) == (left, hours)


def test_open_data_that_is_not_here_is_counted() -> None:
    found = estimate(plan(datasets=[{"name": "msd_hippocampus", "spatial_dims": 2}], methods=["supervised"]), Path())
    assert found["to_download"] == "size unknown: msd_hippocampus"


def test_data_that_was_downloaded_is_looked_for_in_the_resources_that_are_named() -> None:
    asked = plan(datasets=[{"name": "msd_hippocampus", "spatial_dims": 2}], methods=["supervised"])
    trusted = Path("elsewhere", "raw", "msd_hippocampus", "checksums.json")
    trusted.parent.mkdir(parents=True)
    trusted.write_text("{}")
    assert "msd_hippocampus" in estimate(asked, Path())["to_download"]
    assert estimate(asked, Path(), None, Path("elsewhere"))["to_download"] == "nothing"
