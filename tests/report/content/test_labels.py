"""How numbers are written: what is rounded never contradicts what was decided by it."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from contrastseg.report.content.labels import effect, effect_interval, interval, p_value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((0.04999, "< 0.05"), (0.05, "0.0500"), (0.050004, "> 0.05"), (0.0499, "0.0499"), (0.0345, "0.0345")),
        *((0.0012, "0.00120"), (0.0009, "< 0.001"), (0.5, "0.500"), (0.99996, "1"), (1.0, "1"), (0.0999, "0.0999")),
        *((0.09996, "0.100"), (math.nan, "–"), (None, "–")),
    ],
)
def test_a_p_value_has_three_digits_and_stays_on_its_side_of_the_level(value: float | None, text: str) -> None:
    assert p_value(value) == text


@given(st.floats(0, 1), st.sampled_from([0.05, 0.01, 0.1, 0.2, 0.005, 0.0005]))
@example(0.0099999, 0.01)
@example(0.00049999, 0.0005)
@example(0.19996, 0.2)
def test_no_printed_p_contradicts_its_star(value: float, alpha: float) -> None:
    text = p_value(value, alpha)
    if text.startswith("<"):
        assert value < float(text[2:]) <= max(alpha, 0.001)
    elif text.startswith(">"):
        assert value > float(text[2:]) >= alpha
    else:
        assert (float(text) <= alpha) == (value <= alpha)


@given(st.floats(-2, 2, allow_subnormal=False), st.integers(0, 4))
def test_a_difference_shows_its_sign(value: float, places: int) -> None:
    text = effect(value, places)
    if abs(value) < 1e-12:
        assert not text.strip("0.")
    else:
        assert text[0] == ("+" if value > 0 else "−")
        assert float(text[1:]) != 0


def test_bounds_have_as_many_decimals_as_it_takes_to_see_the_sign() -> None:
    assert effect_interval(-0.0004, 0.02, 2) == "[−0.0004, 0.02]"
    assert effect_interval(0.00003, 0.0, 3) == "[0.00003, 0.000]"
    assert effect_interval(math.nan, 0.1, 3) == ""


def test_clipped_ends_are_marked() -> None:
    assert interval(9.963, 335.0, 2, "high") == "[9.96, 335.00 c]"
    assert interval(0, 1, 2, "both") == "[0.00 c, 1.00 c]"
    assert interval(0.5, 0.75, 2) == "[0.50, 0.75]"
