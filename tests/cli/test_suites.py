"""suites and run: shipped suites by name, your own by path, and the command that starts Snakemake."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.cli import get_argument_parser
from typer.testing import CliRunner

from contrastseg import paths
from contrastseg.cli import app
from contrastseg.cli.results import _suite_file
from contrastseg.cli.suites import find_suite, workflow_command
from contrastseg.errors import SuiteError
from contrastseg.suite import load_suite

ROOT = Path(__file__).resolve().parents[2]


def test_the_list_says_what_the_suites_say():
    rows = json.loads(CliRunner().invoke(app, ["suites", "--json"], catch_exceptions=False).output)
    assert [row["name"] for row in rows] == sorted(path.stem for path in (ROOT / "benchmarks").glob("*.yaml"))
    for row in rows:
        suite = load_suite(row["file"])
        assert (suite.name, suite.title, suite.description) == (row["name"], row["title"], row["description"])
        assert suite.labels == row["labels"]
        assert (len(suite.methods), len(suite.seeds)) == (row["methods"], row["seeds"])
        assert list(dict.fromkeys(entry.dataset for entry in suite.datasets)) == row["data"]


def test_listing_loads_neither_torch_nor_pandas_nor_the_settings():
    code = (
        "import sys; from contrastseg.cli import app; app(['suites'], standalone_mode=False);"
        "print({'torch', 'pandas', 'numpy', 'contrastseg.suite'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "set()"


def test_a_file_wins_over_a_shipped_suite_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_suite("demo") == ROOT / "benchmarks" / "demo.yaml"
    Path("demo").touch()
    assert find_suite("demo") == Path("demo")


@pytest.mark.parametrize(
    ("given", "told"),
    [("dmo", "did you mean 'demo'"), ("benchmarks/demo.yaml", "`demo` alone"), ("mine.yml", "contrastseg suites")],
)
def test_a_suite_that_does_not_exist_is_an_error_with_a_way_on(tmp_path, monkeypatch, given, told):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SuiteError) as caught:
        find_suite(given)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("options", "cores"),
    [
        ([], sys.maxsize),
        (["tables", "figures"], sys.maxsize),
        (["--cores", "3"], 3),
        (["-c3"], 3),
        (["--cores=3", "--dry-run"], 3),
        (["--jobs", "5"], None),
        (["-j5"], None),
        (["--profile", "profiles/slurm"], None),
    ],
)
def test_snakemake_gets_the_suite_the_workflow_and_all_cores_unless_told(options, cores):
    command = workflow_command("demo", options)
    assert command[:3] == [sys.executable, "-m", "snakemake"]
    asked, unknown = get_argument_parser().parse_known_args(command[3:])
    assert not unknown
    assert asked.configfile == [ROOT / "benchmarks" / "demo.yaml"]
    assert Path(asked.snakefile) == ROOT / "Snakefile"
    assert asked.cores == (cores if cores != sys.maxsize else os.cpu_count())
    assert sorted(asked.targets) == sorted(option for option in options if option in {"tables", "figures"})


@pytest.mark.parametrize("spelling", [["--profile", "profiles/slurm"], ["--profile=profiles/slurm"]])
def test_a_profile_of_the_package_is_found_from_any_folder(tmp_path, monkeypatch, spelling):
    monkeypatch.chdir(tmp_path)
    shipped = str(ROOT / "profiles" / "slurm")
    assert workflow_command("demo", spelling)[-1].removeprefix("--profile=") == shipped
    (tmp_path / "profiles" / "slurm").mkdir(parents=True)
    assert workflow_command("demo", spelling)[-len(spelling) :] == spelling, "one's own goes first"


@pytest.mark.parametrize("options", [["--configfile", "x.yaml"], ["--snakefile=x"], ["-s", "x"]])
def test_a_second_suite_or_workflow_is_refused(options):
    with pytest.raises(SuiteError, match="set by `contrastseg run`"):
        workflow_command("demo", options)


def started(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[list[str], str]:
    """The command that took the place of `contrastseg run`, and what was printed."""
    commands: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda path, command: commands.append(command))
    done = CliRunner().invoke(app, ["run", *arguments])
    return (commands[0] if commands else []), f"{done.output}{done.exception or ''}"


def test_unknown_options_reach_snakemake_as_they_are_written(monkeypatch):
    options = ["--config", "skip_unavailable=true", "--resources", "gpu=2", "-n", "--keep-going"]
    command, _ = started(monkeypatch, "demo", *options)
    assert command[-len(options) :] == options
    assert started(monkeypatch, "--cores", "2", "demo")[1].startswith("SUITE must come first")


def test_a_folder_with_another_copy_of_the_code_is_refused(tmp_path, monkeypatch):
    (tmp_path / "contrastseg").mkdir()
    (tmp_path / "contrastseg" / "__init__.py").touch()
    monkeypatch.chdir(tmp_path)
    command, said = started(monkeypatch, "demo")
    assert not command
    assert "another copy of contrastseg" in said
    monkeypatch.chdir(ROOT)
    assert started(monkeypatch, "demo")[0], "the checkout itself is no other copy"


def test_files_are_found_in_a_checkout_and_in_an_installed_package(tmp_path):
    assert (paths.SHIPPED, paths.INSTALLED) == (ROOT, False)
    package = tmp_path / "contrastseg"
    (package / "_shipped").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "paths.py").write_text(Path(paths.__file__).read_text(encoding="utf-8"), encoding="utf-8")
    code = "from contrastseg.paths import SHIPPED, INSTALLED; print(SHIPPED, INSTALLED)"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.split() == [str((package / "_shipped").resolve()), "True"]


def test_a_report_goes_by_a_shipped_suite_only_if_it_compares_the_same(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = {"suite": load_suite(ROOT / "benchmarks" / "demo.yaml").model_dump(mode="json")}
    results = SimpleNamespace(plan=plan)
    assert _suite_file(results) == ROOT / "benchmarks" / "demo.yaml"
    plan["suite"]["methods"] = plan["suite"]["methods"][:2]
    assert _suite_file(results) is None, "another suite of the same name"
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "demo.yaml").touch()
    assert _suite_file(results) == Path("benchmarks/demo.yaml")
