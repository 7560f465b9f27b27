"""The key `tuning` of a suite: the trials it comes to, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from contrastseg.errors import ContrastsegError, SuiteError
from contrastseg.methods import registry
from contrastseg.methods.contract import Card, Method
from contrastseg.methods.supervised import Supervised
from contrastseg.methods.tunable import AUGMENTATION_STRENGTH, Choice, LogUniform, Uniform
from contrastseg.suite import Suite, parse_suite
from contrastseg.suite.tuning import TuningSettings, check_tunable, strengthened, tuned_settings, tuned_stage
from contrastseg.training.settings import AugmentationSettings
from contrastseg.training.stages import merge

FREE = {"tuning": {"validation": "free"}}
NO_VAL = {"fractions": {"train": 0.8, "val": 0, "test": 0.2}}


def suite(**changes: Any) -> Suite:
    asked = {
        "name": "small",
        "datasets": [{"name": "lesions", "dataset": "phantom_lesions"}],
        "methods": ["supervised", "simclr"],
        "labels": ["n7"],
        "tuning": {"trials": 4},
        **changes,
    }
    return parse_suite(asked)[0]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"tuning": {"trials": 1}}, "trials"),
        ({"tuning": {"trials": 4, "validation": "test"}}, "validation"),
        ({"tuning": {"settings": {}}}, "settings"),
        ({"labels": ["r0.5"]}, "r0.5"),
        ({"methods": ["supervised", "byol"]}, "byol"),
        ({"checkpoints": ["last", "best_val"], "training": {"validate_every": 10}}, "checkpoints"),
        ({"evaluation": {"metrics": ["hd95"]}, "comparison": {"metrics": ["hd95"]}}, "dice"),
        ({"datasets": [{"name": "lesions", "dataset": "phantom_lesions", "pool": ["lesions"]}]}, "pool"),
        ({"training": {"segmentation": {"combine": "sum"}}}, "dice_share"),
        (
            {"datasets": [{"name": "lesions", "dataset": "phantom_lesions", "split": {"name": "nnunet"}}]} | FREE,
            "validation patients",
        ),
        ({"datasets": [{"name": "lesions", "dataset": "phantom_lesions", "split": NO_VAL}]} | FREE, "lesions"),
        ({"tuning": None, "tables": [{"name": "chosen", "kind": "tuning"}]}, "chosen"),
    ],
)
def test_what_cannot_be_tuned_is_an_error_that_names_it(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(SuiteError) as caught:
        suite(**changes)
    assert named in str(caught.value)
    assert caught.value.remedy


def test_free_validation_takes_ratios_and_one_fold() -> None:
    free = suite(labels=["r0.5"], tuning={"validation": "free"}).tuning
    assert free is not None
    assert (free.trials, free.inner_folds("r0.5"), free.untuned("r0.5"), free.untuned("n2")) == (8, 1, None, None)
    paid = TuningSettings()
    assert [paid.inner_folds(labels) for labels in ("n4", "n7", "n10")] == [4, 4, 4]
    assert paid.untuned("n4") is None
    assert "3" in str(paid.untuned("n3"))
    with pytest.raises(ContrastsegError):
        paid.inner_folds("n3")


def test_every_method_gets_the_same_points_and_the_defaults_first() -> None:
    tuning = TuningSettings(trials=5)
    assert tuning.values("supervised", 0) == tuning.values("simclr", 0) == {}
    for trial in range(1, 5):
        decay = tuning.values("supervised", trial)["training.optimiser.weight_decay"]
        temperature = tuning.values("simclr", trial)["temperature"]
        of_decay, of_temperature = (
            registry.get("supervised").card.tunable["training.optimiser.weight_decay"],
            registry.get("simclr").card.tunable["temperature"],
        )
        position = next(p / 2000 for p in range(2000) if of_decay.at(p / 2000) >= decay)
        assert of_temperature.at(position) == pytest.approx(temperature, rel=0.02)
    assert tuning.values("simclr", 1) != TuningSettings(trials=5, seed=1).values("simclr", 1)
    with pytest.raises(SuiteError):
        tuning.values("simclr", 5)


def test_more_trials_keep_the_first() -> None:
    few, many = TuningSettings(trials=3), TuningSettings(trials=8)
    assert [few.values("cps", trial) for trial in range(3)] == [many.values("cps", trial) for trial in range(3)]


def test_a_trial_is_stronger_than_every_place_of_the_suite() -> None:
    stages = {"train": {"optimiser": {"weight_decay": 0.5, "learning_rate": 0.3}}}
    asked = suite(methods=[{"name": "supervised", "stages": stages}])
    entry, method = asked.datasets[0], asked.methods[0]
    values = {"training.optimiser.weight_decay": 0.01, AUGMENTATION_STRENGTH: 2.0}
    own = tuned_stage(asked, entry, method, "default", "train", values)
    assert own["optimiser"] == {"weight_decay": 0.01, "learning_rate": 0.3}
    assert own["augmentation"]["rotation_degrees"] == 30
    assert tuned_stage(asked, entry, method, "default", "train", {}) == stages["train"]
    simclr = suite(methods=["supervised", {"name": "simclr", "settings": {"dim": 16}}]).method("simclr")
    assert tuned_settings(simclr, "default", {"temperature": 0.7})["temperature"] == 0.7
    assert tuned_settings(simclr, "default", {"temperature": 0.7})["dim"] == 16


def test_strength_one_is_the_augmentation_itself_and_zero_none_of_it() -> None:
    given = AugmentationSettings(elastic=3, hue=0.7, shear=10, rotation_degrees=100)
    same, none, most = (
        AugmentationSettings.model_validate(merge(given.model_dump(), strengthened(given, strength)))
        for strength in (1, 0, 2)
    )
    assert same == given
    assert (none.rotation_degrees, none.scale, none.gamma, none.noise) == (0, (1, 1), (1, 1), 0)
    assert none.flip_axes == given.flip_axes
    assert (most.rotation_degrees, most.hue, most.elastic) == (180, 1, 6), "inside the bounds of each key"


def made_up(**ranges: Any) -> type[Method]:
    card = Card("Made up", "p", 2020, "", "published", "s", tunable=ranges)
    return type("MadeUp", (Supervised,), {"name": "made_up", "card": card, "defaults": {"weight": 1.0, "way": "a"}})


@pytest.mark.parametrize(
    "ranges",
    [
        {},
        {"wieght": LogUniform(0.1, 1)},
        {"training.optimiser.learning_rate": LogUniform(0.1, 1)},
        {"training.steps": Uniform(1, 10)},
        {"training.network.norm": Choice(("batch", "instance"))},
        {"training.optimiser": Choice(({"learning_rate": 0.1}, {"learning_rate": 0.2}))},
        {"training.optimiser.wieght_decay": LogUniform(0.1, 1)},
        {"training.segmentation.dice_share": Uniform(0, 2)},
        {"weight": Choice(("a", "b"))},
    ],
)
def test_ranges_of_what_there_is_not_are_errors_with_a_remedy(ranges: dict[str, Any]) -> None:
    with pytest.raises(SuiteError) as caught:
        check_tunable(made_up(**ranges))
    assert caught.value.remedy
    check_tunable(made_up(weight=LogUniform(0.1, 1)))


@pytest.mark.parametrize("name", registry.names())
def test_every_card_with_ranges_can_be_tuned(name: str) -> None:
    method = registry.get(name)
    if method.card.tunable:
        check_tunable(method)
        shared = {key for values in method.variants.values() for key in values} | set(method.defaults)
        assert all("." in each or each == AUGMENTATION_STRENGTH or each in shared for each in method.card.tunable)
    else:
        with pytest.raises(SuiteError):
            check_tunable(method)
