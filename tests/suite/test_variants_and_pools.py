"""Variants with training settings of their own, and published lists of patients as pools."""

from __future__ import annotations

import pytest

from contrastseg import planning
from contrastseg.errors import SuiteError
from contrastseg.methods import registry
from contrastseg.suite import parse_suite


def test_a_variant_may_train_otherwise():
    given = {
        "name": "s",
        "datasets": [{"name": "phantom_organs", "spatial_dims": 2}],
        "methods": [
            {
                "name": "supervised",
                "variants": {"default": {}, "wide": {"training": {"network": {"name": "resnet_unet"}}}},
            },
            {"name": "lrc", "variants": {"batch_negatives": {"training": {"steps": 7}}}, "training": {"steps": 5}},
        ],
        "labels": ["n1"],
        "training": {"steps": 3},
    }
    suite, _ = parse_suite(given, None)
    entry, (supervised, lrc) = suite.entry("phantom_organs"), suite.methods
    assert suite.training_of(entry, supervised, "default").network["name"] == "unet"
    assert suite.training_of(entry, supervised, "wide").network == {"name": "resnet_unet"}
    assert suite.training_of(entry, lrc, "batch_negatives").steps == 7
    assert supervised.resolve("wide") == supervised.resolve("default"), "no setting of the method's own"
    assert lrc.resolve("batch_negatives")["negatives"] != registry.get("lrc").resolve()["negatives"], (
        "its own variant stays"
    )


@pytest.mark.parametrize("training", [{"stepz": 3}, {"network": {"name": "unot"}}])
def test_what_a_variant_may_not_ask_for(training):
    variants = {"default": {}, "odd": {"training": training}}
    given = {"name": "s", "datasets": [{"name": "phantom_organs", "spatial_dims": 2}], "labels": ["n1"]}
    with pytest.raises(SuiteError, match=r"odd"):
        parse_suite({**given, "methods": [{"name": "supervised", "variants": variants}]}, None)


ACDC_OF_CHAITANYA = {"name": "acdc", "split": {"name": "acdc_chaitanya_78_2_20"}, "pool_list": "tr52"}


def test_a_published_list_of_patients_is_the_pool():
    given = {"name": "s", "methods": ["supervised", "simclr"], "labels": ["n1"]}
    made, _ = parse_suite({**given, "datasets": [ACDC_OF_CHAITANYA]}, None)
    assert made.entry("acdc").pool == ["acdc"]
    settings = planning.runs.pool_settings(made, "acdc", 0)
    assert len(set(settings["patients"])) == 52
    plain, _ = parse_suite({**given, "datasets": [{**ACDC_OF_CHAITANYA, "pool_list": None, "pool": ["acdc"]}]}, None)
    assert "patients" not in planning.runs.pool_settings(plain, "acdc", 0)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"pool_list": "tr53"}, ["tr53", "tr52"]),
        ({"split": {"name": "random"}}, ["pool_list", "random"]),
        ({"split": {"name": "acdc_70_10_20"}}, ["tr52"]),
    ],
)
def test_a_list_that_no_split_has(changed, words):
    given = {
        "name": "s",
        "methods": ["supervised", "simclr"],
        "labels": ["n1"],
        "datasets": [{**ACDC_OF_CHAITANYA, **changed}],
    }
    with pytest.raises(SuiteError) as error:
        parse_suite(given, None)
    assert all(word in str(error.value) for word in words)
