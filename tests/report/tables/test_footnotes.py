"""The notes under a table: what they say of statistics, and of what has not run."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from contrastseg.evaluation.statistics.coverage import simulated_coverage
from contrastseg.report.tables import wording
from contrastseg.report.tables.footnotes import block_footnotes


def test_the_measured_coverage_of_the_intervals_is_printed(world) -> None:
    for key, part in world.data.places(world.summary):
        n = int(part["n_patients"].min())
        assert n == part["n_patients"].max()
        sample = block_footnotes(world.data, key, part, [])[0]
        for what, bounded in (("overlaps", True), ("distances", False)):
            plain, missed = simulated_coverage(n, bounded, runs=2)
            assert f"{100 * plain:.0f} % of {what}, {100 * missed:.0f} % where one patient" in sample


def test_no_coverage_is_printed_for_a_level_that_was_not_measured(world) -> None:
    ((key, part), *_) = world.data.places(world.summary)
    unknown: pd.DataFrame = part.assign(coverage=float("nan"), coverage_missed=float("nan"))
    assert "coverage" not in block_footnotes(world.data, key, unknown, [])[0]


def test_what_waits_everywhere_for_one_reason_is_said_once(world) -> None:
    ((key, part), *_) = world.data.places(world.summary)
    pairs = list(part[["method", "variant"]].drop_duplicates().itertuples(index=False, name=None))

    def said(*cells: tuple[str, str, str]) -> str:
        items = [
            {"dataset": key[0], "method": method, "variant": variant, "labels": labels, "state": "partly run"}
            for method, variant, labels in cells
        ]
        waiting = replace(world.data, skipped=[item | {"reason": "seed 1 waits"} for item in items])
        (line,) = [line for line in block_footnotes(waiting, key, part, pairs) if line.startswith("Partly run")]
        return line

    both = [(*pair, labels) for pair in pairs for labels in ("r0.1", "r0.5")]
    assert said(*both) == "Partly run: every method at 10 % labelled, 50 % labelled: seed 1 waits."
    first, second, *_ = (world.data.label(*pair).name for pair in pairs)
    some = said((*pairs[0], "r0.1"), (*pairs[1], "r0.1"), (*pairs[1], "r0.5"))
    assert some == f"Partly run: {first} at 10 % labelled; {second} at 10 % labelled, 50 % labelled: seed 1 waits."


def test_boxes_around_labels_and_the_recipe_stand_under_the_table(world) -> None:
    ((key, part), *_) = world.data.places(world.summary)
    plain = block_footnotes(world.data, key, part, [])
    (info,) = [info for info in world.data.infos if info["entry"] == key[0]]
    cropped = {**info, "preparation": {"intensity": "zscore", "crop": {"around": "label"}}}
    others = [other for other in world.data.infos if other["entry"] != key[0]]
    marked = replace(world.data, infos=[cropped, *others], suite=replace(world.data.suite, recipe="uamt_la"))
    (line,) = set(block_footnotes(marked, key, part, [])) - set(plain)
    assert wording.CROPPED in line
    assert "uamt_la" in line
    assert not any(wording.CROPPED in line or "Recipe" in line for line in plain)


def test_equal_steps_are_said_where_they_hold(world) -> None:
    ((key, part), *_) = world.data.places(world.summary)
    row = {
        "dataset": key[0],
        "method": "supervised",
        "variant": "equal_steps",
        "total": 3600,
        "stages": {"train": 3600},
    }
    longer = replace(
        world.suite, step_totals=({**row, "as_long_as": "lrc"}, {**row, "dataset": "x", "as_long_as": "a"})
    )
    notes = block_footnotes(replace(world.data, suite=longer), key, part, [])
    (said,) = [note for note in notes if "steps" in note]
    assert all(word in said for word in ("supervised (equal_steps)", "3,600", "as many as lrc"))
    budget = tuple({**row, "method": name, "total": 1200, "as_long_as": ""} for name in ("supervised", "pdcr"))
    notes = block_footnotes(replace(world.data, suite=replace(world.suite, step_totals=budget)), key, part, [])
    assert [note for note in notes if "steps" in note] == [wording.equal_steps(1200)]


def test_the_file_that_a_row_started_from_stands_under_the_table_with_what_is_stated(world) -> None:
    ((key, part), *_) = world.data.places(world.summary)
    pairs = list(part[["method", "variant"]].drop_duplicates().itertuples(index=False, name=None))
    chosen = next(run for run in world.data.runs if run["dataset"] == key[0])
    pair = str(chosen["method"]), str(chosen["variant"])
    assert pair in pairs
    file = {"file": "a.pt", "sha256": "0123456789abcdef", "source": "a hub", "data": "", "test_cases": "unknown"}
    file["encoder_share"] = 0.95

    def lines(**changed: str) -> list[str]:
        runs = [
            {**run, "network_weights": {**file, **changed}}
            if (str(run["method"]), str(run["variant"])) == pair
            else run
            for run in world.data.runs
        ]
        said = block_footnotes(replace(world.data, runs=runs), key, part, pairs)
        return [line for line in said if line not in block_footnotes(world.data, key, part, pairs)]

    (line,) = lines()
    for expected in (world.data.label(*pair).name, "a.pt", "0123456789ab", "a hub", "95%", "unknown"):
        assert expected in line
    (other,) = lines(test_cases="stated", data="ImageNet")
    assert "unknown" not in other
    assert "ImageNet" in other
