"""The places that CONTRIBUTING.md names exist."""

from __future__ import annotations

import ast
import re

from tests.docs.pages import ROOT

PACKAGE = ROOT / "contrastseg"


def defined(path: str) -> set[str]:
    tree = ast.parse((PACKAGE / path).read_text(encoding="utf-8"))
    names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    targets = [node.targets for node in tree.body if isinstance(node, ast.Assign)]
    targets += [[node.target] for node in tree.body if isinstance(node, ast.AnnAssign)]
    return names | {target.id for each in targets for target in each if isinstance(target, ast.Name)}


def test_every_place_exists() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text[text.index("## Where is") : text.index("## Add a method")]
    places = re.findall(r"`([a-z_/]+\.py)(?::(\w+))?`", section)
    assert len(places) > 20
    assert [(path, name) for path, name in places if not (PACKAGE / path).is_file()] == []
    assert [(path, name) for path, name in places if name and name not in defined(path)] == []
