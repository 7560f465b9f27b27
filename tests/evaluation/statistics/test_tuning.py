"""The choice of a trial: highest mean over patients, the defaults where they are as good, and the paired error."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from contrastseg.errors import ScoringError
from contrastseg.evaluation.statistics.tuning import choose_trial, validation_dice_of


def of(*values: float) -> dict[str, float]:
    return {f"p{number}": value for number, value in enumerate(values)}


def test_the_highest_mean_wins_and_is_compared_with_the_defaults() -> None:
    choice = choose_trial({0: of(0.5, 0.6, 0.7), 1: of(0.8, 0.7, 0.6), 2: of(0.7, 0.8, 0.9)})
    assert (choice.trial, choice.rival) == (2, 0)
    assert choice.means == {0: pytest.approx(0.6), 1: pytest.approx(0.7), 2: pytest.approx(0.8)}
    assert choice.difference == pytest.approx(0.2)
    assert choice.standard_error == pytest.approx(0.0, abs=1e-12), "the difference is the same in every patient"
    other = choose_trial({0: of(0.5, 0.6, 0.7), 1: of(0.8, 0.7, 0.6)})
    assert other.standard_error == pytest.approx(0.2 / math.sqrt(3)), "differences 0.3, 0.1, -0.1: s = 0.2"


@pytest.mark.parametrize(("gain", "trial"), [(0.00009, 0), (0.00011, 1)])
def test_within_1e_4_the_defaults_win(gain: float, trial: int) -> None:
    choice = choose_trial({0: of(0.5, 0.5), 1: of(0.5 + gain, 0.5 + gain), 2: of(0.1, 0.1)})
    assert (choice.trial, choice.rival) == (trial, 1 - trial)


def test_of_equal_trials_the_first_wins() -> None:
    assert choose_trial({0: of(0.1, 0.1), 1: of(0.3, 0.1), 2: of(0.1, 0.3)}).trial == 1


def test_a_diverged_trial_is_not_chosen() -> None:
    choice = choose_trial({0: None, 1: of(0.3), 2: of(0.2)})
    assert (choice.trial, choice.rival) == (1, None)
    assert math.isnan(choice.means[0])
    assert math.isnan(choice.difference)
    assert choose_trial({0: of(0.3), 1: None}).rival is None
    with pytest.raises(ScoringError):
        choose_trial({0: None, 1: None})


def test_means_are_over_the_patients_that_every_trial_has() -> None:
    choice = choose_trial({0: {"a": 0.5, "b": 0.5}, 1: {"a": 0.6}})
    assert choice.patients == ("a",)
    assert choice.means[0] == 0.5
    assert math.isnan(choice.standard_error)
    with pytest.raises(ScoringError):
        choose_trial({0: {"b": 0.5}, 1: {"a": 0.6}})


def rows(*values: tuple[str, str, str, float, str]) -> pd.DataFrame:
    frame = pd.DataFrame(values, columns=["patient", "case", "class", "value", "outcome"])
    return frame.assign(metric="dice")


def test_dice_is_over_frames_then_classes() -> None:
    scores = rows(
        ("a", "a1", "x", 1.0, "scored"),
        ("a", "a2", "x", 0.0, "missed"),
        ("a", "a1", "y", 0.2, "scored"),
        ("b", "b1", "x", math.nan, "absent"),
    )
    other = scores.assign(metric="hd95", value=99.0)
    assert validation_dice_of(pd.concat([scores, other])) == {"a": pytest.approx(0.35)}
    with pytest.raises(ScoringError):
        validation_dice_of(rows(("a", "a1", "x", math.nan, "hole")))
