"""The notes under a table, as far as they speak of statistics."""

from __future__ import annotations

import pandas as pd

from contrastseg.evaluation.coverage import measured_coverage
from contrastseg.report.notes import block_notes


def test_the_measured_coverage_of_the_intervals_is_printed(world) -> None:
    for key, part in world.material.places(world.summary):
        n = int(part["n_patients"].min())
        assert n == part["n_patients"].max()
        sample = block_notes(world.material, key, part, [])[0]
        for what, bounded in (("overlaps", True), ("distances", False)):
            plain, missed = measured_coverage(n, bounded, runs=2)
            assert f"{100 * plain:.0f} % of {what}, {100 * missed:.0f} % where one patient" in sample


def test_no_coverage_is_printed_for_a_level_that_was_not_measured(world) -> None:
    ((key, part), *_) = world.material.places(world.summary)
    unknown: pd.DataFrame = part.assign(coverage=float("nan"), coverage_missed=float("nan"))
    assert "coverage" not in block_notes(world.material, key, unknown, [])[0]
