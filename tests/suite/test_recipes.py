"""Recipes say where each value stands, and a suite that claims one follows it, key by key."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from contrastseg.data.registry import registry
from contrastseg.errors import RecipeError
from contrastseg.methods import registry as methods
from contrastseg.suite import Suite, load_suite, parse_suite
from contrastseg.suite.fidelity import check_recipe, entry_settings, recipe_deviations, recipe_rows
from contrastseg.suite.recipes import Recipe, load_recipe, recipe_names

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
# Read for their claims alone: to load all of them takes seconds, in every process that collects tests.
RECIPES = {
    path.stem: found[1]
    for path in sorted(BENCHMARKS.glob("*.yaml"))
    if (found := re.search(r"^recipe: (\w+)$", path.read_text(encoding="utf-8"), re.MULTILINE))
}


@functools.cache
def committed(name: str) -> Suite:
    return load_suite(BENCHMARKS / f"{name}.yaml")


WRITTEN: dict[str, Any] = {
    "checkpoints": ["last"],
    "evaluation": {"convention": "default"},
    "training": {
        "network": {"name": "unet", "channels": [8, 16], "convolutions": 2, "norm": "instance"},
        **{"steps": 9, "batch_size": 2, "unlabelled_batch_size": 2, "patch_size": [32, 32], "foreground_fraction": 0},
        **{"validate_every": 0, "overlap": 0},
        "optimiser": {
            **{"name": "adamw", "learning_rate": 0.001, "weight_decay": 0, "schedule": "poly"},
            **{"warmup_steps": 0, "clip_norm": None},
        },
        "augmentation": {
            **{"flip_axes": [0], "rotation_degrees": 0, "scale": [1, 1], "shift": 0, "elastic": 0},
            **{"brightness": 0, "contrast": [1, 1], "gamma": [1, 1], "noise": 0},
        },
    },
}


NAMED = {
    "name": "small",
    "datasets": [{"name": "lesions", "dataset": "phantom_lesions"}],
    "methods": ["supervised"],
    "labels": ["n2"],
}


def a_suite(without: str = "", **changes: Any) -> Suite:
    """A suite that writes every key there is today, but for one; with new keys it writes their defaults."""
    entry = {"name": "lesions", "dataset": "phantom_lesions", "preparation": {}}
    asked = {
        "name": "small",
        "datasets": [entry],
        "methods": ["supervised", "mean_teacher"],
        "labels": ["n2"],
        **WRITTEN,
    }
    plain = parse_suite(asked)[0]
    for key, value in entry_settings(plain, plain.datasets[0]).items():
        if key.startswith("preparation."):
            entry["preparation"][key.removeprefix("preparation.")] = value
    full = parse_suite(asked)[0].model_dump(exclude={"tables", "figures", "comparison"})
    full["training"]["network"] = {
        key.removeprefix("training.network."): value
        for key, value in entry_settings(plain, plain.datasets[0]).items()
        if key.startswith("training.network.")
    }
    for key, value in changes.items():
        _place(full, key)[key.split(".")[-1]] = value
    if without:
        del _place(full, without)[without.split(".")[-1]]
    return parse_suite(full)[0]


def _place(suite: dict[str, Any], key: str) -> dict[str, Any]:
    place = suite["datasets"][0] if key.startswith("preparation.") else suite
    for part in key.split(".")[:-1]:
        place = place[part]
    return place


def a_recipe(suite: Suite, **changes: Any) -> Recipe:
    """What a source says that has all the values of a suite, but for the changes; None leaves a key out."""
    values = entry_settings(suite, suite.datasets[0])
    stated: dict[str, Any] = {key: {"value": value, "at": "code.py:1"} for key, value in values.items()}
    stated |= changes
    asked = {key: one for key, one in stated.items() if one is not None}
    return Recipe.model_validate(
        {"title": "A source", "url": "https://example.org", "read": "2026-01-02", "settings": asked}
    )


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_of_data_sets_and_methods_that_exist(name: str) -> None:
    recipe = load_recipe(name)
    entries = {entry.name for suite in RECIPES for entry in committed(suite).datasets}
    assert set(recipe.datasets) <= {*registry.names(), *entries}
    assert set(recipe.methods) <= set(methods.names())
    assert all(stated.at or not stated.known for stated in recipe.settings.values())


@pytest.mark.parametrize("name", RECIPES)
def test_a_suite_that_claims_a_recipe_follows_it(name: str) -> None:
    assert len(RECIPES) >= 10
    assert committed(name).recipe == RECIPES[name]
    check_recipe(committed(name), load_recipe(RECIPES[name]))


@pytest.mark.parametrize("name", sorted(set(RECIPES.values())))
def test_no_reason_is_kept_for_what_no_longer_differs(name: str) -> None:
    suites = [committed(suite) for suite, recipe in RECIPES.items() if recipe == name]
    held = [row for suite in suites for row in recipe_rows(suite, load_recipe(name))]
    reasons = {(row.key, row.stated.differs) for row in held if row.stated.differs}
    assert reasons == {(row.key, row.stated.differs) for row in held if row.status == "differs" and row.stated.differs}


def test_a_suite_with_all_its_source_s_values_has_no_fault() -> None:
    suite = a_suite()
    recipe = a_recipe(suite)
    assert recipe_deviations(suite, recipe) == []
    assert {row.status for row in recipe_rows(suite, recipe)} == {"same"}
    check_recipe(suite, recipe)


@pytest.mark.parametrize(
    "key",
    [
        *("labels", "checkpoints", "evaluation.convention", "preparation.intensity", "training.steps"),
        *("training.optimiser.clip_norm", "training.augmentation.noise", "training.overlap", "training.network.norm"),
    ],
)
def test_an_unset_key_is_refused(key: str) -> None:
    suite = a_suite(without=key)
    (fault,) = [fault for fault in recipe_deviations(suite, a_recipe(suite)) if "found unset" in fault]
    assert fault.startswith(f"lesions, {key}: ")


def test_a_difference_needs_a_reason() -> None:
    suite = a_suite()
    key = "training.optimiser.learning_rate"
    bare = a_recipe(suite, **{key: {"value": 0.5, "at": "train.py:7"}})
    with pytest.raises(RecipeError, match=r"lesions, training\.optimiser\.learning_rate: found 0\.001, expected 0\.5"):
        check_recipe(suite, bare)
    told = a_recipe(suite, **{key: {"value": 0.5, "at": "train.py:7", "differs": "a smaller batch"}})
    check_recipe(suite, told)
    (row,) = [row for row in recipe_rows(suite, told) if row.key == key]
    assert (row.status, row.reason, row.ours) == ("differs", "a smaller batch", 0.001)


def test_a_key_without_a_row_and_a_key_that_does_not_exist_are_refused() -> None:
    suite = a_suite()
    (lacking,) = recipe_deviations(suite, a_recipe(suite, **{"training.steps": None}))
    assert lacking.startswith("lesions, training.steps: found no row in the recipe")
    strange = {"value": 3, "at": "train.py:8"}
    (wrong,) = recipe_deviations(suite, a_recipe(suite, **{"training.stepz": strange}))
    assert wrong.startswith("lesions, training.stepz: found in the recipe, expected a key")
    missing = a_recipe(suite, **{"training.stepz": {**strange, "missing": "steps are counted"}})
    assert recipe_deviations(suite, missing) == []
    (row,) = [row for row in recipe_rows(suite, missing) if row.key == "training.stepz"]
    assert (row.status, row.reason, row.absent) == ("differs", "steps are counted", True)
    (stale,) = recipe_deviations(suite, a_recipe(suite, **{"training.steps": {**strange, "missing": "not here"}}))
    assert stale.startswith("lesions, training.steps: found `missing`, expected none")


def test_unknown_values_are_unknown_and_a_data_set_s_own_are_stronger() -> None:
    suite = a_suite()
    base = a_recipe(suite, **{"training.steps": {"value": "unknown"}})
    assert {row.key for row in recipe_rows(suite, base) if row.status == "unknown"} == {"training.steps"}
    own = base.model_copy(update={"datasets": {"phantom_lesions": {"training.steps": base.settings["labels"]}}})
    assert [fault.split(":")[0] for fault in recipe_deviations(suite, own)] == ["lesions, training.steps"]


def test_keys_without_effect_have_no_row_and_an_unset_option_that_the_source_states_has_one() -> None:
    suite = a_suite()
    more = {
        "training.optimiser.momentum": {"value": 0.9, "at": "a:1"},  # of SGD alone, and this is AdamW
        "training.network.strides": {"value": [2], "at": "a:2"},  # unset here
    }
    assert [fault.split(":")[0] for fault in recipe_deviations(suite, a_recipe(suite, **more))] == [
        "lesions, training.network.strides",
        "lesions, training.network.strides",
    ]
    keys = {row.key for row in recipe_rows(suite, a_recipe(suite, **more))}
    assert "training.network.strides" in keys
    assert "training.optimiser.momentum" not in keys


@pytest.mark.parametrize(
    ("loss", "without"),
    [("ce_dice", set()), ("dice", {"combine"}), ("ce", {"combine", "background", "squared", "per_image"})],
)
def test_a_dice_has_settings_where_there_is_one(loss: str, without: set[str]) -> None:
    suite = parse_suite({**WRITTEN, "training": {**WRITTEN["training"], "segmentation": {"loss": loss}}, **NAMED})[0]
    found = {key.removeprefix("training.segmentation.") for key in entry_settings(suite, suite.datasets[0])}
    assert {"combine", "background", "squared", "per_image"} - found == without


@pytest.mark.parametrize(
    ("optimiser", "found"),
    [
        ({"name": "adam", "schedule": "constant"}, set()),
        ({"name": "sgd", "schedule": "poly"}, {"momentum", "nesterov", "final_learning_rate"}),
        ({"name": "adamw", "schedule": "step", "step_every": 2}, {"step_every", "step_factor"}),
    ],
)
def test_an_optimiser_has_the_settings_that_it_uses(optimiser: dict[str, Any], found: set[str]) -> None:
    suite = parse_suite({**WRITTEN, "training": {**WRITTEN["training"], "optimiser": optimiser}, **NAMED})[0]
    keys = {key.removeprefix("training.optimiser.") for key in entry_settings(suite, suite.datasets[0])}
    assert {"momentum", "nesterov", "final_learning_rate", "step_every", "step_factor"} & keys == found


def test_methods_have_rows_of_their_own() -> None:
    method = {"name": "mean_teacher", "training": {"steps": 5}, "settings": {"decay": 0.9}}
    suite = a_suite(methods=["supervised", method])
    stated = {"settings.decay": {"value": 0.9, "at": "a:1"}, "training.steps": {"value": 5, "at": "a:2"}}
    base = a_recipe(suite).model_dump()
    assert recipe_deviations(suite, Recipe.model_validate({**base, "methods": {"mean_teacher": stated}})) == []
    half = {"settings.decay": {"value": 0.99, "at": "a:1"}}
    found = recipe_deviations(suite, Recipe.model_validate({**base, "methods": {"mean_teacher": half}}))
    assert [fault.split(":")[0] for fault in found] == [
        "lesions, mean_teacher, training.steps",
        "lesions, mean_teacher, settings.decay",
    ]


def test_a_switch_is_no_number() -> None:
    suite = a_suite()
    assert recipe_deviations(suite, a_recipe(suite, **{"training.batch_size": {"value": 2.0, "at": "a:1"}})) == []
    wrong = a_recipe(suite, **{"training.validate_every": {"value": False, "at": "a:1"}})
    assert [fault.split(":")[0] for fault in recipe_deviations(suite, wrong)] == ["lesions, training.validate_every"]


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        ({"value": 3}, "without `at`"),
        ({"at": "a:1"}, "Field required"),
        ({"value": "unknown", "differs": "ours"}, "`differs` of an unknown value"),
        ({"value": 3, "at": "a:1", "differs": "x", "missing": "y"}, "`differs` and `missing`"),
        ({"value": 3, "at": "a:1", "why": "x"}, "settings.steps.why"),
    ],
)
def test_a_wrong_recipe_names_file_and_key(stated: dict[str, Any], words: str, tmp_path: Path) -> None:
    head = {"title": "A source", "url": "https://example.org", "read": "2026-01-02"}
    (tmp_path / "odd.yaml").write_text(yaml.safe_dump({**head, "settings": {"steps": stated}}))
    with pytest.raises(RecipeError) as caught:
        load_recipe("odd", tmp_path)
    assert words in str(caught.value)
    assert "settings.steps" in str(caught.value)
    assert str(tmp_path / "odd.yaml") in str(caught.value)


def test_an_unknown_recipe_lists_those_there_are() -> None:
    with pytest.raises(RecipeError, match=r"unknown recipe 'ssl4miss_acdc'.*did you mean 'ssl4mis_acdc'"):
        load_recipe("ssl4miss_acdc")
