"""Modules as their source says they are: what each name at their top is bound to, found without importing anything."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple, TypeGuard

from contrastseg.code_graph import packages

PACKAGE = "contrastseg"

_SCOPES = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_COMPREHENSIONS = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
_COMPOUND = (ast.If, ast.Try, ast.With, ast.For, ast.While, ast.Match)
_BIND_OTHERWISE = frozenset(
    {
        *(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda),
        *(ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp),
        *(ast.ExceptHandler, ast.MatchAs, ast.MatchStar, ast.MatchMapping, ast.Import, ast.ImportFrom),
    }
)
_KINDS = [kind for kind in vars(ast).values() if isinstance(kind, type) and issubclass(kind, ast.AST)]
FIELDS = {
    kind: tuple(name for name in kind._fields if name not in ("ctx", "type_comment", "type_ignores")) for kind in _KINDS
}
"""The fields of each type of node that say something of the code."""
# Those in which names can be bound.
_FIELDS = {kind: tuple(name for name in fields if name not in ("op", "ops")) for kind, fields in FIELDS.items()}
# Fields in which statements have statements.
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")


class Target(NamedTuple):
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


def source(name: str) -> Path | None:
    """The file of a module; None when there is none (a name in a module, or a namespace)."""
    file = _sources(name).get(name)
    return None if file is None else file.path


def _sources(name: str) -> dict[str, packages.SourceFile]:
    """The modules of the package that a module lies in."""
    return packages.package(name.partition(".")[0]).modules


def modules_below(package: str) -> list[str]:
    """A package and all modules in it."""
    if source(package) is None:
        return []
    return [package, *(name for name in _sources(package) if name.startswith(f"{package}."))]


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
    file = _sources(name).get(name)
    read = Module(name)
    if file is not None:
        for statement in ast.parse(file.content, filename=str(file.path)).body:
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
        inside = list(statements_in([statement], into_scopes=True))
        into.imported |= {name for node in inside for name in named_modules(node, into.name)}
        calls = isinstance(statement, _COMPOUND) and any(isinstance(node, ast.Expr) for node in inside)
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
    """The modules that an import statement in the module `inside` may execute: some are names in modules."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = _absolute(node, inside)
        yield base
        yield from (f"{base}.{alias.name}" for alias in node.names)


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


def statements_in(body: Iterable[ast.AST], *, into_scopes: bool = False) -> Iterator[ast.AST]:
    """Statements and those in them, without those in the bodies of functions and classes unless `into_scopes`.

    An expression, as what a `lambda` returns, has none in it.
    """
    for node in body:
        yield node
        if not isinstance(node, ast.expr) and (into_scopes or not isinstance(node, _SCOPES)):
            for block in _BLOCKS:
                yield from statements_in(getattr(node, block, ()), into_scopes=into_scopes)


def bound_names(node: ast.AST) -> list[str]:
    """The names that a statement binds in the scope it stands in, in the order of the text."""
    names: list[str] = []
    pending = [node]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Store | ast.Del):
                names.append(node.id)
        elif type(node) not in _BIND_OTHERWISE:
            pending += reversed(_children(node))
        elif isinstance(node, _SCOPES):
            names.append(node.name)
            pending += reversed([*node.decorator_list, *_defaults(node)])
        elif isinstance(node, _COMPREHENSIONS):
            names += _named_in(node)
        elif not isinstance(node, ast.Lambda):
            if isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
                names.append(node.name)
            elif isinstance(node, ast.MatchMapping) and node.rest:
                names.append(node.rest)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                names += [alias.asname or alias.name.partition(".")[0] for alias in node.names]
            pending += reversed(_children(node))
    return names


def _named_in(comprehension: ast.AST) -> list[str]:
    """The names that a comprehension binds outside itself, by `:=`."""
    nodes = [comprehension]
    for node in nodes:
        nodes += _children(node)
    return [node.target.id for node in nodes if isinstance(node, ast.NamedExpr)]


def _children(node: ast.AST) -> list[ast.AST]:
    """The nodes in a node that names may stand in, in the order of the text."""
    children: list[ast.AST] = []
    for name in _FIELDS[type(node)]:
        value = getattr(node, name)
        if isinstance(value, list):
            children += [item for item in value if isinstance(item, ast.AST)]
        elif isinstance(value, ast.AST):
            children.append(value)
    return children


def _defaults(node: _SCOPES) -> list[ast.expr]:
    """What a definition evaluates in the scope around it beside its decorators."""
    if isinstance(node, ast.ClassDef):
        return [*node.bases, *(keyword.value for keyword in node.keywords)]
    return [default for default in (*node.args.defaults, *node.args.kw_defaults) if default is not None]


def clear() -> None:
    """Forget what was read."""
    packages.package.cache_clear()
    module.cache_clear()
