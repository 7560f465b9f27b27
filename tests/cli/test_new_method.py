"""A method from the template: what is refused, and that it trains and passes the contract as it is written."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from contrastseg.cli.new_method import write_method
from contrastseg.errors import SuiteError
from tests.workflow.warm import planner

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A checkout without a single method."""
    for folder in ("contrastseg/methods", "workflow/rules/methods", "tests/methods"):
        (tmp_path / folder).mkdir(parents=True)
    return tmp_path


def written(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    "name", ["", "2d", "My_idea", "my-idea", "my idea", "_idea", "idea_", "my__idea", "class", "../idea", "idea.py"]
)
def test_names_that_are_no_identifiers_are_refused_and_nothing_is_written(name: str, empty: Path) -> None:
    with pytest.raises(SuiteError, match="not a valid method name") as caught:
        write_method(name, None, empty, 2020)
    assert "my_idea" in str(caught.value)
    assert written(empty) == []


@pytest.mark.parametrize("name", ["pdcr", "supervised"])
def test_methods_there_are_cannot_be_written_again(name: str, empty: Path) -> None:
    with pytest.raises(SuiteError, match="a method named"):
        write_method(name, None, empty, 2020)
    for root in (empty, ROOT):
        before = written(root / "contrastseg" / "methods")
        with pytest.raises(SuiteError, match="already"):
            write_method(name, None, root, 2020)
        assert written(root / "contrastseg" / "methods") == before


@pytest.mark.parametrize("file", ["contrastseg/methods/idea.py", "workflow/rules/methods/idea.smk"])
def test_no_file_is_overwritten(file: str, empty: Path) -> None:
    (empty / file).write_text("mine")
    with pytest.raises(SuiteError, match=r"idea\.(py|smk)"):
        write_method("idea", None, empty, 2020)
    assert (empty / file).read_text() == "mine"
    assert written(empty) == [file]
    with pytest.raises(SuiteError, match="already"):
        write_method("contract", None, ROOT, 2020)


@pytest.mark.parametrize("title", ["", "  ", "two\nlines", "x" * 91])
def test_titles_that_do_not_fit_a_line_are_refused(title: str, empty: Path) -> None:
    with pytest.raises(SuiteError, match="one line"):
        write_method("idea", title, empty, 2020)
    assert written(empty) == []


def test_it_is_written_to_a_checkout_alone(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="not a checkout") as caught:
        write_method("idea", None, tmp_path, 2020)
    assert "--root" in str(caught.value)


def test_the_rule_is_that_of_the_methods_there_are(empty: Path) -> None:
    write_method("idea", None, empty, 2020)
    rule = (empty / "workflow/rules/methods/idea.smk").read_text(encoding="utf-8")
    assert rule == (ROOT / "workflow/rules/methods/supervised.smk").read_text().replace("supervised", "idea")


def test_a_new_method_trains_and_passes_the_contract_as_it_is_written(tmp_path: Path) -> None:
    unwanted = shutil.ignore_patterns("__pycache__", ".*_cache")
    for folder in ("contrastseg", "tests", "workflow"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=unwanted)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [planner(), "-m", *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": path},
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    title = 'My "new" idea, on rather many words and 2 \\ 3 of a line, so that it is as long as it may be'[:90]
    shown = run("contrastseg", "new-method", "my_new_idea", "--title", title)
    files = ["contrastseg/methods/my_new_idea.py", "tests/methods/test_my_new_idea.py"]
    assert all(file in shown for file in files)
    assert "my_new_idea" in run("contrastseg", "methods")
    for check in (("check",), ("format", "--check")):
        run("ruff", *check, *files)
    tests = run("pytest", "-q", "-k", "my_new_idea and not -3", "tests/contracts/test_methods.py", files[1])
    assert "failed" not in tests
    assert "11 passed" in tests, "eight of the contract, three of its own"
