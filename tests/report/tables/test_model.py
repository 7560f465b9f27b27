"""The orders that tables and figures share."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from contrastseg.report.content.report_data import ReportData
from tests.report.conftest import World


def with_suite(world: World, **fields: object) -> ReportData:
    return replace(world.data, suite=replace(world.suite, **fields))


def test_methods_stand_in_the_suite_s_order_and_variants_behind_their_default(world: World) -> None:
    pairs = [("b", "x"), ("unknown", "default"), ("a", "default"), ("b", "a"), ("b", "default"), ("a", "zz")]
    wanted = [("b", "default"), ("b", "a"), ("b", "x"), ("a", "default"), ("a", "zz"), ("unknown", "default")]
    assert with_suite(world, methods=("b", "a")).pair_order(set(pairs)) == wanted


def test_classes_stand_in_the_data_set_s_order_and_what_it_does_not_know_behind(world: World) -> None:
    rows = pd.DataFrame({"class": ["mean", "left", "other", "right", "left"]})
    infos = [{"entry": "here", "classes": ["background", "right", "left"]}, {"entry": "there", "classes": ["left"]}]
    known = replace(world.data, infos=infos)
    assert known.class_order(rows, "here") == ["right", "left", "mean", "other"]
    assert known.class_order(rows, "nowhere") == ["mean", "left", "other", "right"]


def test_an_entry_s_name_stands_beside_its_title_only_where_two_have_the_same(world: World) -> None:
    infos = [{"entry": "one", "title": "ACDC"}, {"entry": "two", "title": "ACDC"}, {"entry": "three", "title": "LA"}]
    known = replace(world.data, infos=infos)
    assert [known.dataset_title(name) for name in ("one", "two", "three")] == ["ACDC (one)", "ACDC (two)", "LA"]
    assert known.dataset_title("three", in_full=True) == "LA (three)"
    assert known.dataset_title("unknown", in_full=True) == "unknown"


def test_last_checkpoints_stand_before_others_of_the_same_data_set(world: World) -> None:
    others = world.summary.assign(checkpoint="best_val")
    places = [place for place, _ in world.data.places(pd.concat([others, world.summary]))]
    assert [checkpoint for _, _, checkpoint in places] == ["last", "best_val"] * (len(places) // 2)
    assert [place[:2] for place in places[::2]] == [place[:2] for place in places[1::2]]


def test_a_method_that_applies_nowhere_keeps_its_mark(world: World) -> None:
    item = {"dataset": "lesions", "method": "glcl", "labels": "r1", "reason": "2D only"}
    assert replace(world.data, skipped=[item]).label("glcl", "default").mark == "?"
    assert replace(world.data, skipped=[item | {"provenance": "published"}]).label("glcl", "default").mark == "P"
    ran = replace(world.data, skipped=[item | {"method": "pdcr", "provenance": "published"}])
    assert ran.label("pdcr", "default").mark == "R", "what its runs say goes before the plan"
