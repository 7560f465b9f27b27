"""Miniature ACDC folders in both published layouts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.miniatures._files import save_h5, save_nifti


def blob(shape: tuple[int, int, int], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A random image (z, y, x) with nested boxes of the labels 1 to 3."""
    rng = np.random.default_rng(seed)
    label = np.zeros(shape, dtype=np.uint8)
    for value in (1, 2, 3):
        low = value + rng.integers(0, 2)
        label[1:, low:-low, low:-low] = value
    return (rng.random(shape) + label).astype(np.float32), label


@pytest.fixture
def acdc_nifti(tmp_path: Path) -> Path:
    """Two patients of the training part, one of the testing part, in the official layout."""
    raw = tmp_path / "ACDC"
    for seed, (part, patient, frames) in enumerate(
        [("training", "patient001", (1, 12)), ("training", "patient002", (4, 10)), ("testing", "patient101", (1, 14))]
    ):
        folder = raw / "database" / part / patient
        for phase, frame in enumerate(frames):
            image, label = blob((4 + seed, 20, 16), 10 * seed + phase)
            save_nifti(folder / f"{patient}_frame{frame:02d}.nii.gz", image)
            save_nifti(folder / f"{patient}_frame{frame:02d}_gt.nii.gz", label)
        (folder / "Info.cfg").write_text(f"ED: {frames[0]}\nES: {frames[1]}\nGroup: DCM\nNbFrame: 30\n")
        save_nifti(folder / f"{patient}_4d.nii.gz", np.zeros((2, 2, 2), dtype=np.uint8))
    return raw


@pytest.fixture
def acdc_h5(tmp_path: Path) -> Path:
    """Patient 1 as volumes, patient 2 as numbered slices only (eleven, so that 10 sorts after 9 and not after 1)."""
    raw = tmp_path / "ACDC"
    (raw / "data" / "slices").mkdir(parents=True)
    for frame in (1, 2):
        image, label = blob((5, 20, 16), frame)
        save_h5(raw / "data" / f"patient001_frame{frame:02d}.h5", image, label)
        image, label = blob((11, 20, 16), 100 + frame)
        for number in range(11):
            name = f"patient002_frame{frame:02d}_slice_{number + 1}.h5"
            save_h5(raw / "data" / "slices" / name, image[number], label[number])
    return raw


@pytest.fixture
def pair_of_files(acdc_nifti: Path) -> Callable[[str], Path]:
    """Finds a file of the official layout by its name."""
    return lambda name: next(acdc_nifti.rglob(name))
