"""What a wheel and a source archive hold, asked of the build backend: nothing is built."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

import contrastseg
from tests.workflow.conftest import PARTS

ROOT = Path(__file__).resolve().parents[2]
ASK = """
import json, os, sys
import setuptools
from distutils.core import run_setup

project = run_setup("setup.py", ["--quiet"], stop_after="config")
info = project.get_command_obj("egg_info")
info.egg_base = sys.argv[1]
info.ensure_finalized()
info.run()
build = project.get_command_obj("build_py")
build.ensure_finalized()
wheel = [os.path.relpath(path, build.build_lib) for path in build.get_outputs(include_bytecode=False)]
print(json.dumps({"wheel": wheel, "sdist": [os.path.normpath(path) for path in info.filelist.files]}))
"""


class Lists(NamedTuple):
    """Paths inside the archives."""

    wheel: set[str]
    sdist: set[str]


@pytest.fixture(scope="module")
def lists(tmp_path_factory: pytest.TempPathFactory) -> Lists:
    folder = tmp_path_factory.mktemp("info")
    done = subprocess.run([sys.executable, "-c", ASK, folder], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    return Lists(set(found["wheel"]), set(found["sdist"]))


def files(*parts: str) -> set[str]:
    """Files of the project below some of its parts, those that git ignores left out."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *parts],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listing.returncode == 0:
        return {name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()}
    there = (path for part in parts for path in [ROOT / part, *(ROOT / part).rglob("*")])
    return {str(path.relative_to(ROOT)) for path in there if path.is_file() and path.suffix != ".pyc"}


def test_every_file_of_the_package_is_in_both(lists):
    package = files("contrastseg")
    assert "contrastseg/report/page/templates/report.css" in package
    assert package == {name for name in lists.wheel if not name.startswith("contrastseg/_shipped/")}
    assert package <= lists.sdist


def test_data_beside_the_package_is_in_both_at_the_paths_of_the_repository(lists):
    parts = [part for part in PARTS if part != "contrastseg"]
    data = {name for name in files(*parts) if not name.endswith(".py")} | {"requirements.lock"}
    shipped = {name.removeprefix("contrastseg/_shipped/") for name in lists.wheel if "/_shipped/" in name}
    assert shipped == data, "setup.py says what is shipped"
    assert data <= lists.sdist


def test_every_file_that_code_asks_for_is_shipped(lists):
    """By `SHIPPED / "..."` in modules and `BASE / "..."` in rules; of a folder, all that is in it but scripts."""
    sources = [*(ROOT / "contrastseg").rglob("*.py"), *(ROOT / "workflow").rglob("*.smk"), ROOT / "Snakefile"]
    asked = set()
    for source in sources:
        for chain in re.findall(r'\b(?:SHIPPED|BASE)((?: / "[^"]+")+)', source.read_text(encoding="utf-8")):
            asked.add("/".join(re.findall(r'"([^"]+)"', chain)))
        if source.suffix != ".py":
            for name in re.findall(r'(?:include: |caption=)"([^"]+)"', source.read_text(encoding="utf-8")):
                asked.add(str((source.parent / name).resolve().relative_to(ROOT)))
    asked.discard("contrastseg")  # a checkout's package
    assert {"benchmarks/datasets.csv", "benchmarks/splits", "workflow/rules/train.smk", "Snakefile"} <= asked
    for name in asked:
        inside = {file for file in files(name) if not file.endswith(".py")}
        assert inside, f"{name} is asked for, and not in the repository"
        assert {f"contrastseg/_shipped/{file}" for file in inside} <= lists.wheel


def test_no_python_file_is_shipped_as_data(lists):
    """It would count as code of the package, and fingerprints would differ from a checkout's."""
    assert not {name for name in lists.wheel if "/_shipped/" in name and name.endswith((".py", ".pyc"))}


def test_the_source_archive_builds_a_wheel_and_leaves_out_tests_and_results(lists):
    assert {"setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "CHANGELOG.md"} <= lists.sdist
    assert not {name for name in lists.sdist if name.split("/")[0] in {"tests", "results", "resources", "site"}}


def test_the_changelog_begins_with_this_version():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## \[(\d[\w.]*)\]", changelog, re.MULTILINE)
    assert versions[0] == contrastseg.__version__
