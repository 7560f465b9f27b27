"""Who leads where: the mean, and never more certainty than the tests gave."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from contrastseg.report.leaders import leaders


def test_one_line_for_each_data_set_and_budget(world):
    lines = leaders(world.material)
    assert [(line.place, line.budget) for line in lines] == [
        ("Invented organs", "10 % (2 patients)"),
        ("Invented organs", "50 % (10 patients)"),
        ("Invented lesions", "10 % (2 patients)"),
        ("Invented lesions", "50 % (10 patients)"),
    ]
    first = lines[0]
    assert (first.first.label.plain, first.second.label.plain) == ("pdcr [R]", "uafr (rf) [P]")
    assert first.first.value > first.second.value
    assert first.found
    assert first.certainty.startswith("better than supervised [P]: corrected p\u00a00.0")
    assert first.tests == "3 better"


def test_a_method_with_a_hole_does_not_lead(world):
    means = world.summary["class"] == "mean"
    holed = world.summary.copy()
    holed.loc[means & (holed["method"] == "pdcr"), "holes"] = 1
    assert leaders(replace(world.material, summary=holed))[0].first.label.method == "uafr"


def test_the_certainty_is_that_of_the_verdict(world):
    def said(**changes):
        frame = world.comparisons.copy()
        others = frame["verdict"] != "reference"
        for column, value in changes.items():
            frame.loc[others, column] = value
        return leaders(replace(world.material, comparisons=frame))[0]

    small = said(verdict="n too small", p_smallest=0.0625)
    assert small.certainty == (
        "too few patients to tell it from supervised [P]: smallest reachable p\u00a00.062, 12 patients"
    )
    assert not small.found
    assert said(verdict="n.s.", p_holm=0.4).certainty.startswith("no difference found from supervised [P]")
    assert said(verdict="worse").certainty.startswith("worse than supervised [P]")
    assert leaders(replace(world.material, comparisons=world.comparisons.iloc[:0]))[0].certainty == "not tested"


def test_a_leading_reference_says_how_many_were_found_worse(world):
    summary, comparisons = world.summary.copy(), world.comparisons.copy()
    summary.loc[(summary["class"] == "mean") & (summary["method"] == "supervised"), "mean"] = 0.99
    comparisons.loc[comparisons["verdict"] == "better", "verdict"] = "worse"
    line = leaders(replace(world.material, summary=summary, comparisons=comparisons))[0]
    assert line.certainty == "it is the reference itself: 3 of 3 others found worse"


def test_how_often_the_first_stays_first_is_said_where_it_is_known(world):
    axes = {"dataset": "organs", "evaluated_on": "organs", "checkpoint": "last", "labels": "r0.1", "metric": "dice"}
    rows = [axes | {"method": "pdcr", "variant": "default", "first": 0.873}]
    rows += [axes | {"method": "uafr", "variant": "rf", "first": 0.127}]
    first, second, *_ = leaders(world.material, pd.DataFrame(rows))
    assert first.stability == "first in 87 % of resamplings of the patients"
    assert second.stability == ""


def test_nothing_scored_leads_nowhere(world):
    assert leaders(replace(world.material, summary=world.summary.iloc[:0])) == []
