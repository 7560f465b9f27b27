"""The layout of the Medical Segmentation Decathlon in small."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tests.miniatures import Miniature
from tests.miniatures._files import boxes, save_nifti

NUMBERS = (1, 4, 7, 14, 17, 120)


def miniature(prefix: str, values: Sequence[int], channels: int | None = None, dtypes: str = "f") -> Miniature:
    """Six cases; files of macOS beside them and a test image without a label, as in the archives."""
    cases = tuple(f"{prefix}{number:03d}" for number in NUMBERS)
    return Miniature(
        make=functools.partial(_make, cases=cases, values=values, channels=channels, dtypes=dtypes),
        cases=cases,
        victim=cases[1],
        image=f"imagesTr/{cases[1]}.nii.gz",
        mask=f"labelsTr/{cases[1]}.nii.gz",
        duplicate=f"imagesTr/{cases[1]}.nii",
        split={"folds": 3},
    )


def _make(raw: Path, cases: Sequence[str], values: Sequence[int], channels: int | None, dtypes: str) -> None:
    for seed, case in enumerate(cases):
        image, label = boxes((5 + seed % 3, 18, 21), seed, values, channels)
        dtype = np.dtype(dtypes[seed % len(dtypes)])
        save_nifti(raw / "imagesTr" / f"{case}.nii.gz", (image * 20).astype(dtype))
        save_nifti(raw / "labelsTr" / f"{case}.nii.gz", label.astype(np.uint8))
        for part in ("imagesTr", "labelsTr"):
            (raw / part / f"._{case}.nii.gz").write_bytes(b"\x00\x05\x16\x07 resource fork")
    save_nifti(raw / "imagesTs" / "unlabelled_002.nii.gz", np.zeros((2, 2, 2), dtype=np.uint8))
    (raw / "dataset.json").write_text('{"tensorImageSize": "3D"}\n')
