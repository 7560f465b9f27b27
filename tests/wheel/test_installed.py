"""The package of a wheel, in an environment without the checkout: from a command to a report."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from tests.workflow.conftest import PARTS as REPOSITORY_PARTS

ROOT = Path(__file__).resolve().parents[2]
BUILD_SDIST = "import sys; from setuptools.build_meta import build_sdist; print(build_sdist(sys.argv[1]))"
# What a source archive is made of.
PARTS = (*REPOSITORY_PARTS, "docs", "setup.py", "pyproject.toml", "requirements.lock", "MANIFEST.in", "LICENSE")
PARTS += ("README.md", "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md")
# The shipped demo, smaller: minutes become one.
MINIATURE = (
    "--config",
    "datasets=[{name: lesions, dataset: phantom_lesions, options: {cases: 12, size: [48, 64]}}]",
    "methods=[supervised, mean_teacher]",
    "checkpoints=[last]",
    "labels=[r0.5]",
    "seeds=[0]",
    "training={patch_size: [48, 64], steps: 6}",
)
LEFTOVER = "contrastseg/methods/removed.py"
FINGERPRINTS = """
import json
from contrastseg.fingerprints import stage_fingerprint
stages = "split pool score collect compare tabulate plot slices report".split()
found = {stage: stage_fingerprint(stage) for stage in stages}
found |= {stage: stage_fingerprint(stage, method="pdcr") for stage in ("train", "predict")}
found["prepare"] = stage_fingerprint("prepare", dataset="acdc")
print(json.dumps(found))
"""


@dataclass
class Installed:
    """An environment with the wheel, the sources it was built from, and a folder to work in."""

    environment: Path
    source: Path
    work: Path

    def call(self, *command: str | Path, code: Path | None = None) -> str:
        """The output of a command of the environment, or of this interpreter with the code in a folder."""
        variables = {name: value for name, value in os.environ.items() if name != "CONTRASTSEG_DATA"}
        variables.pop("PYTHONPATH", None)
        program = [self.environment / "bin" / command[0], *command[1:]]
        if code is not None:
            variables["PYTHONPATH"] = str(code)
            program = [sys.executable, *command[1:]]
        done = subprocess.run(program, cwd=self.work, env=variables, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + ("" if command[-1] == "--json" else done.stderr)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Source archive, from it the wheel, from it an environment: all without a network."""
    folder = tmp_path_factory.mktemp("installed")
    source, archives, environment = folder / "source", folder / "archives", folder / "environment"
    source.mkdir()
    for name in PARTS:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source)
    done = subprocess.run([sys.executable, "-c", BUILD_SDIST, archives], cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (archive,) = archives.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        opened.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    leftover = unpacked / "build" / "lib" / LEFTOVER
    leftover.parent.mkdir(parents=True)
    leftover.write_text("raise ImportError('this method was removed')\n")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-deps", "--no-index"]
    subprocess.run([*pip, "wheel", *offline, "--no-build-isolation", "--wheel-dir", archives, unpacked], check=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    own = Path(sysconfig.get_path("purelib", vars={"base": str(environment)}))
    # A line of a .pth file: the packages there are found, its own .pth files, which lead to the checkout, are not read.
    borrowed = dict.fromkeys([sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
    (own / "borrowed.pth").write_text("\n".join(borrowed) + "\n")
    (wheel,) = archives.glob("*.whl")
    python = environment / "bin" / "python"
    subprocess.run([*pip, "--python", python, "install", *offline, wheel], check=True)
    work = folder / "work"
    work.mkdir()
    found = Installed(environment, source, work)
    module = found.call("python", "-c", "import contrastseg; print(contrastseg.__file__)").strip()
    assert Path(module).is_relative_to(own), "the checkout is not to be seen from here"
    assert not (own / LEFTOVER).exists(), "an earlier build left it"
    return found


@pytest.mark.long
def test_lists_and_published_data_are_found(installed: Installed) -> None:
    suites = json.loads(installed.call("contrastseg", "suites", "--json"))
    assert {suite["name"] for suite in suites} == {path.stem for path in (ROOT / "benchmarks").glob("*.yaml")}
    assert json.loads(installed.call("contrastseg", "datasets", "--json"))
    assert len(json.loads(installed.call("contrastseg", "published", "--json"))) > 500
    methods = json.loads(installed.call("contrastseg", "methods", "--json"))
    assert next(row["parameters"] for row in methods if row["name"] == "supervised") > 0
    code = "from contrastseg.data.splits.folds import read_published as r; print(r('acdc_70_10_20')['dataset'])"
    assert installed.call("python", "-c", code).strip() == "acdc"
    code = "from contrastseg.data.download.table import published_files as f; print(len(f('isic2016')))"
    assert int(installed.call("python", "-c", code)) > 0


@pytest.mark.long
def test_code_has_the_fingerprints_of_the_checkout(installed: Installed) -> None:
    here = json.loads(installed.call("python", "-c", FINGERPRINTS))
    there = json.loads(installed.call("python", "-c", FINGERPRINTS, code=installed.source))
    assert here == there


@pytest.mark.long
def test_from_run_demo_to_a_report_which_a_checkout_continues(installed: Installed) -> None:
    installed.call("contrastseg", "run", "demo", "--cores", "2", *MINIATURE)
    assert {path.name for path in installed.work.iterdir()} == {".snakemake", "resources", "results"}
    results = installed.work / "results" / "demo"
    scores = pd.read_parquet(results / "scores.parquet")
    assert set(scores["method"]) == {"supervised", "mean_teacher"}
    assert scores["value"].notna().any()
    assert (results / "report.html").stat().st_size > 50_000
    records = [json.loads(path.read_text()) for path in results.glob("runs/**/run.json")]
    assert {record["git_commit"] for record in records} == {""}, "a wheel is of no commit"
    assert len(records) == 2

    again = "Nothing to be done"
    assert again in installed.call("contrastseg", "run", "demo", *MINIATURE, "--dry-run")
    checkout = ["python", "-m", "snakemake", "--snakefile", installed.source / "Snakefile", "--cores", "2", "--dry-run"]
    checkout += ["--configfile", installed.source / "benchmarks" / "demo.yaml", *MINIATURE]
    assert again in installed.call(*checkout, code=installed.source)
    longer = [item.replace("steps: 6", "steps: 7") if isinstance(item, str) else item for item in checkout]
    assert again not in installed.call(*longer, code=installed.source), "more steps train again"
