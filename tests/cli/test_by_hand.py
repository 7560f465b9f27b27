"""The command line, used by hand: help, machine-readable output, errors, and the whole road in single commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from contrastseg import planning
from contrastseg.cli import app
from contrastseg.data.files.formats import read_label, write_label
from contrastseg.data.files.geometry import Geometry
from tests.workflow.warm import planner

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = ["datasets", "methods", "check", "doctor", "plan", "download", "prepare", "split", "pool", "train"]
COMMANDS += ["predict", "score", "oracle", "prune", "collect", "compare", "tabulate", "plot", "slices", "report"]
COMMANDS += ["new-method", "networks", "export-weights", "tune", "select", "collect-tuning", "submit", "submitted"]
TRAINING = {
    "steps": 2,
    "batch_size": 2,
    "patch_size": [32, 32],
    "accelerator": "cpu",
    "network": {"name": "unet", "channels": [4, 8], "convolutions": 1},
}


def call(*arguments: str | Path) -> str:
    """What a command prints."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def process(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A command as a process of its own, installed or not; what it imports from outside was imported before."""
    command = [planner(), "-m", "contrastseg", *map(str, arguments)]
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=variables, check=False)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command):
    assert f"contrastseg {command}" in call(command, "--help").replace("\n", " ")


def test_every_command_is_listed():
    shown = call("--help")
    assert not [command for command in COMMANDS if command not in shown]


def test_data_sets_and_methods_are_lists_of_objects_with_a_name():
    datasets, methods = json.loads(call("datasets", "--json")), json.loads(call("methods", "--json"))
    assert {"phantom_lesions", "phantom_organs", "acdc"} <= {item["name"] for item in datasets}
    assert {item["name"]: item["provenance"] for item in methods}["pdcr"] == "official"
    assert "phantom_lesions" in call("datasets")
    assert "mean_teacher" in call("methods")


def test_doctor_says_what_this_machine_can_run(tmp_path):
    (tmp_path / "ACDC").mkdir()
    (tmp_path / "holiday").mkdir()
    checks = {item["name"].strip(): item for item in json.loads(call("doctor", "--json", "--data-root", tmp_path))}
    assert {"Python", "torch", "torchvision", "devices", "snakemake", "LaTeX", "disk"} <= set(checks)
    assert checks["torchvision"]["state"] == "ok"
    assert checks["ACDC"]["state"] == "ok"
    assert checks["holiday"]["state"] == "note"


def test_plan_says_what_a_suite_comes_to(tmp_path):
    suite = ROOT / "benchmarks" / "demo.yaml"
    shown = call("plan", suite)
    assert "mean_teacher" in shown
    assert "needs unlabelled patients" in shown.replace("\n", " ")
    plan = json.loads(call("plan", suite, "--json"))
    assert plan["estimate"]["runs"] == len(plan["runs"]) > 0
    assert plan["missing"] == {}


SLICES = {"name": "acdc", "spatial_dims": 2}
SMALL = {"name": "s", "datasets": ["phantom_lesions"], "methods": ["supervised"]}
TYPO = {"name": "moco", "stages": {"train": {"stepz": 1}}}


def test_plan_lists_missing_data(tmp_path, monkeypatch):
    monkeypatch.delenv("CONTRASTSEG_DATA", raising=False)
    suite = json.dumps({"name": "s", "datasets": [SLICES, "phantom_lesions"], "methods": ["supervised"]})
    plan = json.loads(call("plan", suite, "--json", "--resources", tmp_path))
    assert set(plan["missing"]) == {"acdc"}
    plan = json.loads(call("plan", suite, "--json", "--resources", tmp_path, "--skip-unavailable"))
    assert {run["dataset"] for run in plan["runs"]} == {"phantom_lesions"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["plan", "absent.yaml"], ["SuiteError", "absent.yaml", "contrastseg suites"]),
        (
            [
                "plan",
                json.dumps(SMALL | {"methods": ["supervised", TYPO]}),
            ],
            ["SuiteError", "methods, moco, stages, train", "stepz", "there are: ", "steps"],
        ),
        (
            ["plan", json.dumps(SMALL | {"training": {"network": {"name": "unett"}}})],
            ["SuiteError", "training.network", "unett", "unet"],
        ),
        (["prepare", "acdcc"], ["acdcc", "acdc"]),
        (["train", "--entry", "x", "--method", "nope", "--output", "o"], ["nope", "supervised"]),
        (["train", "--entry", "x", "--method", "supervised", "--output", "o"], ["prepared", "contrastseg prepare"]),
        (["train", "--entry", "x", "--method", "supervised", "--output", "o", "--config", "{"], ["JSON"]),
        (["predict", "--checkpoint", "x.ckpt", "--output", "o"], ["--input"]),
        (["score", "--prediction", "a.nii.gz", "--reference", "b.nii.gz"], ["a.nii.gz"]),
        (["score", "--prediction", "a", "--reference", "b", "--convention", "mine"], ["mine", "medpy"]),
        (["collect", "--results", "nowhere"], ["nowhere", "contrastseg plan"]),
        (["pool", "--output", "o", "--config", '{"entri": "a"}'], ["entri", "sources", "tests"]),
        (
            ["pool", "--output", "o", "--config", '{"entry": "a", "sources": ["a"], "tests": {"b": [0]}}'],
            ["split of 'a'", "contrastseg split"],
        ),
    ],
)
def test_errors_say_what_where_and_what_to_do_without_a_traceback(arguments, words, tmp_path):
    done = process(*arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert not [word for word in words if word not in done.stderr], done.stderr
    assert done.stdout == ""


def test_help_scores_and_plans_never_load_torch():
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom contrastseg.cli import app\n"
        "for arguments in (['--help'], ['methods', '--json'], ['datasets'], ['plan', 'benchmarks/demo.yaml']):\n"
        "    assert CliRunner().invoke(app, arguments).exit_code == 0, arguments\n"
        "import contrastseg.evaluation.scoring.scoring, contrastseg.evaluation.statistics\n"
        "import contrastseg.report.page.build\n"
        "print(sorted({'torch', 'monai', 'lightning_fabric'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"


def test_help_loads_nothing_heavy():
    code = (
        "import sys\nimport contrastseg.cli\n"
        "print(sorted({'torch', 'numpy', 'pandas', 'pydantic', 'nibabel', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "also"),
    [
        (["--help"], {"numpy", "contrastseg.data.registry.registry", "contrastseg.methods.registry"}),
        (
            ["methods"],
            {"numpy", "contrastseg.data.registry.registry", "contrastseg.suite", "contrastseg.planning.jobs"},
        ),
        (["datasets", "--resources", "nowhere"], {"contrastseg.methods.registry", "contrastseg.suite"}),
    ],
)
def test_lists_load_what_they_list(arguments, also):
    heavy = {"pandas", "pyarrow", "scipy.ndimage", "torch", "nibabel", "h5py", "SimpleITK", "skimage", "matplotlib"}
    code = (
        "import sys\nfrom contrastseg.cli import app\n"
        f"try: app({arguments!r})\n"
        f"finally: print(*({heavy | also!r} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stderr.split() == []
    assert len(done.stdout.splitlines()) > 20


def test_scores_of_files_from_outside(tmp_path):
    geometry = Geometry((4, 8, 8), (5.0, 1.0, 1.0), "mm", np.diag([1.0, 1.0, 5.0, 1.0]).tolist(), "nifti", (4, 8, 8))
    truth = np.zeros((4, 8, 8), np.uint8)
    truth[1:3, 2:6, 2:6] = 1
    shifted = np.roll(truth, 1, axis=2)
    for name, label in (("truth", truth), ("labels", shifted)):
        (tmp_path / name).mkdir()
        write_label(tmp_path / name / "case1.nii.gz", label, geometry)
    metrics = ("--metric", "dice", "--metric", "hd95", "--json")
    rows = json.loads(call("score", "--prediction", tmp_path / "labels", "--reference", tmp_path / "truth", *metrics))
    assert {(row["metric"], row["unit"], row["outcome"]) for row in rows} == {
        ("dice", "1", "scored"),
        ("hd95", "mm", "scored"),
    }
    by_metric = {row["metric"]: row["value"] for row in rows}
    assert by_metric == {"dice": pytest.approx(0.75), "hd95": pytest.approx(1.0)}
    files = [tmp_path / name / "case1.nii.gz" for name in ("labels", "truth")]
    alone = call("score", "--prediction", files[0], "--reference", files[1], "--classes", "background,heart")
    assert "heart" in alone
    several = ("--convention", "default", "--convention", "ssl4mis", "--metric", "hd95", "--json")
    rows = json.loads(call("score", "--prediction", files[0], "--reference", files[1], *several))
    assert [(row["convention"], row["unit"]) for row in rows] == [("default", "mm"), ("ssl4mis", "voxel")]


def test_a_reference_without_a_prediction_is_a_hole_that_is_named(tmp_path):
    geometry = Geometry((8, 8), None, "pixel", None, "png", (8, 8))
    for name in ("p/a.png", "r/a.png", "r/b.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_label(tmp_path / name, np.eye(8, dtype=np.uint8), geometry)
    done = process("score", "--prediction", "p", "--reference", "r", "--metric", "dice", "--json", cwd=tmp_path)
    assert done.returncode == 0
    assert "1 missing prediction: b" in done.stderr
    outcomes = {row["case"]: (row["outcome"], row["value"]) for row in json.loads(done.stdout)}
    assert outcomes == {"a": ("scored", 1.0), "b": ("hole", None)}


def test_a_structure_nobody_predicted_is_null_in_json_and_never_nan(tmp_path):
    geometry = Geometry((8, 8), None, "pixel", None, "png", (8, 8))
    empty, square = np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.uint8)
    square[2:4, 2:4] = 1
    write_label(tmp_path / "p.png", empty, geometry)
    write_label(tmp_path / "r.png", square, geometry)
    text = call(
        "score",
        "--prediction",
        tmp_path / "p.png",
        "--reference",
        tmp_path / "r.png",
        "--convention",
        "monai",
        "--json",
    )
    assert "NaN" not in text
    assert {row["outcome"] for row in json.loads(text)} == {"missed"}


def test_the_road_by_hand_in_single_commands(tmp_path):
    resources = ("--resources", tmp_path / "resources")
    options = json.dumps({"options": {"cases": 8, "size": [40, 48]}})
    lesions = ("phantom_lesions", "--entry", "lesions")
    prepared = Path(call("prepare", *lesions, "--config", options, *resources).strip()).parent
    config = json.dumps({"split": {"fractions": {"train": 0.5, "val": 0.25, "test": 0.25}}})
    split = Path(call("split", *lesions, "--config", config, *resources).strip())
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"training": TRAINING}))
    run = tmp_path / "run"
    axes = ("--entry", "lesions", "--method", "supervised", "--labels", "n2")
    for typo, words in (
        ({"stage_training": {"stepz": 1}}, ["stage_training: stepz", "there are: ", "steps"]),
        ({"training": {"network": {"name": "unett"}}}, ["network: unknown network 'unett'", "unet"]),
        ({"settings": {"dekay": 1}}, ["setting of supervised 'dekay'"]),
    ):
        done = process("train", *axes, "--config", json.dumps(typo), "--output", run, *resources, cwd=tmp_path)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert not [word for word in words if word not in done.stderr], done.stderr
    known = ("--config", settings, "--output", run, *resources)
    done = process("train", *axes, "--planned", "data that is gone", *known, cwd=tmp_path)
    assert done.returncode == 1
    assert "was made again by others" in done.stderr
    assert not run.exists()
    content = planning.content_text(
        {"data": planning.data_digest(prepared), "split": planning.split_digest(split, 0, 0)}
    )
    call("train", *axes, "--planned", content, *known)
    card = json.loads((run / "run.json").read_text())
    assert (card["labelled_count"], card["steps"], card["suite"]) == (2, 2, "by-hand")
    assert card["fingerprint"]
    checkpoint = run / "checkpoints" / "last.ckpt"
    where = ("--prepared", prepared, "--split", split)
    call("predict", "--checkpoint", checkpoint, *where, "--output", tmp_path / "predictions")
    rows = json.loads(call("score", "--prediction", tmp_path / "predictions", "--reference", prepared, "--json"))
    assert {row["case"] for row in rows} == set(
        json.loads((tmp_path / "predictions" / "predictions.json").read_text())["cases"]
    )
    photograph = next((tmp_path / "predictions").glob("*.png"))
    call("predict", "--checkpoint", checkpoint, "--input", photograph, "--output", tmp_path / "mine")
    label, _, _ = read_label(tmp_path / "mine" / photograph.name)
    assert label.shape == read_label(photograph)[0].shape


def test_a_pool_by_hand_and_a_part_without_patients(tmp_path):
    resources = ("--resources", tmp_path / "resources")
    made = {}
    for entry, seed in (("lesions", 0), ("others", 1)):
        options = json.dumps({"options": {"cases": 10, "size": [40, 48], "seed": seed}})
        made[entry] = call("prepare", "phantom_lesions", "--entry", entry, "--config", options, *resources).strip()
    fractions = {"train": 0.8, "val": 0, "test": 0.2}
    config = json.dumps({"split": {"fractions": fractions}})
    split = call("split", "phantom_lesions", "--entry", "lesions", "--config", config, *resources).strip()
    wanted = {"entry": "lesions", "sources": ["lesions", "others"], "tests": {"lesions": [0]}}
    path = call("pool", "--config", json.dumps(wanted), "--output", tmp_path / "pool.json", *resources).strip()
    pool = json.loads(Path(path).read_text())
    assert (len(pool["used"]), len(pool["left_out"]), len(pool["tests"])) == (16, 4, 2)
    where = ("--prepared", Path(made["lesions"]).parent, "--split", split, "--output", "o", "--checkpoint", "x.ckpt")
    done = process("predict", *where, "--subset", "val", cwd=tmp_path)
    assert done.returncode == 1
    assert "SplitError: fold 0 has no val patients" in done.stderr
