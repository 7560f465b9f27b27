"""The project as a whole: one environment in three files, commands that exist, layers that import one way."""

from __future__ import annotations

import ast
import re
import runpy
import subprocess
import sys
import tomllib
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import contrastseg

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "contrastseg"

# What each package may import of the project, apart from itself. One way, no circle.
LEAVES = {
    "checkpoint_names",
    "code_graph",
    "errors",
    "files",
    "labels",
    "paths",
    "plugins",
    "renamed",
    "tensors",
    "text",
}
GROUND = {"data", "networks", "losses"}
MAY_IMPORT: dict[str, set[str]] = {
    "checkpoint_names": set(),
    "code_graph": set(),
    "errors": set(),
    "files": {"errors"},
    "labels": set(),
    "plugins": {"errors"},
    "renamed": {"errors"},
    "paths": set(),
    "text": set(),
    "tensors": set(),
    **dict.fromkeys(GROUND, LEAVES),
    "methods": LEAVES | {"networks", "losses"},
    "evaluation": LEAVES | {"data"},
    "training": LEAVES | GROUND | {"methods", "evaluation"},
    "report": LEAVES | {"evaluation", "data"},
}
# What a suite asks for and what follows from it: made of every package's settings, never of what trains.
SUITE = {"suite", "planning", "fingerprints"}
MAY_IMPORT["suite"] = LEAVES | {"data", "networks", "methods", "evaluation", "report", "training"}
MAY_IMPORT["planning"] = MAY_IMPORT["suite"] | {"suite", "fingerprints"}
MAY_IMPORT["fingerprints"] = {"code_graph", "errors", "paths", "data", "methods"}

# Inside a package: what each of its modules and sub-packages may import of the others.
_GROUND = {"faults", "read_errors", "settings"}
_READERS = _GROUND | {"files", "readers"}
_REGISTRY = _READERS | {"datasets", "registry"}
_PREPARED = _REGISTRY | {"prepare"}
LAYERS: dict[str, dict[str, set[str]]] = {
    "data": {
        "faults": set(),
        "read_errors": set(),
        "settings": set(),
        "files": _GROUND,
        "readers": _GROUND | {"files"},
        "datasets": _READERS,
        "registry": _READERS | {"datasets"},
        "download": _REGISTRY,
        "prepare": _REGISTRY,
        "splits": _PREPARED,
        "inspect": _PREPARED | {"download", "splits"},
    },
    "evaluation": {
        "distinct": set(),
        "metrics": set(),
        "settings": {"metrics"},
        "scoring": {"distinct", "metrics", "settings"},
        "entered": {"metrics", "scoring"},
        "statistics": {"distinct", "metrics", "settings"},
        "published": set(),
    },
    "report": {
        "settings": set(),
        "content": {"settings"},
        "tables": {"settings", "content"},
        "figures": {"settings", "content"},
        "page": {"settings", "content", "tables", "figures"},
        "site": {"settings", "content", "tables", "figures", "page"},
    },
}
# It makes pages of the documentation from everything there is; only the command line imports it.
SITE = "report.site"

TORCH = {"torch", "torchvision", "lightning_fabric", "monai", "nnunetv2", "timm"}
TORCH_FREE = ("data", "evaluation", "report", "methods", *sorted(SUITE))


def modules() -> list[Path]:
    """Every module of the package, as paths."""
    return sorted(PACKAGE.rglob("*.py"))


def package_of(path: Path) -> str:
    """The package a module belongs to: the first part of its path inside the package."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@cache
def imports(path: Path) -> tuple[str, ...]:
    """The dotted names a module imports anywhere in it, except for type checking alone."""
    found: list[str] = []

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.Import):
            found.extend(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = path.relative_to(ROOT).with_suffix("").parts[: -node.level]
                base = ".".join([*package, *filter(None, [base])])
            found.extend(f"{base}.{alias.name}" for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text(encoding="utf-8")))
    return tuple(found)


@cache
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@cache
def lock() -> dict[str, str]:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def direct() -> list[Requirement]:
    return runpy.run_path(str(ROOT / ".ci" / "lock.py"))["direct_requirements"]()


def test_every_direct_dependency_is_locked_within_its_bound():
    for requirement in direct():
        version = lock().get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} is not in requirements.lock: run `make lock`"
        assert requirement.specifier.contains(version), f"{requirement} is locked at {version}"


def test_the_lock_is_sorted_and_names_no_build():
    assert list(lock()) == sorted(lock())
    for name, version in lock().items():
        assert name == canonicalize_name(name)
        assert "+" not in version, f"{name}=={version} names one machine's build"
        assert not re.match(r"nvidia-|cuda-|triton$", name), f"{name} comes with torch's CUDA builds alone"


@pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="the lock is made on Python 3.11; others may need a few more"
)
def test_the_lock_is_what_the_dependencies_lead_to():
    script = runpy.run_path(str(ROOT / ".ci" / "lock.py"))
    assert script["closure"](direct()) == lock(), "the environment and requirements.lock differ: `make lock`"


def test_conda_describes_the_same_set():
    packages = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    (pip,) = [entry["pip"] for entry in packages if isinstance(entry, dict)]
    assert "--constraint requirements.lock" in pip
    assert "--editable ." in pip
    pins = dict(line.split("==") for line in pip if not line.startswith("--"))
    assert pins == {name: lock()[name] for name in sorted(canonicalize_name(each.name) for each in direct())}
    (python,) = [entry for entry in packages if str(entry).startswith("python=")]
    assert Requirement(f"python{project()['requires-python']}").specifier.contains(python.removeprefix("python="))


def test_the_library_imports_only_what_it_declares():
    declared = {canonicalize_name(Requirement(text).name) for text in project()["dependencies"]}
    providers = packages_distributions()
    # The library runs without medpy (GPL-3) and without the clients; what needs one of them asks for it and says so.
    clients = {Requirement(text).name for text in project()["optional-dependencies"]["clients"]}
    allowed = {"contrastseg", "medpy", *clients, *sys.stdlib_module_names}
    for path in modules():
        for name in {name.split(".")[0] for name in imports(path)} - allowed:
            found = {canonicalize_name(provider) for provider in providers.get(name, ())}
            assert found & declared, f"{path.relative_to(ROOT)} imports {name}, which pyproject.toml does not declare"


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", ".ci/run"])
def test_commands_in_the_documents_exist(document):
    targets = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z][\w-]*)", (ROOT / document).read_text(encoding="utf-8"), re.MULTILINE))
    assert named, f"{document} names no make target"
    assert named <= targets


MADE = ("cards/", "costs.md", "fidelity.md", "leaderboard.md")  # pages that the site makes at every build


def test_links_in_the_documents_lead_somewhere():
    for document in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\(([^)#\s]+)", document.read_text(encoding="utf-8")):
            # Pages that the site makes when it is built; a strict build finds those that are not there.
            made = document.parent.name == "docs" and target.startswith(MADE)
            if "://" not in target and not made:
                assert (document.parent / target).exists(), f"{document.name} points at {target}"


def test_the_citation_is_complete():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors", "license", "version"} <= set(citation)
    assert citation["license"] == project()["license"]
    assert citation["version"] == contrastseg.__version__


def test_nothing_large_is_committed():
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listing.returncode:
        pytest.skip("not a git checkout: nothing is committed here")
    files = [ROOT / name for name in listing.stdout.split("\0") if name]
    large = {str(file.relative_to(ROOT)): file.stat().st_size for file in files if file.is_file()}
    assert not {name: size for name, size in large.items() if size > 2**20}


def test_no_file_is_too_long():
    files = [*modules(), *(ROOT / "tests").rglob("*.py"), *(ROOT / "workflow").rglob("*.smk")]
    lengths = {str(file.relative_to(ROOT)): len(file.read_text(encoding="utf-8").splitlines()) for file in files}
    assert not {name: length for name, length in lengths.items() if length >= 400}


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_packages_import_one_way(path):
    package = package_of(path)
    if package in {"cli", "__init__", "__main__"} or dotted(path).startswith(SITE):
        return
    assert package in MAY_IMPORT, f"a new package: say in MAY_IMPORT what {package} may import"
    # `from contrastseg import files` and `from contrastseg.files import digest` both say `contrastseg.files`.
    packages = {name.split(".")[1] for name in imports(path) if name.startswith("contrastseg.")}
    packages.discard("__version__")
    assert packages <= MAY_IMPORT[package] | {package}


def dotted(path: Path) -> str:
    """A module's name without the package's."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_layers_inside_a_package_import_one_way(path):
    package, *inside = dotted(path).split(".")
    if package in LAYERS and inside:
        imported = {name.split(".")[2] for name in imports(path) if name.startswith(f"contrastseg.{package}.")}
        assert imported <= LAYERS[package][inside[0]] | {inside[0]}


@pytest.mark.parametrize("package", LAYERS)
def test_every_part_of_a_layered_package_has_a_row(package):
    there = {path.name.removesuffix(".py") for path in (PACKAGE / package).iterdir() if not path.name.startswith("_")}
    assert there == set(LAYERS[package])


def test_only_the_command_line_imports_what_makes_pages():
    for path in modules():
        if not dotted(path).startswith((SITE, "cli")):
            assert not {name for name in imports(path) if name.startswith(f"contrastseg.{SITE}")}, path


def circles(paths: list[Path]) -> list[list[str]]:
    """A circle of modules that import each other, at their top or inside functions, as a list of one; else none."""
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}
    graph = {}
    for name, path in names.items():
        # `from contrastseg.data.splits import folds` is of a module, `from contrastseg.data.splits.folds import f` not.
        found = {said if said in names else said.rpartition(".")[0] for said in imports(path)}
        graph[name] = found & names.keys() - {name}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [error.args[1]]
    return []


def test_no_modules_import_each_other_in_a_circle():
    assert circles(modules()) == []


def test_circles_are_found(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    files = {"one.py": "from pack.two import a\n", "two.py": "def f():\n    from pack import one\n", "three.py": ""}
    paths = [tmp_path / "pack" / name for name in files]
    (tmp_path / "pack").mkdir()
    for path in paths:
        path.write_text(files[path.name])
    (circle,) = circles(paths)
    assert set(circle) == {"pack.one", "pack.two"}
    assert circles([paths[0], paths[2]]) == []


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_what_reads_results_never_imports_torch(path):
    if package_of(path) in {"data", "evaluation", "report", *SUITE} and not dotted(path).startswith(SITE):
        assert not {name.split(".")[0] for name in imports(path)} & TORCH


def test_planning_scoring_and_methods_cards_do_not_load_torch():
    packages = [path for path in modules() if package_of(path) in {*TORCH_FREE, "cli"}]
    packages = [path for path in packages if not dotted(path).startswith(SITE)]
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in packages]
    code = f"import importlib, sys\nfor name in {names!r}: importlib.import_module(name)\n"
    code += f"print(sorted({TORCH!r} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert loaded.stdout.strip() == "[]", loaded.stderr
