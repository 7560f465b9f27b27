"""Which code a stage executes, as a short hash: reruns follow it, so that only edits that can change a result rerun it.

Imports are followed in the source, without importing anything, so planning thousands of runs stays a matter of
seconds. What is hashed is the syntax tree without docstrings: comments, docstrings and formatting change nothing.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

from contrastseg.errors import SuiteError, unknown_name

PACKAGE = "contrastseg"
_CHECKOUT = Path(__file__).resolve().parent.parent

# Never part of a fingerprint, though everybody imports them: how errors are worded, how files are written and where
# they lie change no result; what our settings modules say arrives, resolved, in the configuration that each rule
# carries beside its fingerprint; the registry only finds a class by its name; the version number alone changes nothing.
_LEFT_OUT = {PACKAGE, *(f"{PACKAGE}.{name}" for name in ("errors", "files", "places", "plugins", "methods.registry"))}
_LEFT_OUT_SUFFIX = ".settings"

# Data that a module reads beside its arguments: a corrected printed number redraws the tables.
_DATA = {f"{PACKAGE}.evaluation.published": "benchmarks/published/*.csv"}

# The modules a stage starts from; `.*` takes a whole package, for what is chosen by name at run time.
_ROOTS: dict[str, tuple[str, ...]] = {
    "prepare": ("contrastseg.data.preparation", "contrastseg.data.datasets.{dataset}"),
    "split": ("contrastseg.data.splits",),
    "pool": ("contrastseg.data.pools",),
    "train": ("contrastseg.training.run", "contrastseg.networks.*", "{method}"),
    "predict": ("contrastseg.training.prediction", "contrastseg.networks.*", "{method}"),
    "score": ("contrastseg.evaluation.scoring",),
    "collect": ("contrastseg.evaluation.collect", "contrastseg.evaluation.convention_ranks"),
    "compare": ("contrastseg.evaluation.statistics",),
    "tabulate": ("contrastseg.report.tables",),
    "plot": ("contrastseg.report.figures",),
    "slices": ("contrastseg.report.slices",),
    "report": ("contrastseg.report.*",),
}


@cache
def stage_fingerprint(stage: str, *, method: str | None = None, dataset: str | None = None) -> str:
    """The fingerprint of the code that a stage executes.

    Args:
        stage: One of the workflow's stages.
        method: Name of the method, for `train` and `predict`: its module counts, other methods' do not.
        dataset: Name of the data set, for `prepare`.

    Raises:
        SuiteError: The stage or the method is unknown.
    """
    if stage not in _ROOTS:
        raise SuiteError(unknown_name("stage", stage, list(_ROOTS)))
    modules = []
    for root in _ROOTS[stage]:
        if root == "{method}":
            from contrastseg.methods import registry

            modules.append(registry.module_of(str(method)))
            engine = registry.get(str(method)).engine
            modules += [engine] if engine else []
        elif root.endswith("{dataset}"):
            from contrastseg.data import registry as datasets

            modules.append(datasets.module_of(str(dataset)))
        else:
            modules.append(root)
    return code_fingerprint(tuple(modules))


@cache
def code_fingerprint(modules: Sequence[str]) -> str:
    """16 hex digits for the code of `modules` and of everything of the same packages that they import.

    Args:
        modules: Dotted names; `package.*` means every module of the package.
    """
    pending = [name for root in modules for name in _expand(root)]
    tops = {name.partition(".")[0] for name in pending} | {PACKAGE}
    seen: set[str] = set()
    while pending:
        name = pending.pop()
        if name in seen or _is_left_out(name) or _source(name) is None:
            continue
        seen.add(name)
        pending += [other for other in _imports(name) if other.partition(".")[0] in tops]
    hashed = hashlib.sha256()
    for name in sorted(seen):
        hashed.update(f"{name} {_digest(name)}\n".encode())
    data = [path for name in seen & _DATA.keys() for path in _CHECKOUT.glob(_DATA[name])]
    for path in (*sorted(data), *sorted(_templates(modules))):
        hashed.update(path.name.encode() + path.read_bytes())
    return hashed.hexdigest()[:16]


def _is_left_out(name: str) -> bool:
    """Whether a module is exempt; a package of somebody else's may call any module `settings`."""
    return name in _LEFT_OUT or (name.startswith(f"{PACKAGE}.") and name.endswith(_LEFT_OUT_SUFFIX))


def _expand(root: str) -> list[str]:
    """A module's name, or those of all modules of a package written as `package.*`."""
    package = root.removesuffix(".*")
    if package == root:
        return [root]
    source = _source(package)
    if source is None:
        return []
    names = [package]
    for path in source.parent.rglob("*.py"):
        inside = path.relative_to(source.parent).with_suffix("")
        parts = inside.parts[:-1] if inside.name == "__init__" else inside.parts
        names.append(".".join((package, *parts)))
    return names


def _templates(modules: Iterable[str]) -> Iterator[Path]:
    """Files that are not Python in the packages taken as a whole: templates, style sheets, scripts."""
    for root in modules:
        source = _source(root.removesuffix(".*")) if root.endswith(".*") else None
        if source is not None:
            yield from (p for p in source.parent.rglob("*") if p.is_file() and p.suffix not in {".py", ".pyc"})


@cache
def _source(name: str) -> Path | None:
    """The file of a module, found without importing it; None when there is none (a function, or a namespace)."""
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
def _top_level(name: str) -> importlib.machinery.ModuleSpec | None:
    try:
        return importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None


@cache
def _tree(name: str) -> ast.Module:
    """The module's syntax tree without docstrings and without what only type checkers read."""
    source = _source(name)
    tree = ast.parse(source.read_bytes() if source else b"", filename=str(source))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [child for child in node.body if not _is_text(child) and not _is_for_types_only(child)]
    return tree


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _is_for_types_only(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


@cache
def _digest(name: str) -> str:
    return hashlib.sha256(ast.dump(_tree(name)).encode()).hexdigest()


@cache
def _imports(name: str) -> frozenset[str]:
    """Names a module imports, at its top or inside functions, that could be modules; and the packages around them."""
    found: set[str] = set()
    source = _source(name)
    is_package = source is not None and source.name == "__init__.py"
    for node in ast.walk(_tree(name)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = name.split(".")
                parts = parts[: len(parts) - node.level + is_package]
                base = ".".join((*parts, base)) if base else ".".join(parts)
            found.add(base)
            found.update(f"{base}.{alias.name}" for alias in node.names)
    for item in [*found, name]:
        parts = item.split(".")
        found.update(".".join(parts[:size]) for size in range(1, len(parts)))
    return frozenset(found)
