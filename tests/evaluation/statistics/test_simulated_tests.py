from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import simulated_tests
from simulated_runs import Luck, runs_error
from simulated_tests import (
    both_tests,
    critical_error,
    family_error,
    power,
    retrained_error,
    smallest_shift,
)

from contrastseg.errors import ScoringError

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("truth", ["none differs", "rounded to 0.01", "half differ"])
def test_a_family_rarely_finds_what_is_not_there(truth: simulated_tests.Truth) -> None:
    found = family_error(truth, n=16, methods=8, repetitions=400)
    # 5 % at most: beyond 8.3 % is three Monte-Carlo standard errors away.
    assert found.share <= 0.05 + 3 * 0.011
    assert found.share > 0.005, "a test that never finds anything would pass too"


def test_without_correction_a_family_finds_something_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulated_tests, "holm", lambda p: simulated_tests.np.asarray(p))
    assert family_error("none differs", n=16, methods=8, repetitions=200).share > 0.12


def test_an_unknown_truth_lists_the_known() -> None:
    with pytest.raises(ScoringError, match="unknown truth 'all'; there are: half differ"):
        family_error("all", 8, 2, 1)  # type: ignore[arg-type]


def test_the_two_tests_agree() -> None:
    ranks, flips, same = both_tests(12, 0.7, 300)
    assert same.share > 0.9
    assert ranks.share == pytest.approx(flips.share, abs=0.08)
    assert both_tests(12, 0.0, 300)[0].share < 0.05 + 3 * 0.0126


def test_power_grows_with_patients_and_shrinks_with_the_family() -> None:
    assert power(5, 3.0, 1, 100).share == 0
    assert power(12, 0.8, 1, 400).share < power(24, 0.8, 1, 400).share
    assert power(24, 0.8, 1, 400).share > power(24, 0.8, 20, 400).share
    # Scaled by the efficiency 3/π of the signed-rank test, a t test of 24 patients finds 0.8 with 0.96.
    assert power(24, 0.8, 1, 1000).share == pytest.approx(0.955, abs=0.03)
    shift = smallest_shift(24, 1, 400)
    assert power(24, shift, 1, 400).share >= 0.8 > power(24, shift - 0.05, 1, 400).share


def test_training_by_chance_fools_the_test_of_patients_but_not_the_interval_over_runs() -> None:
    test, interval = retrained_error(n=30, seeds=3, luck=0.02, repetitions=300)
    assert test.share > 0.2
    assert interval.share < 0.11


def test_equal_methods_are_seldom_told_apart_over_data_sets() -> None:
    assert critical_error(datasets=8, methods=4, repetitions=150).share < 0.05 + 3 * 0.018


@pytest.mark.long
@pytest.mark.parametrize("truth", ["none differs", "rounded to 0.01", "half differ"])
@pytest.mark.parametrize("n", [10, 30])
def test_the_family_wise_error_is_at_most_five_per_cent(truth: simulated_tests.Truth, n: int) -> None:
    found = family_error(truth, n, methods=12, repetitions=6000, seed=1)
    assert found.share <= 0.05 + 3 * 0.0028


@pytest.mark.long
def test_the_page_and_the_module_are_written_by_the_script(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text((ROOT / "docs" / "statistics.md").read_text())
    files = ["--page", str(page), "--module", str(tmp_path / "simulated.py")]
    script = ROOT / "benchmarks" / "statistics" / "measure.py"
    subprocess.run([sys.executable, str(script), "--effort", "20", *files], check=True)
    names: dict[str, object] = {}
    exec((tmp_path / "simulated.py").read_text(), names)
    assert {"COVERAGE", "DETECTABLE", "FAMILIES", "LEVEL", "SHAPES"} <= set(names)
    shape = [line.count("|") for line in page.read_text().splitlines()]
    assert shape == [line.count("|") for line in (ROOT / "docs" / "statistics.md").read_text().splitlines()]


def test_averages_over_runs_keep_the_level_without_luck_and_the_interval_with_it() -> None:
    """Equal methods; draws are easy or hard for all, which must not widen or fool anything."""
    plain = runs_error(3, 2, Luck(0.0, 0.0), n=12, methods=6, repetitions=150)
    assert plain.family.share <= 0.05 + 3 * 0.0178
    lucky = runs_error(3, 2, Luck(0.02, 0.01), n=12, methods=6, repetitions=150)
    assert lucky.family.share > 0.2, "a test of patients takes the luck of trainings for a difference"
    assert 0.005 < lucky.interval.share < 0.05 + 3 * 0.0178
    assert max(lucky.every_seed.share, lucky.every_draw.share) < lucky.family.share
    assert np.isnan(runs_error(1, 2, Luck(0.0, 0.0), 8, 2, 5).every_draw.share)
