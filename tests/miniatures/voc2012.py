"""VOC 2012 as published: lists, palette PNGs with a border to ignore, photographs without masks, SBD's labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from tests.miniatures import Miniature
from tests.miniatures._files import save_photo, skin

TRAIN = ("2007_000032", "2007_000039", "2007_000063")
VAL = ("2007_000033", "2007_000042")
AUGMENTED = ("2008_000002", "2008_000003")
BASE = "VOCdevkit/VOC2012"


def stripes(shape: tuple[int, int], seed: int) -> np.ndarray:
    """Four or five of the classes, so that five images hold all of them, each with a border of 255."""
    label = np.zeros(shape, dtype=np.uint8)
    for place, value in enumerate(range(4 * seed % 20 + 1, 4 * seed % 20 + 5)):
        top = place * (shape[0] // 4)
        label[top : top + 7, 3:-3] = 255
        label[top + 1 : top + 6, 4:-4] = value
    return label


def save_indices(path: Path, label: np.ndarray) -> None:
    """Save as a palette PNG whose colours are nothing like the indices."""
    image = Image.fromarray(label)
    image.putpalette([(index * 37 + channel * 91) % 256 for index in range(256) for channel in range(3)])
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def make(raw: Path) -> None:
    """Three images of train, two of val, two that only SBD labels, one that nobody labels."""
    base = raw / BASE
    for seed, case in enumerate((*TRAIN, *VAL, *AUGMENTED, "2012_000001")):
        shape = (32, 40 + seed)
        save_photo(base / "JPEGImages" / f"{case}.jpg", skin(shape, seed)[0])
        label = stripes(shape, seed)
        if case in TRAIN + VAL:
            save_indices(base / "SegmentationClass" / f"{case}.png", label)
            save_indices(base / "SegmentationObject" / f"{case}.png", label)
        if case in TRAIN + VAL + AUGMENTED:
            save_photo(base / "SegmentationClassAug" / f"{case}.png", np.where(label == 255, 0, label))
    lists = base / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    named = {"train": TRAIN, "val": VAL, "trainval": sorted(TRAIN + VAL), "trainaug": TRAIN + AUGMENTED}
    for name, cases in named.items():
        (lists / f"{name}.txt").write_text("\n".join(cases) + "\n")
    (base / "ImageSets" / "Main").mkdir()
    (base / "ImageSets" / "Main" / "train.txt").write_text("2012_000001\n")


MINIATURE = Miniature(
    make=make,
    cases=TRAIN + VAL,
    victim=TRAIN[1],
    image=f"{BASE}/JPEGImages/{TRAIN[1]}.jpg",
    mask=f"{BASE}/SegmentationClass/{TRAIN[1]}.png",
    duplicate=f"{BASE}/JPEGImages/{TRAIN[1]}.png",
    split={"name": "official"},
)
