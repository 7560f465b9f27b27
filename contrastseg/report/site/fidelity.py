"""The page of fidelity, made from suites and recipes: `docs/_hooks.py` hands it to the site."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from contrastseg.paths import SHIPPED
from contrastseg.report.site.cards import shown
from contrastseg.report.site.markdown import table
from contrastseg.suite import load_suite
from contrastseg.suite.fidelity import RecipeRow, recipe_rows
from contrastseg.suite.recipes import RECIPES_FOLDER, Recipe, load_recipe, recipe_names

_INTRODUCTION = """# Fidelity of the suites to their sources

This page is made from the suites under `benchmarks/` and the recipes under `benchmarks/recipes/`. A recipe has the
training settings of a source, key by key, with the place of each. A suite names its recipe under `recipe:`. A test then
fails for an unset key, and for a key that differs without a reason.

- *same*: the suite has the source's value.
- *differs*: the suite has another value, with the reason.
- *unknown*: the public sources that were read leave it open.

"""
_NO_SUITE = "The suites follow recipes of their own so far. The values of the sources are below.\n"


def page(benchmarks: Path = SHIPPED / "benchmarks", recipes: Path = RECIPES_FOLDER) -> str:
    """The whole page.

    Args:
        benchmarks: Folder of suites.
        recipes: Folder of recipes.
    """
    suites = [load_suite(path) for path in sorted(benchmarks.glob("*.yaml"))]
    claims = [suite for suite in suites if suite.recipe is not None]
    parts = ["## Suites", ""] if claims else [_NO_SUITE]
    for suite in claims:
        recipe = load_recipe(str(suite.recipe), recipes)
        held = recipe_rows(suite, recipe)
        counts = {status: sum(row.status == status for row in held) for status in ("same", "differs", "unknown")}
        told = ", ".join(f"{count} {status}" for status, count in counts.items())
        parts += [f"### {suite.name}", "", f"Recipe: [{suite.recipe}](#{suite.recipe}), {recipe.title}. {told}.", ""]
        parts += [*table(("for", "key", "source", "here", ""), _held(held)), ""]
    parts += ["## Sources", ""]
    for name in recipe_names(recipes):
        parts += [*_source(name, load_recipe(name, recipes)), ""]
    return _INTRODUCTION + "\n".join(parts)


def _held(held: Iterable[RecipeRow]) -> Iterator[tuple[str, ...]]:
    """A line for each key and value, with the entries and methods that it is of; what differs comes first."""
    lines: dict[tuple[str, ...], list[str]] = {}
    order = {"differs": 0, "unknown": 1, "same": 2}
    for row in sorted(held, key=lambda row: order[row.status]):
        ours = "–" if row.absent else f"`{shown(row.ours)}`"
        verdict = f"{row.status}: {row.reason}" if row.reason else row.status
        what = (f"`{row.key}`", _value(row.stated.value), ours, verdict)
        lines.setdefault(what, []).append(f"{row.entry}, {row.method}" if row.method else row.entry)
    yield from (("; ".join(dict.fromkeys(who)), *what) for what, who in lines.items())


def _source(name: str, recipe: Recipe) -> Iterator[str]:
    """Heading, origin and every row of a recipe."""
    origin = f"[{recipe.url}]({recipe.url})" + (f" at `{recipe.commit[:10]}`" if recipe.commit else "")
    yield from (f"### {name}", "", f"{recipe.title}: {origin}, read on {recipe.read}. {recipe.note}".strip(), "")
    groups = [("", recipe.settings), *recipe.datasets.items(), *recipe.methods.items()]
    cells = (
        (group, f"`{key}`", _value(stated.value), stated.at, stated.note)
        for group, statements in groups
        for key, stated in statements.items()
    )
    yield from table(("of", "key", "value", "where", "note"), cells)


def _value(value: object) -> str:
    return "unknown" if value == "unknown" else f"`{shown(value)}`"
