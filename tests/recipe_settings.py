"""Training settings as a recipe of benchmarks/recipes states them."""

from __future__ import annotations

from typing import Any

from contrastseg.suite.recipes import load_recipe
from contrastseg.training.stages import merge


def recipe_training(name: str, method: str | None = None) -> dict[str, Any]:
    """What a source says of `training`, nested as a suite writes it; keys that the benchmark lacks are left out.

    Args:
        name: Of the recipe.
        method: Whose own rows are put on top.
    """
    recipe, found = load_recipe(name), dict[str, Any]()
    for key, stated in {**recipe.settings, **(recipe.methods[method] if method else {})}.items():
        first, *path = key.split(".")
        if first == "training" and stated.known and not stated.missing:
            nested: Any = stated.value
            for part in reversed(path):
                nested = {part: nested}
            found = merge(found, nested)
    return found
