"""Generated photographs of skin lesions: irregular blurred borders, hairs, dark rims, and things that are no lesion."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy  # its parts are imported by their first use
from pydantic import Field

from contrastseg.data.faults import Faults
from contrastseg.data.readers.specs import DatasetOptions, DatasetSpec, NativeCase, RawCase

_SKINS = np.array([[234, 196, 172], [222, 170, 140], [205, 150, 122], [176, 120, 92], [240, 208, 196]], dtype=float)
# Looks differ so much that a few labelled images do not show them all: brown, red, pale, blue-grey, black.
_LESIONS = np.array([[112, 70, 48], [186, 84, 80], [214, 176, 150], [104, 100, 116], [62, 44, 40]], dtype=float)
_INK = np.array([88, 62, 150], dtype=float)


class LesionOptions(DatasetOptions):
    """Options: number of images (one a patient), seed, and size (rows, columns)."""

    cases: int = Field(60, ge=1, le=10_000)
    seed: int = Field(0, ge=0)
    size: tuple[int, int] = (96, 128)


def generated_cases(options: LesionOptions) -> int:
    """How many cases there will be."""
    return options.cases


def discover(raw: Path | None, options: LesionOptions, faults: Faults) -> list[RawCase]:
    """One case a patient."""
    return [
        RawCase(f"lesion{number:04d}", f"lesion{number:04d}", None, (), {"number": number})
        for number in range(options.cases)
    ]


def load(raw: RawCase, options: LesionOptions) -> NativeCase:
    """Draw one image; it depends on (seed, number, size) alone."""
    image, label = draw(np.random.default_rng([options.seed, raw.details["number"]]), options.size)
    return NativeCase(image, label, None, "pixel")


def draw(rng: np.random.Generator, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Draw one photograph.

    Returns:
        uint8 image (3, rows, columns), uint8 label (rows, columns).
    """
    rows, columns = size
    scale = min(size)
    grid = np.stack(np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")).astype(float)
    skin = _SKINS[rng.integers(len(_SKINS))] * rng.uniform(0.85, 1.05) + rng.normal(0, 6, 3)
    picture = skin[:, None, None] + 9 * _smooth(rng, size, scale / 5) + 5 * _smooth(rng, size, scale / 30)
    for _ in range(rng.integers(1, 5)):
        picture = _spot(rng, picture, grid, scale)
    picture, label = _lesion(rng, picture, grid, scale)
    if rng.random() < 0.25:
        picture = _ink(rng, picture, grid, scale)
    if rng.random() < 0.6:
        picture = _hairs(rng, picture, size)
    picture = _light(rng, picture, grid)
    picture = picture + rng.normal(0, rng.uniform(2, 6), picture.shape)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8), label


def _smooth(rng: np.random.Generator, size: tuple[int, int], width: float) -> np.ndarray:
    field = scipy.ndimage.gaussian_filter(rng.normal(size=size), width, mode="reflect")
    return field / max(float(field.std()), 1e-9)


def _radius(rng: np.random.Generator, grid: np.ndarray, centre: np.ndarray, mean: float, rough: float) -> np.ndarray:
    """Distance from the centre over the border's distance in that direction: 1 on an irregular closed border."""
    offset = grid - centre[:, None, None]
    turn, stretch = rng.uniform(0, np.pi), rng.uniform(0.65, 1.0)
    along = offset[0] * np.cos(turn) + offset[1] * np.sin(turn)
    across = (offset[1] * np.cos(turn) - offset[0] * np.sin(turn)) / stretch
    angle = np.arctan2(across, along)
    border = np.full(angle.shape, mean)
    for wave in range(2, 8):
        border *= 1 + rough / wave * rng.normal() * np.cos(wave * angle + rng.uniform(0, 2 * np.pi))
    return np.hypot(along, across) / np.maximum(border, 1.0)


def _lesion(
    rng: np.random.Generator, picture: np.ndarray, grid: np.ndarray, scale: int
) -> tuple[np.ndarray, np.ndarray]:
    shape = np.array(picture.shape[1:])
    centre = shape * rng.uniform(0.3, 0.7, 2)
    radius = _radius(rng, grid, centre, scale * rng.uniform(0.14, 0.34), rng.uniform(0.1, 0.4))
    colour = _LESIONS[rng.integers(len(_LESIONS))] + rng.normal(0, 8, 3)
    softness = rng.uniform(0.04, 0.16)
    weight = rng.uniform(0.55, 0.95) / (1 + np.exp((radius - 1) / softness))
    mottled = colour[:, None, None] + rng.uniform(6, 18) * _smooth(rng, picture.shape[1:], scale / 18)
    if rng.random() < 0.5:  # a second colour in a part of it
        part = scipy.ndimage.gaussian_filter((_smooth(rng, picture.shape[1:], scale / 8) > 0.4).astype(float), 1.5)
        other = _LESIONS[rng.integers(len(_LESIONS))]
        mottled = mottled + (other[:, None, None] - mottled) * 0.7 * part
    return picture + (mottled - picture) * weight, (radius < 1).astype(np.uint8)


def _spot(rng: np.random.Generator, picture: np.ndarray, grid: np.ndarray, scale: int) -> np.ndarray:
    """A mole, freckle or flush off the middle: coloured like a lesion, but small or without a border, and no lesion."""
    shape = np.array(picture.shape[1:])
    centre = shape * np.where(rng.random(2) < 0.5, rng.uniform(0.04, 0.2, 2), rng.uniform(0.8, 0.96, 2))
    flush = rng.random() < 0.4
    size, softness = (rng.uniform(0.1, 0.2), 0.5) if flush else (rng.uniform(0.02, 0.05), 0.15)
    radius = _radius(rng, grid, centre, scale * size, 0.2)
    colour = _LESIONS[1] if flush else _LESIONS[rng.integers(len(_LESIONS))]
    weight = rng.uniform(0.3, 0.8) / (1 + np.exp(np.minimum((radius - 1) / softness, 50)))
    return picture + (colour[:, None, None] - picture) * weight


def _ink(rng: np.random.Generator, picture: np.ndarray, grid: np.ndarray, scale: int) -> np.ndarray:
    """A surgeon's pen stroke near one border."""
    turn, offset = rng.uniform(0, np.pi), scale * rng.uniform(0.36, 0.46) * rng.choice([-1, 1])
    middle = np.array(picture.shape[1:])[:, None, None] / 2
    across = (grid - middle)[0] * np.cos(turn) + (grid - middle)[1] * np.sin(turn) - offset
    weight = 0.7 * np.exp(-((across / (0.03 * scale)) ** 4))
    return picture + (_INK[:, None, None] - picture) * weight


def _hairs(rng: np.random.Generator, picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    rows, columns = size
    mask = np.zeros(size)
    along = np.linspace(0, 1, 4 * max(size))[:, None]
    for _ in range(rng.integers(3, 16)):
        start, bend, end = rng.uniform(-0.1, 1.1, (3, 2)) * size
        line = (1 - along) ** 2 * start + 2 * along * (1 - along) * (0.3 * bend + 0.35 * (start + end)) + along**2 * end
        places = np.rint(line).astype(int)
        inside = ((places >= 0) & (places < (rows, columns))).all(axis=1)
        mask[tuple(places[inside].T)] = 1
    weight = np.clip(scipy.ndimage.gaussian_filter(mask, 0.5) * 1.6, 0, 1) * rng.uniform(0.5, 0.9)
    return picture + (np.array([44.0, 32, 28])[:, None, None] - picture) * weight


def _light(rng: np.random.Generator, picture: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """A slope of light, and in some photographs the dark rim of the dermatoscope."""
    relative = grid / np.array(picture.shape[1:])[:, None, None] - 0.5
    slope = rng.normal(0, 0.15, 2)
    shade = 1 + np.tensordot(slope, relative, axes=1)
    if rng.random() < 0.5:
        rim = (np.hypot(*relative) - rng.uniform(0.52, 0.66)) / rng.uniform(0.02, 0.08)
        shade = shade * (1 - 0.9 / (1 + np.exp(-np.clip(rim, -50, 50))))
    return picture * shade


SPEC = DatasetSpec(
    name="phantom_lesions",
    title="Phantom lesions",
    modality="generated photographs of skin",
    spatial_dims=2,
    classes=("background", "lesion"),
    channels=("red", "green", "blue"),
    native_format="png",
    licence="Apache-2.0 (generated by contrastseg)",
    citation="contrastseg",
    discover=discover,
    load=load,
    options=LesionOptions,
    generated_cases=generated_cases,
)
