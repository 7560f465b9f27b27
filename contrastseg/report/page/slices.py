"""Volumes for the page's slider: a few slices of each case that the overlays show, as small pictures in one file."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from scipy import ndimage

from contrastseg.files import write_json
from contrastseg.labels import IGNORE
from contrastseg.report.figures.overlay_cases import Volume, find_cases
from contrastseg.report.figures.overlays import error_colours, window
from contrastseg.report.settings import FigureSettings

SUFFIX = ".slices.json"
SIDE = 200  # pixels of a picture's longer side
COUNTS = (11, 7, 5, 3)  # slices of a volume; fewer where the file would grow beyond LIMIT
LIMIT = 6 * 2**20  # bytes of one figure's pictures
QUALITY = 80  # of the JPEG; the contour stays sharp without chroma subsampling


def make_slices(
    scores: pd.DataFrame,
    settings: Iterable[FigureSettings],
    folder: str | Path,
    *,
    prepared: Mapping[str, str | Path],
    run_folders: Mapping[str, str | Path],
    keep: bool = False,
    limit: int = LIMIT,
) -> list[Path]:
    """Write `<name>.slices.json` of every figure of kind `overlays`; photographs have no slices and are left out.

    Args:
        scores: The collected scores.
        settings: The figures of the suite; other kinds are passed over.
        folder: Where the files go.
        prepared: Folder of the prepared data set by entry.
        run_folders: Folder of each run by `run_keys.run_key`.
        keep: Leave a file as it is where nothing is here to cut.
        limit: Bytes of the pictures of one figure, at most.

    Returns:
        The files written.
    """
    written = []
    for figure in settings:
        if figure.kind != "overlays":
            continue
        cases = list(find_cases(scores, figure, prepared=prepared, run_folders=run_folders))
        if keep and not cases:
            continue
        stacks = []
        for picked in cases:
            volume = picked.volume()
            if not volume.flat:
                about = picked.axes | {"metric": figure.metric, "score": float(picked.row["value"])}
                stacks.append(about | {"of": len(volume.reference), "slices": cut(volume)})
        path = Path(folder) / f"{figure.name}{SUFFIX}"
        write_json(path, fit(stacks, limit))
        written.append(path)
    return written


def fit(stacks: Sequence[Mapping[str, Any]], limit: int) -> dict[str, Any]:
    """As many slices of each volume as the limit allows, down to three; then volumes are left out, and counted."""
    thinned: list[dict[str, Any]] = []
    for count in COUNTS:
        thinned = [{**stack, "slices": _thin(stack["slices"], count)} for stack in stacks]
        if sum(map(_bytes, thinned)) <= limit:
            break
    sizes = np.cumsum([_bytes(stack) for stack in thinned])
    kept = int((sizes <= limit).sum())
    return {"volumes": thinned[:kept], "left_out": len(thinned) - kept}


def _bytes(stack: Mapping[str, Any]) -> int:
    return sum(len(picture["image"]) for picture in stack["slices"])


def _thin(slices: Sequence[Mapping[str, Any]], count: int) -> list[Mapping[str, Any]]:
    """`count` of the slices, the main one among them, spread over all."""
    main = next(index for index, picture in enumerate(slices) if picture["main"])
    return [slices[index] for index in spread(0, len(slices) - 1, main, count)]


def spread(low: int, high: int, main: int, count: int) -> list[int]:
    """At most `count` whole numbers from `low` to `high`, evenly spread, of which the nearest to `main` is `main`."""
    places = np.unique(np.linspace(low, high, min(count, high - low + 1)).round().astype(int))
    places[np.abs(places - main).argmin()] = main
    return [int(place) for place in np.unique(places)]


def cut(volume: Volume, count: int = COUNTS[0]) -> list[dict[str, Any]]:
    """Slices from the first to the last that holds reference or prediction, all cropped alike."""
    structures = ((volume.reference > 0) & (volume.reference != IGNORE)) | (volume.prediction > 0)
    held = np.flatnonzero(structures.any(axis=(1, 2)))
    low, high = (int(held[0]), int(held[-1])) if len(held) else (volume.largest, volume.largest)
    rows, columns = window(structures.any(axis=0), volume.aspect)
    return [
        {
            "at": at + 1,
            "main": at == volume.largest,
            "image": _encode(
                volume.picture(at)[rows, columns],
                volume.reference[at, rows, columns],
                volume.prediction[at, rows, columns],
                volume.aspect,
            ),
        }
        for at in spread(low, high, volume.largest, count)
    ]


def _encode(picture: np.ndarray, reference: np.ndarray, prediction: np.ndarray, aspect: float) -> str:
    """A JPEG as a data address: the image, what is right and wrong in colour, the reference's outline."""
    height, width = picture.shape[0] * aspect, float(picture.shape[1])
    scale = SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    grey = Image.fromarray((255 * picture).round().astype(np.uint8)).convert("RGB")
    canvas = np.asarray(grey.resize(size, Image.Resampling.BILINEAR), dtype=np.float32) / 255
    labels, predicted = (
        np.asarray(Image.fromarray(np.ascontiguousarray(mask)).resize(size, Image.Resampling.NEAREST))
        for mask in (reference, prediction)
    )
    colours = error_colours(labels, predicted)
    canvas = canvas * (1 - colours[..., 3:]) + colours[..., :3] * colours[..., 3:]
    classes = np.where(labels == IGNORE, 0, labels)
    edge = ndimage.grey_dilation(classes, (3, 3)) != ndimage.grey_erosion(classes, (3, 3))
    canvas[edge & (classes > 0)] = 1.0
    canvas[edge & (classes == 0)] *= 0.4
    stream = io.BytesIO()
    Image.fromarray((255 * canvas).round().astype(np.uint8)).save(
        stream, "JPEG", quality=QUALITY, subsampling=0, optimize=True
    )
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
