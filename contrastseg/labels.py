"""What label values mean and what classes may be called, for every room.

The methods read `IGNORE`, and listing them does not wait for NumPy: it is imported where arrays are worked on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from numpy.typing import NDArray

IGNORE: Final = 255
"""The label of pixels that neither train nor score."""
_ROUNDING: Final = 1e-3
"""Of the highest label: files that store scaled integers give labels back with such an error (nibabel's int16)."""
_FRACTION: Final = 0.25
"""However high the labels are: what is farther from a whole number was interpolated, and means nothing."""
RESERVED: Final = {"mean": "the mean over classes", "background": "the label 0"}
"""Names that a class cannot have, and what they stand for in every table."""


def fault_of_names(classes: Sequence[str]) -> str | None:
    """Why these names cannot stand for the labels 0..K-1; None where they can.

    Args:
        classes: Background first, whose name does not matter. Every other class needs a name of its own, which is not
            blank and not reserved.
    """
    names = list(classes)[1:]
    for name in names:
        if not name.strip():
            return "a class has a blank name"
        if name in RESERVED:
            return f"a class is called {name!r}, which stands for {RESERVED[name]} in every table"
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        return f"two classes are called {twice[0]!r}"
    return None


def whole_numbers(array: NDArray) -> NDArray:
    """The labels of an array as integers: booleans as 0 and 1, real numbers rounded where they are nearly whole.

    Args:
        array: Of any shape. A real number may differ from a whole one by a thousandth of the highest label (at least
            0.001, at most 0.25).

    Returns:
        Integers, same shape; an array of integers as it is.

    Raises:
        ValueError: A value is not nearly whole, not finite or beyond 32 bits, or the array holds no numbers.
    """
    import numpy as np

    if array.dtype == bool:
        return array.view(np.uint8)
    if array.dtype.kind in "iu":
        return array
    if array.dtype.kind != "f":
        raise ValueError(f"labels of type {array.dtype}, which are no numbers")
    highest = max(abs(float(array.max(initial=0))), abs(float(array.min(initial=0))))
    if not highest <= np.iinfo(np.int32).max:  # also where it is NaN
        wrong = array[~(np.abs(array) <= np.iinfo(np.int32).max)]
        raise ValueError(f"labels that are no whole numbers of 32 bits: {_few(wrong)}")
    allowed = min(_ROUNDING * max(np.rint(highest), 1.0), _FRACTION)
    whole = np.empty(array.shape, dtype=np.int32)
    # Slice by slice: a volume of real numbers is large enough once.
    for part, target in zip(np.atleast_2d(array), np.atleast_2d(whole), strict=True):
        rounded = np.rint(part)
        far = ~(np.abs(part - rounded) <= allowed)
        if far.any():
            raise ValueError(f"labels that are no whole numbers: {_few(part[far])}")
        target[...] = rounded
    return whole


def _few(values: NDArray) -> str:
    import numpy as np

    return ", ".join(f"{value:g}" for value in np.unique(values)[:5].tolist())
