"""Generated abdominal volumes: anisotropic, four organs of like texture told apart by their place and shape."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy  # its parts are imported by their first use
from pydantic import Field

from contrastseg.data.faults import Faults
from contrastseg.data.readers.specs import DatasetOptions, DatasetSpec, NativeCase, RawCase

SPACING = (5.0, 1.5, 1.5)
_SUB = 3  # sub-slices of one thick slice, averaged in the image


class OrganOptions(DatasetOptions):
    """Options: number of volumes (one a patient), seed, and in-plane size (rows, columns); 12 to 16 slices."""

    cases: int = Field(30, ge=1, le=10_000)
    seed: int = Field(0, ge=0)
    size: tuple[int, int] = (64, 64)


class _Organ(NamedTuple):
    """An ellipsoid in body coordinates: z, y, x in [-1, 1], where y grows to the back and x to the patient's left."""

    value: int  # its label; 0 is tissue nobody asks for
    centre: tuple[float, float, float]
    half_axes: tuple[float, float, float]
    turn: float  # in plane, radians
    intensity: float
    missing: float  # how often a patient lacks it


# The labelled ones lie within what varies between patients: grey value alone does not tell one from the other.
_ORGANS = (
    _Organ(0, (0.1, -0.45, 0.2), (0.45, 0.2, 0.26), 0.5, 0.50, 0.1),  # stomach
    _Organ(0, (-0.5, -0.3, -0.1), (0.4, 0.18, 0.22), 0.0, 0.48, 0.3),  # bowel
    _Organ(0, (0.0, 0.66, 0.3), (1.6, 0.12, 0.2), 0.2, 0.44, 0.0),  # left back muscle
    _Organ(0, (0.0, 0.66, -0.3), (1.6, 0.12, 0.2), -0.2, 0.44, 0.0),  # right back muscle
    _Organ(1, (0.25, -0.1, -0.45), (0.75, 0.46, 0.38), 0.35, 0.64, 0.0),  # liver
    _Organ(2, (0.4, 0.05, 0.6), (0.75, 0.42, 0.28), 0.4, 0.68, 0.08),  # spleen
    _Organ(3, (-0.45, 0.4, -0.42), (0.75, 0.3, 0.24), -0.5, 0.68, 0.05),  # right kidney
    _Organ(4, (-0.45, 0.4, 0.42), (0.75, 0.3, 0.24), 0.5, 0.68, 0.05),  # left kidney
)


def generated_cases(options: OrganOptions) -> int:
    """How many cases there will be."""
    return options.cases


def discover(raw: Path | None, options: OrganOptions, faults: Faults) -> list[RawCase]:
    """One case a patient."""
    return [
        RawCase(f"organs{number:04d}", f"organs{number:04d}", None, (), {"number": number})
        for number in range(options.cases)
    ]


def load(raw: RawCase, options: OrganOptions) -> NativeCase:
    """Draw one volume; it depends on (seed, number, size) alone."""
    rng = np.random.default_rng([options.seed, raw.details["number"]])
    image, label = draw(rng, (int(rng.integers(12, 17)), *options.size))
    return NativeCase(image[None], label, SPACING, "mm", _affine(rng, label.shape).tolist())


def draw(rng: np.random.Generator, shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Draw one volume.

    Returns:
        float32 image and uint8 label, both (z, y, x).
    """
    fine = (shape[0] * _SUB, *shape[1:])
    coordinates = _body_coordinates(rng, fine)
    inside = np.hypot(coordinates[1] / rng.uniform(0.8, 0.95), coordinates[2])
    tissue = np.where(inside < 1, 0.22, 0.02)  # fat in air
    tissue = np.where(inside < rng.uniform(0.84, 0.92), 0.36, tissue)
    label = np.zeros(fine, dtype=np.uint8)
    spine = np.hypot((coordinates[1] - 0.55) / 0.16, coordinates[2] / 0.14) < 1
    tissue = np.where(spine, 0.85, tissue)
    for organ in _ORGANS:
        present = rng.random() >= organ.missing
        distance = _distance(rng, organ, coordinates)
        if present:
            covered = (distance < 1) & ~spine & (inside < 0.9)
            texture = organ.intensity + rng.normal(0, 0.06)
            tissue = np.where(covered, texture, tissue)
            label[covered] = organ.value
    vessels = (np.hypot(coordinates[1] - 0.3, coordinates[2] - 0.05) < 0.06) | (
        np.hypot(coordinates[1] - 0.28, coordinates[2] + 0.1) < 0.07
    )
    tissue, label = np.where(vessels, 0.75, tissue), np.where(vessels, 0, label)
    tissue = tissue * (1 + 0.05 * scipy.ndimage.gaussian_filter(rng.normal(size=fine), 0.8) * 4)
    thick = tissue.reshape(shape[0], _SUB, *shape[1:]).mean(axis=1)  # partial volume
    bias = np.exp(rng.uniform(0.08, 0.2) * _smooth(rng, shape, shape[1] / 3))
    blurred = scipy.ndimage.gaussian_filter(thick * bias, (0, 0.6, 0.6))
    noise = rng.normal(0, rng.uniform(0.015, 0.04), (2, *shape))
    magnitude = np.hypot(blurred + noise[0], noise[1])  # Rician, as in magnitude MR
    image = magnitude * rng.uniform(300, 900)
    return image.astype(np.float32), np.ascontiguousarray(label[_SUB // 2 :: _SUB]).astype(np.uint8)


def _body_coordinates(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Where each voxel lies in the body: shifted, scaled, turned and bent per patient."""
    axes = [(np.arange(size) + 0.5) / size * 2 - 1 for size in shape]
    coordinates = np.stack(np.meshgrid(*axes, indexing="ij"))
    turn = rng.normal(0, 0.2)
    y, x = coordinates[1].copy(), coordinates[2].copy()
    coordinates[1], coordinates[2] = y * np.cos(turn) - x * np.sin(turn), x * np.cos(turn) + y * np.sin(turn)
    coordinates *= rng.uniform([0.95, 1.05, 0.98], [1.15, 1.25, 1.15])[:, None, None, None]
    coordinates += rng.normal(0, [0.12, 0.1, 0.1])[:, None, None, None]
    for axis, strength in enumerate((0.06, 0.05, 0.05)):
        coordinates[axis] += strength * _smooth(rng, shape, shape[1] / 5)
    return coordinates.astype(np.float32)


def _smooth(rng: np.random.Generator, shape: tuple[int, ...], width: float) -> np.ndarray:
    """A smooth random field of unit deviation: Gaussian bumps about `width` voxels apart (fewer along short axes)."""
    coarse = [max(2, round(size / width) + 1) for size in shape]
    field = rng.normal(size=coarse)
    for axis, (size, bumps) in enumerate(zip(shape, coarse, strict=True)):
        apart = np.subtract.outer(np.linspace(0, bumps - 1, size), np.arange(bumps))
        field = np.moveaxis(np.tensordot(np.exp(-(apart**2) / 0.8), field, axes=(1, axis)), 0, axis)
    field = field - field.mean()
    return np.asarray(field / max(float(field.std()), 1e-9))


def _distance(rng: np.random.Generator, organ: _Organ, coordinates: np.ndarray) -> np.ndarray:
    """Distance from the organ's centre over the border's distance: 1 on the border of an uneven ellipsoid."""
    centre = (np.array(organ.centre) + rng.normal(0, (0.15, 0.08, 0.08))).astype(np.float32)
    half_axes = (np.array(organ.half_axes) * rng.uniform(0.7, 1.3, 3)).astype(np.float32)
    z, y, x = coordinates - centre[:, None, None, None]
    turn = organ.turn + rng.normal(0, 0.35)
    along, across = y * np.cos(turn) + x * np.sin(turn), x * np.cos(turn) - y * np.sin(turn)
    along, across = along / half_axes[1], across / half_axes[2]
    bumps = 0.07 * rng.normal() * np.cos(3 * along + 2 * z + rng.uniform(0, 6))
    bumps += 0.07 * rng.normal() * np.cos(3 * across + rng.uniform(0, 6))
    return np.sqrt((z / half_axes[0]) ** 2 + along**2 + across**2) / (1 + bumps)


def _affine(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """A scanner's affine for (x, y, z): x and y grow to the patient's left and back, slices tilt a little."""
    tilt = rng.normal(0, 0.08)
    rotation = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    affine = np.eye(4)
    affine[:3, :3] = np.diag([-1.0, -1.0, 1.0]) @ rotation @ np.diag(SPACING[::-1])
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape[::-1]) - 1) / 2) + rng.normal(0, 20, 3)
    return affine.astype(np.float32).astype(float)  # what a NIfTI header holds


SPEC = DatasetSpec(
    name="phantom_organs",
    title="Phantom organs",
    modality="generated abdominal volumes",
    spatial_dims=3,
    classes=("background", "liver", "spleen", "right kidney", "left kidney"),
    channels=("mr",),
    native_format="nifti",
    licence="Apache-2.0 (generated by contrastseg)",
    citation="contrastseg",
    discover=discover,
    load=load,
    options=OrganOptions,
    generated_cases=generated_cases,
)
