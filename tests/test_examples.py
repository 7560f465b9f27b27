"""Every public function of losses, networks, metrics and statistics has an example that prints what it says."""

from __future__ import annotations

import ast
import doctest
import importlib
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "contrastseg"
FOLDERS = ("losses", "networks", "evaluation/metrics", "evaluation/statistics")
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path
    for folder in FOLDERS
    for path in sorted((PACKAGE / folder).glob("[a-z]*.py"))
}
WITHOUT = {
    "contrastseg.evaluation.metrics.medpy_backend.medpy_scores": "medpy is a cross-check and may be missing",
    "contrastseg.evaluation.metrics.formulas.metric_value": "one step of `score_case`, which has the example",
    "contrastseg.networks.deeplabv3plus.low_level_map": "takes an encoder of another package",
}


def public(path: Path) -> dict[str, str]:
    """The docstrings of a module's public functions by name."""
    functions = [node for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)]
    return {node.name: ast.get_docstring(node) or "" for node in functions if not node.name.startswith("_")}


def test_every_public_function_has_an_example() -> None:
    lacking = {
        f"{module}.{name}"
        for module, path in MODULES.items()
        for name, text in public(path).items()
        if ">>>" not in text
    }
    assert lacking == set(WITHOUT)
    assert sum(len(public(path)) for path in MODULES.values()) > 90


@pytest.mark.parametrize("name", [name for name, path in MODULES.items() if ">>>" in path.read_text(encoding="utf-8")])
def test_examples_print_what_they_say(name: str) -> None:
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert (failed, tried > 0) == (0, True)
