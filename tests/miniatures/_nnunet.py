"""Data of one's own in nnU-Net's layout: photographs in colour, and volumes of two channels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from tests.miniatures._files import boxes, save_nifti, save_photo, skin


def describe(folder: Path, **changes: Any) -> None:
    """Write ``dataset.json``, or some keys of it anew; None removes a key."""
    path = folder / "dataset.json"
    value = json.loads(path.read_text()) if path.is_file() else {}
    value = {key: item for key, item in {**value, **changes}.items() if item is not None}
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def make_photos(folder: Path, cases: int = 6, tests: int = 0) -> Path:
    """Colour PNG, one file of three channels; a mole and a spot of voxels to ignore."""
    describe(
        folder,
        channel_names={"0": "R", "1": "G", "2": "B"},
        labels={"background": 0, "mole": 1, "ignore": 2},
        numTraining=cases,
        file_ending=".png",
    )
    for number in range(cases + tests):
        part = "Tr" if number < cases else "Ts"
        picture, mask = skin((40, 48), number)
        label = (mask > 0).astype(np.uint8)
        label[:2, :2] = 2
        save_photo(folder / f"images{part}" / f"mole_{number:02d}_0000.png", picture)
        save_photo(folder / f"labels{part}" / f"mole_{number:02d}.png", label)
    return folder


def make_volumes(folder: Path, cases: int = 6, ending: str = ".nii.gz") -> Path:
    """Two channels of MR, one file each, and two structures."""
    describe(
        folder,
        channel_names={"0": "T2", "1": "ADC"},
        labels={"background": 0, "core": 1, "rim": 2},
        numTraining=cases,
        file_ending=ending,
    )
    for number in range(cases):
        image, label = boxes((5, 32, 36), number, values=(1, 2), channels=2)
        for channel, array in enumerate(image):
            save_nifti(folder / "imagesTr" / f"scan{number}_{channel:04d}{ending}", array * 100)
        save_nifti(folder / "labelsTr" / f"scan{number}{ending}", label.astype(np.uint8))
    return folder
