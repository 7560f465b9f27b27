"""The leaderboard: the best mean, with exactly the certainty that the tests give."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from contrastseg.evaluation.statistics import ranking_table
from contrastseg.report.page import wording
from contrastseg.report.page.leaderboard import leaderboard
from contrastseg.report.page.summary_text import overview_sentences


def test_one_line_for_each_data_set_and_budget(world):
    lines = leaderboard(world.data)
    assert [(line.place, line.budget) for line in lines] == [
        ("Invented organs", "10 % (2 patients)"),
        ("Invented organs", "50 % (10 patients)"),
        ("Invented lesions", "10 % (2 patients)"),
        ("Invented lesions", "50 % (10 patients)"),
    ]
    first = lines[0]
    assert (first.first.label.plain, first.second.label.plain) == ("pdcr [R]", "uafr (rf) [P]")
    assert first.first.value > first.second.value
    assert first.significant
    assert first.certainty.startswith("significantly better than supervised [P]: corrected p\u00a00.0")
    assert first.tests == "3 better"


def test_a_method_with_a_hole_does_not_lead(world):
    means = world.summary["class"] == "mean"
    holed = world.summary.copy()
    holed.loc[means & (holed["method"] == "pdcr"), "holes"] = 1
    assert leaderboard(replace(world.data, summary=holed))[0].first.label.method == "uafr"


def test_the_certainty_is_that_of_the_verdict(world):
    def said(**changes):
        frame = world.comparisons.copy()
        others = frame["verdict"] != "reference"
        for column, value in changes.items():
            frame.loc[others, column] = value
        return leaderboard(replace(world.data, comparisons=frame))[0]

    small = said(verdict="n too small", p_smallest=0.0625)
    assert small.certainty == (
        "cannot differ significantly from supervised [P]: smallest reachable p\u00a00.0625, 12 patients"
    )
    assert not small.significant
    assert said(verdict="n.s.", p_holm=0.4).certainty.startswith("not significantly different from supervised [P]")
    assert said(verdict="worse").certainty.startswith("significantly worse than supervised [P]")
    assert leaderboard(replace(world.data, comparisons=world.comparisons.iloc[:0]))[0].certainty == "not tested"


def test_the_words_agree_with_the_numbers(world):
    def said(**changes):
        frame = world.comparisons.copy()
        others = frame["verdict"] != "reference"
        for column, value in changes.items():
            frame.loc[others, column] = value
        return leaderboard(replace(world.data, comparisons=frame))[0]

    assert said(verdict="better", p_holm=0.04999).certainty.endswith("corrected p\u00a0< 0.05, 12 patients")
    assert said(verdict="better", mean_against="lower mean").certainty.endswith("12 patients; its mean is lower")
    assert said(verdict="identical").certainty == "identical to supervised [P] in 12 patients"
    assert said(verdict="n too small", zeros=10).certainty.endswith("2 of 12 patients differ")
    incomplete = said(verdict="incomplete", reference_missing=4)
    assert incomplete.certainty == "not tested: supervised [P] lacks 4 scores"
    assert incomplete.tests == "3 not tested (predictions missing)"
    assert not incomplete.significant


def test_a_tie_does_not_lead_and_a_close_call_shows_its_digits(world):
    summary = world.summary.copy()
    at = (summary["class"] == "mean") & (summary["metric"] == "dice") & (summary["dataset"] == "organs")
    at &= summary["labels"] == "r0.1"
    summary.loc[at, "mean"] = [0.5, 0.81, 0.5, 0.81]
    line = leaderboard(replace(world.data, summary=summary))[0]
    assert (line.first, line.second, line.significant) == (None, None, False)
    assert line.certainty == "pdcr [R] and uafr (rf) [P] share the best mean, 0.810"
    assert line.stability == ""
    assert "share the best mean, 0.810" in overview_sentences(replace(world.data, summary=summary))[0]
    summary.loc[at, "mean"] = [0.5, 0.81, 0.5, 0.81004]
    line = leaderboard(replace(world.data, summary=summary))[0]
    assert (line.first.label.method, line.first.mean, line.second.mean) == ("uafr", "0.81004", "0.81000")


def test_who_invents_structures_does_not_lead_by_the_means_of_the_table(world):
    """Absent structures are left out of the table's means: the ranking, which counts them, says who leads."""
    summary = world.summary.copy()
    at = (summary["class"] == "mean") & (summary["metric"] == "dice") & (summary["dataset"] == "organs")
    at &= summary["labels"] == "r0.1"
    summary.loc[at & (summary["method"] != "pdcr"), "absent"] = 24
    summary.loc[at & (summary["method"] == "pdcr"), "invented"] = 24
    data = replace(world.data, summary=summary)
    line = leaderboard(data)[0]
    assert line.first is None
    assert line.certainty == wording.NO_RANKING
    ranked = ranking_table(world.scores)
    there = (ranked["dataset"] == "organs") & (ranked["labels"] == "r0.1")
    ranked.loc[there, "mean"] = ranked.loc[there, "method"].map({"uafr": 0.9}).fillna(0.4)
    first = leaderboard(replace(data, frames={"rankings": ranked}))[0].first
    assert (first.label.method, first.mean, first.patients) == ("uafr", "0.900", 12)


def test_a_leading_reference_says_how_many_were_found_worse(world):
    summary, comparisons = world.summary.copy(), world.comparisons.copy()
    summary.loc[(summary["class"] == "mean") & (summary["method"] == "supervised"), "mean"] = 0.99
    comparisons.loc[comparisons["verdict"] == "better", "verdict"] = "worse"
    line = leaderboard(replace(world.data, summary=summary, comparisons=comparisons))[0]
    assert line.certainty == "the baseline itself; 3 of 3 others significantly worse"


def test_how_often_the_first_stays_first_is_said_where_it_is_known(world):
    axes = {"dataset": "organs", "evaluated_on": "organs", "checkpoint": "last", "labels": "r0.1", "metric": "dice"}
    rows = [axes | {"method": "pdcr", "variant": "default", "first": 0.873, "mean": 0.8, "rank": 1, "n": 12}]
    rows += [axes | {"method": "uafr", "variant": "rf", "first": 0.127, "mean": 0.7, "rank": 2, "n": 12}]
    first, second, *_ = leaderboard(replace(world.data, frames={"rankings": pd.DataFrame(rows)}))
    assert first.stability == "first in 87 % of resamplings of the patients"
    assert second.stability == ""


def test_nothing_scored_leads_nowhere(world):
    assert leaderboard(replace(world.data, summary=world.summary.iloc[:0])) == []
