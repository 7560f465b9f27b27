"""Ranges of the settings that a suite may tune. A number of a sequence in [0, 1) stands for a value of each range."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from contrastseg.errors import SuiteError

MOST = 3
"""Settings that a card may declare: the trials of a sequence cover few dimensions."""
TRAINING = "training."
"""What the names of training settings begin with; the dotted key follows."""
AUGMENTATION_STRENGTH = "augmentation_strength"
"""Factor of the suite's augmentation, which is no key of a suite."""


@dataclass(frozen=True)
class LogUniform:
    """Values whose logarithm is spread evenly between two bounds.

    Raises:
        SuiteError: The lower bound is not positive, or the range is empty.

    Example:
        >>> LogUniform(0.01, 1).at(0.5)
        0.1
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        _check_bounds(self, self.low, self.high)
        if self.low <= 0:
            raise SuiteError(f"{self} begins at {self.low:g}", remedy="begin above 0, or use Uniform")

    def at(self, position: float) -> float:
        """The value at a position in [0, 1), to three significant digits."""
        return _rounded(math.exp(math.log(self.low) + position * math.log(self.high / self.low)), self.low, self.high)


@dataclass(frozen=True)
class Uniform:
    """Values spread evenly between two bounds.

    Raises:
        SuiteError: The range is empty.

    Example:
        >>> Uniform(0, 2).at(0.25)
        0.5
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        _check_bounds(self, self.low, self.high)

    def at(self, position: float) -> float:
        """The value at a position in [0, 1), to three significant digits."""
        return _rounded(self.low + position * (self.high - self.low), self.low, self.high)


@dataclass(frozen=True)
class Choice:
    """One of several values.

    Raises:
        SuiteError: There are fewer than two, or one stands there twice.

    Example:
        >>> Choice(("student", "teacher")).at(0.5)
        'teacher'
    """

    options: tuple[Any, ...]

    def __post_init__(self) -> None:
        if len(self.options) < 2:
            raise SuiteError(f"{self} is an empty range", remedy="give two values or more, or leave the setting out")
        if twice := [value for value in self.options if self.options.count(value) > 1]:
            raise SuiteError(f"{self} names {twice[0]!r} twice", remedy="remove one of them")

    def at(self, position: float) -> Any:
        """The value at a position in [0, 1)."""
        return self.options[int(position * len(self.options))]


Range = LogUniform | Uniform | Choice


def check_ranges(title: str, ranges: Mapping[str, Any]) -> None:
    """Check the ranges that a card declares.

    Raises:
        SuiteError: They are more than three, or one is no range.
    """
    if len(ranges) > MOST:
        raise SuiteError(
            f"the card of {title!r} declares {len(ranges)} tunable settings; expected {MOST} at most",
            remedy="keep those that matter most",
        )
    for name, each in ranges.items():
        if not isinstance(each, Range):
            raise SuiteError(
                f"the range of {name} on the card of {title!r} is {each!r:.60}",
                remedy="write LogUniform(low, high), Uniform(low, high) or Choice((value, value))",
            )


def _check_bounds(given: Range, low: float, high: float) -> None:
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise SuiteError(f"{given} is an empty range", remedy="give the lower bound first, and a higher one")


def _rounded(value: float, low: float, high: float) -> float:
    """Three significant digits are what a reader copies; rounding stays inside the range."""
    return min(max(float(f"{value:.3g}"), low), high)
