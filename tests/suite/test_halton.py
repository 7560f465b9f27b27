"""The sequence of trials: seeded, even, and the same in every number of dimensions."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from contrastseg.suite.halton import halton


@pytest.mark.parametrize(("axis", "base"), [(0, 2), (1, 3), (2, 5)])
def test_every_axis_is_even(axis: int, base: int) -> None:
    values = sorted(halton(index, 3, 7)[axis] for index in range(1, base**3 + 1))
    gaps = [b - a for a, b in pairwise([*values, values[0] + 1])]
    assert max(gaps) <= 2.01 / base**3
    assert values[0] >= 0
    assert values[-1] < 1


def test_points_are_those_of_scipy_but_for_the_shift() -> None:
    from scipy.stats import qmc

    expected = qmc.Halton(3, scramble=False).random(9)
    ours = np.array([halton(index, 3, 0) for index in range(9)])
    assert (ours - ours[0]) % 1 == pytest.approx(expected, abs=1e-9)


def test_seeds_shift_and_dimensions_nest() -> None:
    assert halton(3, 2, 1) != halton(3, 2, 2)
    assert halton(3, 3, 1)[:2] == halton(3, 2, 1)
    assert halton(3, 0, 1) == ()
