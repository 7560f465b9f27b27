"""What reads images, each with a small valid file and what it should give."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from contrastseg.data.files import dicom, formats, itk
from tests.fuzz.worker import Target
from tests.miniatures import _files

_RNG = np.random.default_rng(0)
VOLUME = _RNG.integers(-100, 100, (4, 5, 6)).astype(np.int16)
LABEL = (VOLUME > 0).astype(np.uint8)
PHOTO = _RNG.integers(0, 255, (9, 7, 3)).astype(np.uint8)
LARGEST = 1 << 28


def _array(dims: tuple[int, ...], kinds: str = "biuf") -> Callable[[Any], bool]:
    def is_one(array: Any) -> bool:
        return array.ndim in dims and array.dtype.kind in kinds and array.nbytes < LARGEST

    return is_one


_volume = _array((2, 3, 4))
_photo = _array((3,), "u")
_label = _array((2, 3), "u")


def _first(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda answer: check(answer[0])


def _nifti_in_bytes(array: np.ndarray) -> bytes:
    import nibabel

    return nibabel.Nifti1Image(array.transpose(), _files.AFFINE).to_bytes()


def _nifti(name: str, array: np.ndarray, read: Callable[[Path], Any], plausible: Any, compressed: str = "") -> Target:
    """`compressed`: the damage comes before (`inside`) or after (`outside`) the compression."""
    file = "image.nii.gz" if compressed else "image.nii"
    content = _nifti_in_bytes(array)
    seed = gzip.compress(content, mtime=0) if compressed == "outside" else content
    wrap: Callable[[bytes], bytes] = (lambda data: gzip.compress(data, 1)) if compressed == "inside" else bytes
    return Target(
        name,
        file,
        lambda folder: (folder / file).write_bytes(seed),
        lambda folder: read(folder / file),
        plausible,
        wrap=wrap,
    )


def _saved(name: str, file: str, save: Callable[[Path], object], read: Callable[[Path], Any], plausible: Any) -> Target:
    return Target(name, file, lambda folder: save(folder / file), lambda folder: read(folder / file), plausible)


def _photo_target(suffix: str) -> Target:
    file = f"photo{suffix}"
    return _saved(f"read_photo {suffix}", file, lambda path: _files.save_photo(path, PHOTO), formats.read_photo, _photo)


def _slices(folder: Path) -> None:
    for index in range(2):
        _files.save_slice(folder / f"{index}.dcm", VOLUME[index], (0, 0, 2.5 * index))


def _compressed_h5(path: Path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        file.create_dataset("image", data=VOLUME.astype(np.float32), compression="gzip", chunks=(2, 5, 6))
        file.create_dataset("label", data=LABEL, compression="gzip", chunks=(2, 5, 6))


def _npy(folder: Path) -> bytes:
    stream = io.BytesIO()
    np.save(stream, VOLUME)
    return stream.getvalue()


TARGETS = [
    _nifti("read_nifti .nii", VOLUME, formats.read_nifti, _first(_volume)),
    _nifti("read_nifti inside .nii.gz", VOLUME, formats.read_nifti, _first(_volume), "inside"),
    _nifti("read_nifti .nii.gz", VOLUME, formats.read_nifti, _first(_volume), "outside"),
    _nifti("read_label .nii", LABEL, formats.read_label, _first(_label)),
    _nifti("read_image .nii", VOLUME, formats.read_image, _first(_array((3, 4)))),
    _saved("read_itk .nrrd", "i.nrrd", lambda path: _files.save_nrrd(path, VOLUME), itk.read_itk, _first(_array((3,)))),
    _saved("read_itk .mha", "i.mha", lambda path: _files.save_nrrd(path, VOLUME), itk.read_itk, _first(_array((3,)))),
    _saved(
        "read_h5",
        "a.h5",
        lambda path: _files.save_h5(path, VOLUME.astype(np.float32), LABEL),
        formats.read_h5,
        lambda answer: all(array.dtype.kind in "biuf" and array.nbytes < LARGEST for array in answer),
    ),
    _saved(
        "read_h5 compressed",
        "a.h5",
        _compressed_h5,
        formats.read_h5,
        lambda answer: all(array.dtype.kind in "biuf" and array.nbytes < LARGEST for array in answer),
    ),
    *(_photo_target(suffix) for suffix in (".png", ".bmp", ".jpg")),
    _saved(
        "read_label .png",
        "mask.png",
        lambda path: _files.save_photo(path, LABEL[0]),
        formats.read_label,
        _first(_array((2,), "u")),
    ),
    Target(
        "read_series",
        "0.dcm",
        _slices,
        lambda folder: dicom.read_series(sorted(folder.glob("*.dcm"))),
        lambda series: _array((3,))(series.array),
    ),
]
