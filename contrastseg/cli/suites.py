"""suites, run: the suites that come with the project, and the workflow started on one of them or on your own."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from contrastseg.cli.shared import JSON, print_json, print_table
from contrastseg.errors import SuiteError, unknown_name
from contrastseg.paths import PACKAGE, SHIPPED

FOLDER = SHIPPED / "benchmarks"
# What `run` gives Snakemake itself, and what to do instead of giving it a second time.
_OWN_OPTIONS = {
    "--configfile": "name your suite file in the place of SUITE",
    "--configfiles": "name your suite file in the place of SUITE",
    "--snakefile": "call `snakemake --snakefile` to run another workflow",
    "-s": "call `snakemake --snakefile` to run another workflow",
}
_SAYS_CORES = re.compile(r"(--cores|--jobs|--profile)(=.*)?|-[cj](all|\d+)?")


def shipped_suites() -> dict[str, Path]:
    """Files of the suites that come with the project, by name."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.yaml"))}


def find_suite(given: str) -> Path:
    """The file of a suite.

    Args:
        given: A path, or the name of a suite that comes with the project. A file of that path wins.

    Raises:
        SuiteError: There is neither such a file nor such a suite.
    """
    path, shipped = Path(given), shipped_suites()
    if path.is_file():
        return path
    if given in shipped:
        return shipped[given]
    if path.suffix in (".yaml", ".yml") or path.parent != Path():
        # Documents name `benchmarks/demo.yaml`, a path of the repository.
        beside = ", ".join(sorted(str(other) for other in path.parent.glob("*.yaml")))
        remedy = f"correct the path; there are: {beside}" if beside else "correct the path"
        remedy += f"; `{path.stem}` alone is the shipped suite of this name" if path.stem in shipped else ""
        remedy += "; `contrastseg suites` lists the shipped suites"
        raise SuiteError("suite file not found", file=path.absolute(), remedy=remedy)
    raise SuiteError(unknown_name("suite", given, list(shipped)), remedy="name one of these, or a suite file")


def suites(as_json: bool = JSON) -> None:
    """List the shipped suites with their data sets, methods, label budgets and seeds.

    `contrastseg plan NAME` shows the runs, hours and disk space of one; `contrastseg run NAME` runs it.

    Example: `contrastseg suites`
    """
    rows = [_summary(path) for path in shipped_suites().values()]
    if as_json:
        return print_json(rows)
    columns = ["name", "title", "data", "methods", "labels", "seeds"]
    cells = [[_cell(row[column]) for column in columns] for row in rows]
    print_table("Suites", columns, cells)


def _summary(path: Path) -> dict[str, Any]:
    """What a suite file says of itself, its settings unchecked: checking loads what defines them, for a second."""
    import yaml

    with open(path, encoding="utf-8") as file:
        said = yaml.load(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    entries = [item if isinstance(item, dict) else {"name": item} for item in said["datasets"]]
    return {
        "name": path.stem,
        "title": said["title"],
        "description": said["description"].strip(),
        "file": str(path),
        "data": list(dict.fromkeys(entry.get("dataset", entry["name"]) for entry in entries)),
        "methods": len(said["methods"]),
        "labels": [str(label) for label in said["labels"]],
        "seeds": len(said.get("seeds", [0])),
    }


def _cell(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)


def run(
    context: typer.Context,
    suite: str = typer.Argument(help="Name of a shipped suite (`contrastseg suites`), or path of a suite file."),
) -> None:
    """Run a suite from raw data to the report: start Snakemake on the workflow of this installation.

    Every further argument goes to Snakemake: `--dry-run`, `--resources gpu=4`, `--config skip_unavailable=true`,
    `--profile profiles/slurm`, and all that `snakemake --help` lists. Without `--cores`, `--jobs` or `--profile`, the
    run uses all cores. It writes to `results/` and `resources/` in the working directory. Repeat the command to
    continue a run that was stopped.

    Example: `contrastseg run demo --cores 2`
    """
    command = workflow_command(suite, context.args)
    _check_working_directory(Path.cwd())
    sys.stdout.flush()
    os.execv(command[0], command)


def workflow_command(suite: str, options: Sequence[str]) -> list[str]:
    """The command that runs Snakemake on a suite.

    Args:
        suite: As `find_suite` takes it.
        options: For Snakemake. A `--profile` of the repository is found in the package, too.

    Raises:
        SuiteError: The suite does not exist, or an option names another suite or workflow.
    """
    if suite.startswith("-"):
        raise SuiteError(
            f"SUITE must come first, before {suite}",
            remedy="write `contrastseg run SUITE`, then the options for Snakemake",
        )
    for option in options:
        name = option.partition("=")[0]
        if name in _OWN_OPTIONS:
            raise SuiteError(f"{name} is set by `contrastseg run` itself", remedy=_OWN_OPTIONS[name])
    command = [sys.executable, "-m", "snakemake", "--configfile", str(find_suite(suite).absolute())]
    command += ["--snakefile", str(SHIPPED / "Snakefile")]
    if not any(_SAYS_CORES.fullmatch(option) for option in options):
        command += ["--cores", "all"]
    return command + _with_shipped_profile(options)


def _with_shipped_profile(options: Sequence[str]) -> list[str]:
    """The options with the full path of a profile that lies in the package and not in the working directory."""
    found: list[str] = []
    for previous, option in zip(["", *options], options, strict=False):
        flag, _, value = option.rpartition("=") if option.startswith("--profile=") else (previous, "", option)
        if flag == "--profile" and not Path(value).exists() and (SHIPPED / value / "config.yaml").is_file():
            option = option.removesuffix(value) + str(SHIPPED / value)
        found.append(option)
    return found


def _check_working_directory(folder: Path) -> None:
    """Refuse a folder with another copy of the package: jobs would run that code, as Python looks there first.

    Raises:
        SuiteError: There is one.
    """
    other = folder / "contrastseg"
    if (other / "__init__.py").is_file() and other.resolve() != PACKAGE:
        raise SuiteError(
            f"the working directory contains another copy of contrastseg; you called {PACKAGE}",
            file=other,
            remedy="run from another folder, or run the copy: snakemake --configfile SUITE --cores all",
        )


COMMANDS = (suites, run)
