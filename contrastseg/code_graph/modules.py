"""Modules as their source says they are: what each name at their top is bound to, found without importing anything."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import TypeGuard

PACKAGE = "contrastseg"

_SCOPES = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_COMPOUND = (ast.If, ast.Try, ast.With, ast.For, ast.While, ast.Match)


@dataclass(frozen=True)
class Target:
    """What an import binds: a module, or a name in one.

    Attributes:
        module: Dotted name.
        name: The name in it; None for the module itself.
    """

    module: str
    name: str | None = None


@dataclass
class Module:
    """The top of a module.

    Attributes:
        name: Dotted name.
        bindings: The statements that bind a name, by the name, in their order.
        imports: What a name is imported from, for names that an import statement at the top binds.
        stars: The modules that `from module import *` names.
        imported: Every module that an import at the top names.
        typing_only: Names that only type checkers see.
        effects: Statements that do something when the module is imported beside binding names.
    """

    name: str
    bindings: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imports: dict[str, Target] = field(default_factory=dict)
    stars: list[str] = field(default_factory=list)
    imported: set[str] = field(default_factory=set)
    typing_only: set[str] = field(default_factory=set)
    effects: list[ast.stmt] = field(default_factory=list)


@cache
def source(name: str) -> Path | None:
    """The file of a module; None when there is none (a name in a module, or a namespace)."""
    if name == "__main__":  # a script's own data set
        file = getattr(sys.modules[name], "__file__", None)
        return None if file is None else Path(file)
    top, _, rest = name.partition(".")
    spec = _top_level(top)
    if spec is None:
        return None
    if not spec.submodule_search_locations:
        return Path(spec.origin) if spec.origin and not rest else None
    for location in spec.submodule_search_locations:
        path = Path(location, *rest.split(".")) if rest else Path(location)
        for candidate in (path.with_suffix(".py"), path / "__init__.py"):
            if candidate.is_file():
                return candidate
    return None


@cache
def _top_level(name: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None


def modules_below(package: str) -> list[str]:
    """A package and all modules in it."""
    path = source(package)
    if path is None:
        return []
    names = [package]
    for file in sorted(path.parent.rglob("*.py")):
        inside = file.relative_to(path.parent).with_suffix("")
        parts = inside.parts[:-1] if inside.name == "__init__" else inside.parts
        if parts:
            names.append(".".join((package, *parts)))
    return names


def files_below(package: str) -> list[Path]:
    """Files of a package that are not Python: templates, style sheets, scripts."""
    path = source(package)
    if path is None:
        return []
    return sorted(p for p in path.parent.rglob("*") if p.is_file() and p.suffix not in {".py", ".pyc"})


def packages_of(name: str) -> list[str]:
    """The packages around a module, the outermost first."""
    parts = name.split(".")
    return [".".join(parts[:size]) for size in range(1, len(parts))]


@cache
def module(name: str) -> Module:
    """The module of this name, read from its file.

    Raises:
        SyntaxError: It is no Python.
    """
    path = source(name)
    read = Module(name)
    for statement in ast.parse(path.read_bytes() if path else b"", filename=str(path)).body:
        _read(statement, read)
    return read


def _read(statement: ast.stmt, into: Module) -> None:
    if isinstance(statement, ast.Import | ast.ImportFrom):
        into.imported |= set(named_modules(statement, into.name))
        for name, target in targets(statement, into.name):
            if name == "*":
                into.stars.append(target.module)
            else:
                into.imports[name] = target
    elif is_for_type_checkers(statement):
        into.typing_only |= {name for child in statement.body for name in bound_names(child)}
        for child in statement.orelse:
            _read(child, into)
    elif not (is_text(statement) or _is_main(statement)):
        names = dict.fromkeys(bound_names(statement))
        if "__all__" in names:
            return
        for name in names:
            into.bindings.setdefault(name, []).append(statement)
        into.imported |= {name for node in ast.walk(statement) for name in named_modules(node, into.name)}
        calls = isinstance(statement, _COMPOUND) and any(isinstance(node, ast.Expr) for node in ast.walk(statement))
        if calls or not names or _registers(statement, into):
            into.effects.append(statement)


def _registers(statement: ast.stmt, into: Module) -> bool:
    """Whether a decorator of the module's own package sees a definition: it may keep it for whoever asks later."""
    for decorator in getattr(statement, "decorator_list", ()):
        root = decorator
        while isinstance(root, ast.Call | ast.Attribute):
            root = root.func if isinstance(root, ast.Call) else root.value
        name = root.id if isinstance(root, ast.Name) else ""
        origin = into.imports[name].module if name in into.imports else into.name if name in into.bindings else ""
        if origin.partition(".")[0] == into.name.partition(".")[0]:
            return True
    return False


def targets(node: ast.AST, inside: str) -> Iterator[tuple[str, Target]]:
    """(bound name, what it is) of an import statement in the module `inside`; nothing of other nodes."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            if alias.asname:
                yield alias.asname, Target(alias.name)
            else:  # binds the outermost package; the others are reached through it
                yield alias.name.partition(".")[0], Target(alias.name.partition(".")[0])
    elif isinstance(node, ast.ImportFrom):
        base = _absolute(node, inside)
        for alias in node.names:
            yield (alias.asname or alias.name), Target(base, None if alias.name == "*" else alias.name)


def named_modules(node: ast.AST, inside: str) -> Iterator[str]:
    """The modules of which there is a source that an import statement in the module `inside` executes."""
    if isinstance(node, ast.Import):
        named = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        base = _absolute(node, inside)
        named = [base, *(f"{base}.{alias.name}" for alias in node.names)]
    else:
        return
    yield from (name for name in named if source(name) is not None)


def _absolute(node: ast.ImportFrom, inside: str) -> str:
    base = node.module or ""
    if not node.level:
        return base
    path = source(inside)
    parts = inside.split(".")
    parts = parts[: len(parts) - node.level + (path is not None and path.name == "__init__.py")]
    return ".".join([*parts, base] if base else parts)


def is_text(node: ast.AST) -> bool:
    """Whether a statement is a docstring."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def is_for_type_checkers(node: ast.AST) -> TypeGuard[ast.If]:
    """Whether a statement is `if TYPE_CHECKING:`."""
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _is_main(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and "__main__" in {getattr(n, "value", None) for n in ast.walk(node.test)}


def bound_names(node: ast.AST) -> Iterator[str]:
    """The names that a statement binds in the scope it stands in."""
    if isinstance(node, _SCOPES):
        yield node.name
        for outside in (*node.decorator_list, *_defaults(node)):
            yield from bound_names(outside)
        return
    if isinstance(node, ast.Lambda):
        return
    if isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
        yield from (n.target.id for n in ast.walk(node) if isinstance(n, ast.NamedExpr))
        return
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
        yield node.id
    elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
        yield node.name
    elif isinstance(node, ast.MatchMapping) and node.rest:
        yield node.rest
    elif isinstance(node, ast.Import | ast.ImportFrom):
        yield from (alias.asname or alias.name.partition(".")[0] for alias in node.names)
    for child in ast.iter_child_nodes(node):
        yield from bound_names(child)


def _defaults(node: _SCOPES) -> list[ast.expr]:
    """What a definition evaluates in the scope around it beside its decorators."""
    if isinstance(node, ast.ClassDef):
        return [*node.bases, *(keyword.value for keyword in node.keywords)]
    return [default for default in (*node.args.defaults, *node.args.kw_defaults) if default is not None]


def clear() -> None:
    """Forget what was read."""
    for function in (source, _top_level, module):
        function.cache_clear()
