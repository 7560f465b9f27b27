"""Parts of the published layouts' readers: finding pairs of files, masks of photographs, volumes with their label."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from contrastseg.data.faults import Faults
from contrastseg.data.formats import as_label, read_nifti, reading
from contrastseg.data.specs import NativeCase, RawCase
from contrastseg.errors import DataError

THRESHOLD = 127


def by_case(paths: Iterable[Path], name: Callable[[Path], str | None], faults: Faults) -> dict[str, Path]:
    """Files by the case they belong to, sorted; a second file of a case is a fault.

    Args:
        paths: Candidates, in any order.
        name: The case of a file, None for files of another kind.
        faults: Takes what is wrong.
    """
    found: dict[str, Path] = {}
    for path in sorted(paths):
        case = name(path)
        if case is None:
            continue
        if case in found:
            faults.add(f"the case is there twice, also as {found[case]}", case=case, file=path, remedy="keep one")
        found.setdefault(case, path)
    return dict(sorted(found.items()))


def pairs(images: Mapping[str, Path], masks: Mapping[str, Path], faults: Faults) -> dict[str, tuple[Path, Path]]:
    """(image, mask) by case; an image without a mask and a mask without an image are faults."""
    for case in sorted(images.keys() - masks.keys()):
        faults.add("the image has no mask", case=case, file=images[case], remedy="restore the published mask")
    for case in sorted(masks.keys() - images.keys()):
        faults.add("the mask has no image", case=case, file=masks[case], remedy="restore the published image")
    return {case: (images[case], masks[case]) for case in sorted(images.keys() & masks.keys())}


def find(raw: Path, pattern: str, faults: Faults, prefix: str = "") -> dict[str, Path]:
    """Files below a folder by the case they belong to; a second file of a case is a fault.

    Args:
        raw: The folder.
        pattern: Regular expression with the group ``case`` for the end of the path below `raw`, whole names only.
            Resource forks that macOS leaves behind (``._name``) match nothing.
        faults: Takes what is wrong.
        prefix: Completes the group to the case's name.
    """
    expression = re.compile(rf"(?:.*/)?{pattern}")

    def case(path: Path) -> str | None:
        match = expression.fullmatch(path.relative_to(raw).as_posix())
        return f"{prefix}{match['case']}" if match and not path.name.startswith("._") else None

    return by_case(raw.rglob("*"), case, faults)


def volume_pairs(raw: Path, image: str, label: str, faults: Faults, expected: str) -> list[RawCase]:
    """The cases of a layout with one image and one label file a patient, who lends the case the name.

    Args:
        raw: The folder.
        image: Pattern of the images, see `find`.
        label: Pattern of the labels.
        faults: Takes what is wrong.
        expected: An example of a file that should be there.

    Raises:
        DataError: Nothing was found, and no fault says why.
    """
    found = pairs(find(raw, image, faults), find(raw, label, faults), faults)
    require_cases(found, faults, raw, expected)
    return [RawCase(case, case, None, files) for case, files in found.items()]


def load_volume(raw: RawCase, options: Any) -> NativeCase:
    """Read a case whose files are one NIfTI image and one NIfTI label with the values 0..K-1."""
    return read_volume(raw.files[:1], raw.files[1], raw.case)


def require_folder(raw: Path | None, name: str) -> Path:
    """The folder with the published files.

    Raises:
        DataError: It is not there.
    """
    if raw is None or not raw.is_dir():
        raise DataError(f"the folder of {name} is not there", file=raw, remedy=f"see `contrastseg download {name}`")
    return raw


def require_cases(found: Iterable[object], faults: Faults, raw: Path, expected: str) -> None:
    """Check that something was found.

    Raises:
        DataError: Nothing was, and no fault says why; `expected` is an example of a file that should be there.
    """
    if not any(True for _ in found) and not faults.found:
        raise DataError("no case is here", file=raw, remedy=f"the folder should hold {expected}")


def read_binary_mask(path: Path, case: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Read a mask of one structure: 0/1, 0/255, or greys, which are above or below 127.

    Returns:
        uint8 (Y, X) of 0 and 1; a note where values other than the two had to be thresholded (lossy compression,
        interpolation).

    Raises:
        DataError: The file is unreadable, has colours, or 16 bits.
    """
    from PIL import Image

    with reading(path, case), Image.open(path) as image:
        if image.mode not in ("1", "L", "P", "LA"):
            array = np.asarray(image.convert("RGB")) if image.mode in ("RGB", "RGBA") else None
            if array is None or np.ptp(array.astype(int), axis=2).max() > 0:
                raise DataError(
                    f"a mask of mode {image.mode}",
                    case=case,
                    file=path,
                    remedy="store the structure as 255 on 0 in a greyscale image of 8 bits",
                )
            grey = array[..., 0]
        else:
            grey = np.asarray(image.convert("L"))
    values = np.flatnonzero(np.bincount(grey.ravel(), minlength=256))
    if values.max() <= 1:
        return grey.astype(np.uint8), ()
    notes = () if set(values.tolist()) <= {0, 255} else (f"greys in the mask, thresholded at {THRESHOLD}",)
    return (grey > THRESHOLD).astype(np.uint8), notes


def read_volume(
    images: Sequence[Path],
    label: Path | None,
    case: str,
    values: Mapping[int, int] | None = None,
    notes: tuple[str, ...] = (),
    *,
    typos: Mapping[int, int] | None = None,
) -> NativeCase:
    """Read a volume's NIfTI files: one of several channels (4-D), or one a channel.

    Args:
        images: The image, or one file for each channel.
        label: The label map; None where nobody labelled it.
        case: For messages.
        values: Published label values to ours; all others are an error. None leaves values as they are.
        notes: What a reader of the tables should know.
        typos: Label values that are known misprints of published ones; a note says where one was read.

    Raises:
        DataError: A file is unreadable, shapes or affines of the files differ, or a label value is unknown.
    """
    channels, grid = [], None
    for path in images:
        array, spacing, affine = read_nifti(path, case)
        stack = array if array.ndim == 4 else array[None]
        if grid is None:
            grid = (stack.shape[1:], spacing, affine)
        elif stack.shape[1:] != grid[0] or not np.allclose(affine, grid[2], atol=1e-3):
            raise DataError(
                f"the channels' grids differ: {images[0].name} and {path.name}",
                case=case,
                file=path,
                remedy="restore the published files",
            )
        channels.append(stack)
    assert grid is not None, "a volume has at least one image file"
    image = channels[0] if len(channels) == 1 else np.concatenate(channels)
    mapped = None
    if label is not None:
        array, _, label_affine = read_label_volume(label, case)
        for wrong, right in (typos or {}).items():
            if (array == wrong).any():
                array = np.where(array == wrong, array.dtype.type(right), array)
                notes = (*notes, f"label value {wrong} read as {right}")
        mapped = as_label(array, case, label) if values is None else map_values(array, values, case, label)
        same_grid(grid[0], grid[2], mapped.shape, label_affine, case, label)
    return NativeCase(image, mapped, grid[1], "mm" if grid[1] else "voxel", grid[2], notes)


def read_label_volume(path: Path, case: str) -> tuple[np.ndarray, tuple[float, ...] | None, list[list[float]]]:
    """Read a NIfTI label of any whole numbers: array (z, y, x), spacing, affine.

    Raises:
        DataError: The file is unreadable or four-dimensional.
    """
    array, spacing, affine = read_nifti(path, case)
    if array.ndim == 4:
        raise DataError(
            f"a 4-D label of shape {array.shape[::-1]}",
            case=case,
            file=path,
            remedy="give one label map of the image's 3-D grid",
        )
    return array, spacing, affine


def same_grid(
    shape: tuple[int, ...],
    affine: list[list[float]],
    label_shape: tuple[int, ...],
    label_affine: list[list[float]],
    case: str,
    label: Path,
) -> None:
    """Check that a label lies on its image's grid.

    Raises:
        DataError: Shapes or affines differ.
    """
    remedy = "restore the published pair of files"
    if label_shape != shape:
        raise DataError(f"the image has shape {shape}, its label {label_shape}", case=case, file=label, remedy=remedy)
    if not np.allclose(affine, label_affine, atol=1e-3):
        raise DataError("the affines of image and label differ", case=case, file=label, remedy=remedy)


def map_values(label: np.ndarray, values: Mapping[int, int], case: str, path: Path) -> np.ndarray:
    """Published label values (any integers) to ours; the background is 0 in both.

    Raises:
        DataError: A value is not among the published ones.
    """
    known = {0: 0, **values}
    mapped, covered = np.zeros(label.shape, dtype=np.uint8), np.zeros(label.shape, dtype=bool)
    for value, ours in known.items():
        here = label == value
        mapped[here] = ours
        covered |= here
    if not covered.all():
        raise DataError(
            f"label values {np.unique(label[~covered])[:5].tolist()} are none of the published ones: "
            f"{', '.join(map(str, sorted(known)))}",
            case=case,
            file=path,
            remedy="restore the published label",
        )
    return mapped
