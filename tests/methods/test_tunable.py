"""Ranges of tunable settings: values of positions, and what no range may be."""

from __future__ import annotations

import pytest

from contrastseg.errors import SuiteError
from contrastseg.methods.contract import Card
from contrastseg.methods.tunable import Choice, LogUniform, Uniform


def card(**ranges: object) -> Card:
    return Card("t", "p", 2020, "", "published", "s", tunable=ranges)


def test_positions_become_values_of_the_range() -> None:
    assert [LogUniform(0.01, 10).at(each) for each in (0, 1 / 3, 2 / 3)] == [0.01, 0.1, 1.0]
    assert [Uniform(-1, 3).at(each) for each in (0, 0.5, 0.75)] == [-1, 1, 2]
    options = Choice(("a", "b", "c"))
    assert [options.at(each) for each in (0, 0.34, 0.67, 0.999999)] == ["a", "b", "c", "c"]


def test_rounded_values_stay_inside() -> None:
    assert Uniform(0.12345, 0.12346).at(0) == 0.12345
    assert LogUniform(1e-7, 0.99999).at(1 - 1e-12) == 0.99999


@pytest.mark.parametrize(
    "make",
    [
        lambda: LogUniform(1, 1),
        lambda: LogUniform(2, 1),
        lambda: LogUniform(0, 1),
        lambda: Uniform(1, 1),
        lambda: Uniform(0, float("inf")),
        lambda: Uniform(float("nan"), 1),
        lambda: Choice(()),
        lambda: Choice((1,)),
        lambda: Choice((1, 2, 1)),
        lambda: card(a=Uniform(0, 1), b=Uniform(0, 1), c=Uniform(0, 1), d=Uniform(0, 1)),
        lambda: card(a=(0, 1)),
    ],
)
def test_what_is_no_range_is_an_error_with_a_remedy(make) -> None:
    with pytest.raises(SuiteError) as caught:
        make()
    assert caught.value.remedy


def test_stored_cards_have_no_ranges() -> None:
    """Fingerprints count on it: a run record holds what it held before cards had ranges."""
    stored = card(a=Uniform(0, 1)).stated()
    assert stored == {name: value for name, value in vars(card()).items() if name != "tunable"} | {"differs": []}
