"""What `prepare` is told, and reruns by: the whole rule, since the code of settings is no part of a fingerprint."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from contrastseg import planning
from contrastseg.data.prepare.preparation import prepare_dataset
from contrastseg.data.settings import PreparationSettings, SuperpixelSettings
from contrastseg.suite import parse_suite

GIVEN: dict[str, Any] = {"size": [24, 24], "superpixels": {"min_size": 9}}
OPTIONS = {"cases": 10}


def told(preparation: dict[str, Any]) -> dict[str, Any]:
    """What the workflow gives `contrastseg prepare --config` for lesions."""
    lesions = {"name": "lesions", "dataset": "phantom_lesions", "options": OPTIONS, "preparation": preparation}
    suite = {"name": "small", "datasets": [lesions], "methods": ["supervised"], "labels": ["r1"]}
    jobs = planning.Jobs(parse_suite(suite)[0], None)
    return dict(json.loads(jobs.preparation(SimpleNamespace(dataset="lesions"))))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_field_of_the_rule_is_said_with_its_value() -> None:
    rule = told(GIVEN)["preparation"]
    later = {"slice_axis", "image_order", "prediction_order", "crop", "n4", "n4_shrink"}
    assert set(rule) | later == set(PreparationSettings.model_fields), "said where they are chosen"
    assert told({"size": [24, 24], "image_order": 0})["preparation"]["image_order"] == 0
    assert rule["size"] == [24, 24]
    assert rule["superpixels"] == SuperpixelSettings(min_size=9).model_dump(mode="json")


def test_the_data_set_s_own_rule_is_said_too() -> None:
    from contrastseg.data.registry import registry

    assert told({})["preparation"] == registry.get("phantom_lesions").preparation.model_dump(mode="json")


def test_the_whole_rule_prepares_the_same_bytes_as_what_the_suite_says(tmp_path: Path) -> None:
    said = told(GIVEN)
    assert said["options"] == OPTIONS
    prepare_dataset("lesions", "phantom_lesions", OPTIONS, GIVEN, None, tmp_path / "short")
    prepare_dataset("lesions", "phantom_lesions", said["options"], said["preparation"], None, tmp_path / "whole")
    found = contents(tmp_path / "whole")
    assert len(found) > 10 * 3
    assert found == contents(tmp_path / "short")
