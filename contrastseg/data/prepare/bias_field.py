"""N4 bias field correction of MR volumes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_LEVELS, _ITERATIONS, _THRESHOLD = 4, 50, 0.001
_ENOUGH = 8


def correct_bias(image: np.ndarray, spacing: Sequence[float] | None, shrink: int = 1) -> np.ndarray:
    """Divide each channel by its smooth bias field, which N4 estimates (Tustison et al. 2010).

    Levels, iterations and threshold are those of the script that the authors of Chaitanya et al. 2020 released for
    ACDC (krishnabits001/domain_specific_cl, scripts/N4_bias_correction.py).

    Args:
        image: (C, z, y, x), any real type.
        spacing: Of the axes; None for 1.
        shrink: The field is estimated from every n-th voxel of each axis that keeps `_ENOUGH` of them, and applied to
            all. With 1, as the script does, a volume of 10 x 216 x 256 takes minutes.

    Returns:
        (C, z, y, x) float32. A constant channel comes back as it is.
    """
    import SimpleITK

    corrected = np.empty(image.shape, dtype=np.float32)
    # Sums of several threads depend on their number: the same file must give the same bytes everywhere.
    threads = SimpleITK.ProcessObject.GetGlobalDefaultNumberOfThreads()
    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        for index, channel in enumerate(image):
            volume = np.ascontiguousarray(channel, dtype=np.float32)
            corrected[index] = volume if volume.min() == volume.max() else _corrected(volume, spacing, shrink)
    finally:
        SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    return corrected


def _corrected(volume: np.ndarray, spacing: Sequence[float] | None, shrink: int) -> np.ndarray:
    import SimpleITK

    picture = SimpleITK.GetImageFromArray(volume)
    if spacing is not None:
        picture.SetSpacing([float(step) for step in reversed(spacing)])
    n4 = SimpleITK.N4BiasFieldCorrectionImageFilter()
    n4.SetConvergenceThreshold(_THRESHOLD)
    n4.SetMaximumNumberOfIterations([_ITERATIONS] * _LEVELS)
    factors = [min(shrink, max(1, size // _ENOUGH)) for size in picture.GetSize()]
    if max(factors) == 1:
        return np.asarray(SimpleITK.GetArrayFromImage(n4.Execute(picture)), dtype=np.float32)
    n4.Execute(SimpleITK.Shrink(picture, factors))
    field = SimpleITK.GetArrayFromImage(n4.GetLogBiasFieldAsImage(picture))
    return np.asarray(volume / np.exp(field), dtype=np.float32)
