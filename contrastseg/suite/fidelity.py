"""A suite held against the recipe it claims: what is the same, what differs and why, what nobody can know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from contrastseg.errors import RecipeError
from contrastseg.networks import registry as networks
from contrastseg.suite.effects import has_effect
from contrastseg.suite.entries import DatasetEntry, MethodEntry
from contrastseg.suite.models import Suite
from contrastseg.suite.overrides import overridden
from contrastseg.suite.recipes import Recipe, Stated
from contrastseg.training.settings import TrainingSettings
from contrastseg.training.stages import merge

# What a machine does with a recipe, and how often it writes: of no source.
OF_THE_MACHINE = (
    *("precision", "memory_format", "compile", "record", "residency", "cache_gb", "devices", "threads", "accelerator"),
    *("checkpoint_every", "snapshot_every", "log_every"),
)
OF_THE_STORE = ("dtype", "superpixels", "slice_axis")

# Mappings that a recipe states as one value.
WHOLE = ("preparation.crop",)

Status = Literal["same", "differs", "unknown"]


@dataclass(frozen=True)
class RecipeRow:
    """One key of a suite held against its source.

    Attributes:
        entry: Entry of the suite.
        method: Method that it is of; empty for all.
        key: Dotted name in a suite.
        ours: Value here; None with `absent` where the benchmark has no such key.
        stated: What the source says.
        status: `same`, `differs` or `unknown` (to the public).
        absent: Whether the benchmark has no such key.
    """

    entry: str
    method: str
    key: str
    ours: Any
    stated: Stated
    status: Status
    absent: bool = False

    @property
    def reason(self) -> str:
        """Why it differs; empty where it does not."""
        return (self.stated.missing or self.stated.differs) if self.status == "differs" else ""


def recipe_rows(suite: Suite, recipe: Recipe) -> list[RecipeRow]:
    """Every key of the suite that the recipe has, and every key of the recipe that the benchmark has not.

    Args:
        suite: The suite.
        recipe: The recipe.

    Returns:
        One row for an entry that is trained on and a key; then those of single methods.
    """
    return [
        _row(entry.name, method, key, settings, stated)
        for entry, method, settings, statements in _pairs(suite, recipe)
        for key, stated in statements.items()
    ]


def recipe_deviations(suite: Suite, recipe: Recipe) -> list[str]:
    """What keeps the suite from following the recipe, in a sentence each; empty for a suite that follows it.

    Args:
        suite: The suite.
        recipe: The recipe.
    """
    reasons = []
    for entry, method, settings, statements in _pairs(suite, recipe):
        where = f"{entry.name}, {method}, " if method else f"{entry.name}, "
        written = _overrides(suite.method(method)) if method else set(settings)
        reasons += [
            f"{where}{key}: found no row in the recipe, expected its value or unknown; fix: add the key to the recipe"
            for key in sorted(written - set(statements))
        ]
        for key, stated in statements.items():
            if problem := _problem(_row(entry.name, method, key, settings, stated)):
                reasons.append(f"{where}{key}: {problem}")
        if not method:
            unset = set(settings) - _given(suite, entry)
            reasons += [
                f"{where}{key}: found unset (default {settings[key]!r}), expected a value; fix: write it in the suite"
                for key in sorted(unset)
            ]
    return list(dict.fromkeys(reasons))


def check_recipe(suite: Suite, recipe: Recipe) -> None:
    """Refuse a suite that does not follow the recipe it claims.

    Args:
        suite: The suite.
        recipe: Its recipe.

    Raises:
        RecipeError: A key is unset, has no row in the recipe, differs without a reason, or does not exist; the message
            lists all of them.
    """
    if reasons := recipe_deviations(suite, recipe):
        reason = "\n  ".join([f"suite {suite.name} does not follow {recipe.title}:", *reasons])
        raise RecipeError(reason, remedy="correct the suite or its recipe, key by key")


def _row(entry: str, method: str, key: str, settings: Mapping[str, Any], stated: Stated) -> RecipeRow:
    absent = key not in settings
    ours = None if absent else settings[key]
    status: Status = "differs"
    if not stated.known:
        status = "unknown"
    elif not absent and _plain(ours) == _plain(stated.value):
        status = "same"
    return RecipeRow(entry, method, key, ours, stated, status, absent)


def _problem(row: RecipeRow) -> str:
    """What is wrong with a row; empty where nothing is."""
    if row.absent and not row.stated.missing:
        return (
            "found in the recipe, expected a key of the suite; fix: correct the name, or say in `missing` what is done"
        )
    if row.stated.missing and not row.absent:
        return "found `missing`, expected none, for the key exists; fix: take `missing` out and set the key"
    if row.status == "differs" and not row.reason:
        return (
            f"found {_plain(row.ours)!r}, expected {_plain(row.stated.value)!r} ({row.stated.at});"
            " fix: set it, or say why in `differs`"
        )
    return ""


def _pairs(suite: Suite, recipe: Recipe) -> Iterator[tuple[DatasetEntry, str, dict[str, Any], dict[str, Stated]]]:
    """Entry, method (or none), settings here and statements of the source."""
    for entry in suite.datasets:
        if not entry.evaluate_on:  # there to be evaluated on: nothing is trained
            continue
        yield entry, "", *_held(suite, entry, recipe)
        for method in suite.methods:
            if method.name in recipe.methods:
                yield entry, method.name, _method_settings(suite, entry, method), recipe.methods[method.name]


def entry_settings(suite: Suite, entry: DatasetEntry) -> dict[str, Any]:
    """All keys that a recipe is about, by dotted name, as they hold for an entry; without those of no effect there.

    Args:
        suite: The suite.
        entry: One of its entries.
    """
    settings = _every_setting(suite, entry)
    return {key: value for key, value in settings.items() if has_effect(key, settings)}


def _held(suite: Suite, entry: DatasetEntry, recipe: Recipe) -> tuple[dict[str, Any], dict[str, Stated]]:
    """Settings of an entry and what the recipe says of them; of keys without effect there neither has any."""
    every, settings = _every_setting(suite, entry), entry_settings(suite, entry)
    stated = recipe.of_entry(entry.name, entry.dataset)
    # An option that is unset is held against a source that states it.
    settings |= {key: None for key in stated if key.startswith("training.network.") and key in every.keys() - settings}
    return settings, {key: one for key, one in stated.items() if key in settings or key not in every}


def _every_setting(suite: Suite, entry: DatasetEntry) -> dict[str, Any]:
    from contrastseg.data.prepare import recipe as preparation

    training = overridden(suite.training, {f"datasets, {entry.name}, training": entry.training})
    rule = preparation.resolve(entry.spec, entry.preparation)
    return {
        "labels": suite.labels,
        "checkpoints": suite.checkpoints,
        "evaluation.convention": suite.evaluation.convention,
        **dict(_leaves(entry.split.model_dump(exclude={"seed", "draws"}), "split.")),
        **dict(_leaves({k: v for k, v in rule.complete().items() if k not in OF_THE_STORE}, "preparation.")),
        **_training(training),
    }


def _training(training: TrainingSettings) -> dict[str, Any]:
    """Training settings by dotted name, with the defaults of the network."""
    dumped = training.model_dump(exclude=set(OF_THE_MACHINE))
    network = dumped["network"]
    dumped["network"] = {**networks.defaults(networks.check(network)), **network}
    return dict(_leaves(dumped, "training."))


def _method_settings(suite: Suite, entry: DatasetEntry, method: MethodEntry) -> dict[str, Any]:
    """A method's own settings (of its first variant) and those it trains with, by dotted name."""
    from contrastseg.methods import registry

    variant = next(iter(method.variants))
    settings = {f"settings.{key}": value for key, value in method.resolve(variant).items()}
    settings |= _training(suite.training_of(entry, method, variant))
    for stage in registry.get(method.name).stages:
        training = _training(suite.stage_training(entry, method, variant, stage.name))
        settings |= {key.replace("training.", f"stages.{stage.name}.", 1): value for key, value in training.items()}
    return settings


def _overrides(method: MethodEntry) -> set[str]:
    """The keys that a method's entry writes, by dotted name."""
    machine = {f"training.{key}" for key in OF_THE_MACHINE}
    written = {key for key, _ in _leaves(method.training, "training.") if key not in machine}
    written |= {f"settings.{key}" for key in method.settings}
    return written | {key for key, _ in _leaves(method.stages, "stages.")}


def _given(suite: Suite, entry: DatasetEntry) -> set[str]:
    """The keys that the suite writes for an entry, by dotted name. The data set's own split counts as written."""
    written = {
        "training": merge(suite.training.model_dump(exclude_unset=True), entry.training),
        "preparation": entry.preparation,
        "evaluation": suite.evaluation.model_dump(exclude_unset=True),
        "split": entry.split.model_dump(),
    }
    return suite.model_fields_set | {key for key, _ in _leaves(written, "")}


def _leaves(values: Mapping[str, Any], before: str) -> Iterator[tuple[str, Any]]:
    """The values of nested mappings by dotted name."""
    for name, value in values.items():
        if isinstance(value, Mapping) and f"{before}{name}" not in WHOLE:
            yield from _leaves(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _plain(value: Any) -> Any:
    """A value to compare: a tuple is a list, 1 and 1.0 are one number, `true` is not 1."""
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, bool):
        return str(value).lower()
    return float(value) if isinstance(value, int) else value
