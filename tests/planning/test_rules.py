"""Every method has a rule, and the files that a suite names are there: said before a job starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from contrastseg.errors import SuiteError
from contrastseg.planning.rules import check_rules, method_rules
from contrastseg.suite import Suite, parse_suite

RULE = 'use rule train as train_{0} with:\n    wildcard_constraints:\n        method="{0}",\n'


def suite(*files: str) -> Suite:
    return parse_suite(
        {"name": "s", "datasets": ["phantom_lesions"], "methods": ["supervised"], "custom_rules": files}
    )[0]


def project(tmp_path: Path, *methods: str) -> Path:
    """A folder with a Snakefile and rules for these methods."""
    (tmp_path / "workflow" / "rules" / "methods").mkdir(parents=True)
    (tmp_path / "Snakefile").touch()
    for method in methods:
        (tmp_path / "workflow" / "rules" / "methods" / f"{method}.smk").write_text(RULE.format(method))
    return tmp_path


def test_the_suite_s_own_files_come_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.smk").touch()
    found = method_rules(suite("mine.smk"), project(tmp_path, "supervised", "byol"))
    assert [path.name for path in found] == ["byol.smk", "supervised.smk", "mine.smk"]
    assert found[-1].is_absolute()


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match=r"'mine\.smk'") as caught:
        check_rules(suite("mine.smk"), project(tmp_path, "supervised"))
    assert caught.value.file == Path("mine.smk").resolve()
    assert "working directory" in str(caught.value.remedy)


def test_a_method_without_a_rule(tmp_path: Path) -> None:
    base = project(tmp_path, "supervised_too")
    with pytest.raises(SuiteError, match="'supervised' is missing"):
        check_rules(suite(), base)
    mine = tmp_path / "mine.smk"
    mine.write_text(RULE.format("supervised"))
    check_rules(suite(str(mine)), base)
    mine.write_text("rule:\n    name: 'train_' + 'supervised'\n")  # what its name comes to, Snakemake alone knows
    check_rules(suite(str(mine)), base)


def test_the_project_s_own_methods_have_one() -> None:
    check_rules(suite())
