"""The rule files that train the methods of a suite."""

from __future__ import annotations

import re
from pathlib import Path

from contrastseg.errors import SuiteError
from contrastseg.paths import SHIPPED
from contrastseg.suite import Suite


def method_rules(suite: Suite, base: Path = SHIPPED) -> list[Path]:
    """Rule files: one per method of the workflow, then the suite's custom rules.

    Args:
        suite: Its `custom_rules` are relative to the working directory.
        base: The folder of the Snakefile.

    Raises:
        SuiteError: A file that the suite names is not there.
    """
    custom = [Path(file).expanduser().resolve() for file in suite.custom_rules]
    for given, file in zip(suite.custom_rules, custom, strict=True):
        if not file.is_file():
            raise SuiteError(
                f"rule file {given!r} of custom_rules not found",
                file=file,
                remedy="correct the path; a relative one starts at the working directory",
            )
    return sorted((base / "workflow" / "rules" / "methods").glob("*.smk")) + custom


def missing_rule(method: str) -> SuiteError:
    """The error of a method without a rule, instead of a missing input of a later rule."""
    return SuiteError(
        f"the rule that trains {method!r} is missing",
        remedy=f"write workflow/rules/methods/{method}.smk, or a file in the suite's custom_rules, with `use rule train"
        f" as train_{method}` and the wildcard constraint method={method!r} in it",
    )


def check_rules(suite: Suite, base: Path = SHIPPED) -> None:
    """Look for the rule of every method in the text of the rule files.

    Raises:
        SuiteError: A file that the suite names is not there, or a method has no rule.
    """
    text = "\n".join(file.read_text(encoding="utf-8") for file in method_rules(suite, base))
    if re.search(r"^\s+name:", text, re.MULTILINE):  # a rule whose name is computed: only Snakemake knows it
        return
    for method in suite.methods:
        if f"train_{method.name}" not in text.replace(":", " ").split():
            raise missing_rule(method.name)
