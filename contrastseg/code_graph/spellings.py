"""Renamed attributes and keywords, hashed under their former spelling, so that renaming one reruns nothing.

Names of modules, functions, classes and local variables are no part of a hash and need no row. Names that other code
may use from outside are: attributes, methods, keywords of calls, parameters that somebody passes by name, and what
modules that are left out of hashes define. Whoever renames one of these adds a row. A row stays as long as results from
before it shall be recognised.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import NamedTuple

from contrastseg.code_graph.left_out import LEFT_OUT
from contrastseg.code_graph.modules import PACKAGE, bound_names, modules_below, source


class Renamed(NamedTuple):
    """A change of spelling.

    Attributes:
        new: How the code spells the attribute or keyword now. As `config.entry` the row holds for that attribute of
            variables called `config` alone, where others have an attribute `entry` of their own.
        old: How it did, without a variable; the hash still does.
        inside: Modules, and packages with all modules in them, that the row holds for. Where the old spelling stays in
            use for something else, name the modules that use the new one only.
    """

    new: str
    old: str
    inside: tuple[str, ...] = (PACKAGE,)


# Sorted by the new spelling, one row a line.
RENAMED: tuple[Renamed, ...] = (
    Renamed("PATH_KEYS", "PLACES", ("contrastseg.training",)),
    Renamed("_allocation", "_claim", ("contrastseg.training",)),
    Renamed("allocation", "claim", ("contrastseg.training",)),
    Renamed("baseline", "reference", ("contrastseg.evaluation.statistics.comparison",)),
    Renamed("cannot_reject", "hopeless"),
    Renamed("cases_by_source", "material", ("contrastseg.training",)),
    Renamed("config.entry", "dataset", ("contrastseg.training.training_cases",)),
    Renamed("disk_error", "refused", ("contrastseg.files",)),
    Renamed("false_positive_shares", "invented", ("contrastseg.evaluation.statistics.score_matrix",)),
    Renamed("guard", "watch", ("contrastseg.training.loop",)),
    Renamed("init_from", "takes"),
    Renamed("initial_weights", "taken_over", ("contrastseg.training",)),
    Renamed("last_finite_step", "good", ("contrastseg.training",)),
    Renamed("require_path", "existing", ("contrastseg.files",)),
    Renamed("significant", "apart", ("contrastseg.evaluation.statistics.critical",)),
    Renamed("storages", "parts", ("contrastseg.training.storage",)),
    Renamed("windows", "places", ("contrastseg.training.inference",)),
    Renamed("wrap_parse_errors", "understanding", ("contrastseg.files",)),
    Renamed("wrap_write_errors", "writing", ("contrastseg.files",)),
)


@cache
def former_spellings(module: str) -> dict[str, str]:
    """Former spellings by new ones, for the names in a module."""
    return {row.new: row.old for row in RENAMED if _covers(row, module)}


def former_spelling(name: str | None, module: str) -> str | None:
    """How the hash spells a name of a module; the name itself where it was never renamed."""
    return former_spellings(module).get(name, name) if name is not None else None


def with_former(words: frozenset[str]) -> frozenset[str]:
    """Words and their former spellings: a text that holds a parameter's name may pass it in any module."""
    return words | {row.old for row in RENAMED if row.new in words}


def _covers(row: Renamed, module: str) -> bool:
    return any(module == place or module.startswith(f"{place}.") for place in row.inside)


def stale(rows: Sequence[Renamed]) -> list[str]:
    """Why rows can no longer be trusted, one sentence each; empty when all can.

    Two names must never be hashed as one: an edit that takes the one for the other would go unseen. So a former
    spelling may be nothing else's in the modules of its row, and belong to one row alone there.
    """
    reasons = []
    for row in rows:
        reasons += [f"{row.new}: module {place} not found" for place in row.inside if source(place) is None]
        modules = [name for place in row.inside for name in modules_below(place)]
        parameters = [names for name in modules for names in _parameters_in(name)]
        if not any(row.new in names for names in (*map(_names_in, modules), *parameters)):
            reasons.append(f"{row.new}: nothing is spelled like this, so the row does nothing")
        if any({row.new, row.old} <= names for names in parameters):
            reasons.append(f"{row.new}: a function has a parameter {row.old}, too")
        variable, dot, _ = row.new.rpartition(".")
        used = [name for name in modules if f"{variable}{dot}{row.old}" in _names_in(name)]
        reasons += [f"{row.new}: its former spelling {row.old} is in use in {name}" for name in used]
        for other in rows:
            if other is not row and _collide(row, other) and any(_covers(other, name) for name in modules):
                reasons.append(f"{row.new}: {other.new} <- {other.old} holds for the same modules")
    return reasons


def _collide(row: Renamed, other: Renamed) -> bool:
    """Whether two rows for one module hash two names as one, or one name in two ways."""
    variables = {row.new.rpartition(".")[0], other.new.rpartition(".")[0]}
    return row.new == other.new or (row.old == other.old and (len(variables) == 1 or "" in variables))


@cache
def _names_in(module: str) -> frozenset[str]:
    """Attributes, keywords and names in classes' bodies that a module spells out; what it defines, if left out."""
    path = source(module)
    if path is None:
        return frozenset()
    tree = ast.parse(path.read_bytes())
    defined = [name for statement in tree.body for name in bound_names(statement)] if module in LEFT_OUT else []
    return frozenset([*_spelled(tree), *defined])


@cache
def _parameters_in(module: str) -> tuple[frozenset[str], ...]:
    """The names of the parameters of each function in a module."""
    path = source(module)
    nodes: Iterable[ast.AST] = [] if path is None else ast.walk(ast.parse(path.read_bytes()))
    functions = [node.args for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)]
    return tuple(frozenset(a.arg for a in (*f.posonlyargs, *f.args, *f.kwonlyargs)) for f in functions)


def _spelled(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
            if isinstance(node.value, ast.Name):
                yield f"{node.value.id}.{node.attr}"
        elif isinstance(node, ast.keyword) and node.arg is not None:
            yield node.arg
        elif isinstance(node, ast.MatchClass):
            yield from node.kwd_attrs
        elif isinstance(node, ast.ClassDef):
            for statement in node.body:
                yield from bound_names(statement)


def clear() -> None:
    """Forget what was read and looked up."""
    former_spellings.cache_clear()
    _names_in.cache_clear()
    _parameters_in.cache_clear()
