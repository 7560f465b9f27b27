"""What a source says of its training, key by key: the files in benchmarks/recipes."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from contrastseg.errors import RecipeError, SuiteError, invalid_values
from contrastseg.paths import SHIPPED
from contrastseg.suite.names import require_known
from contrastseg.suite.parsing import read_yaml

RECIPES_FOLDER = SHIPPED / "benchmarks" / "recipes"
UNKNOWN: Literal["unknown"] = "unknown"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Stated(_Strict):
    """What a source says of one key of a suite.

    Attributes:
        value: The source's value as a suite would write it; `unknown` where nothing public says it.
        at: Where it stands: `file:line` below the source's root, or a page. Every known value has it.
        note: What a reader should know beside the value.
        differs: Why ours is another value.
        missing: What is done here instead, where the benchmark has no such key.
    """

    value: Any
    at: str = ""
    note: str = ""
    differs: str = ""
    missing: str = ""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.known and not self.at:
            raise ValueError("found a value without `at`; expected file:line or page; write `at`, or value: unknown")
        if not self.known and self.differs:
            raise ValueError("found `differs` of an unknown value; expected a known one; write it as `note`")
        if self.differs and self.missing:
            raise ValueError("found `differs` and `missing`; expected one of them; keep `missing` until the key exists")
        return self

    @property
    def known(self) -> bool:
        """Whether the source says it."""
        return bool(self.value != UNKNOWN)


class Recipe(_Strict):
    """One source's recipe.

    Attributes:
        title: What it is the recipe of.
        url: The repository or page that was read.
        commit: Of the repository; left out for a page.
        read: The day it was read.
        note: What holds for all of it.
        settings: What the source says of each key, by the key's dotted name in a suite.
        datasets: The same where it is of one data set or one entry; stronger than `settings`, an entry the strongest.
        methods: The same of single methods: `settings.<name>`, `training.<key>` and `stages.<stage>.<key>`.
    """

    title: str
    url: str = Field(pattern=r"^https://")
    commit: str | None = Field(None, pattern=r"^[0-9a-f]{7,40}$")
    read: date
    note: str = ""
    settings: dict[str, Stated] = Field(min_length=1)
    datasets: dict[str, dict[str, Stated]] = Field(default_factory=dict)
    methods: dict[str, dict[str, Stated]] = Field(default_factory=dict)

    def of_entry(self, entry: str, dataset: str) -> dict[str, Stated]:
        """What it says of an entry of a suite, which is of a data set."""
        return {**self.settings, **self.datasets.get(dataset, {}), **self.datasets.get(entry, {})}


def recipe_names(folder: Path = RECIPES_FOLDER) -> list[str]:
    """The recipes there are, sorted."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def load_recipe(name: str, folder: Path = RECIPES_FOLDER) -> Recipe:
    """A recipe by name.

    Args:
        name: Name of its file, without `.yaml`.
        folder: Where recipes lie.

    Raises:
        RecipeError: There is no such recipe, or a key of it is wrong; the message names file and key.
    """
    path = folder / f"{name}.yaml"
    try:
        require_known("recipe", name, recipe_names(folder))
        return Recipe.model_validate(read_yaml(path, "recipe"))
    except ValidationError as error:
        raise RecipeError(invalid_values(error), file=path, remedy="correct these keys of the recipe") from error
    except SuiteError as error:  # no YAML
        raise RecipeError(error.reason, file=path, remedy=error.remedy) from error
    except ValueError as error:
        raise RecipeError(str(error), file=path, remedy="name one of these, or write the file") from error
