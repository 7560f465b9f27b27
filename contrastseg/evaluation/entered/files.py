"""Files of foreign predictions: which belong to which case, and the arrays in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contrastseg.data.files.declared_size import check_declared_size
from contrastseg.data.files.formats import as_label
from contrastseg.data.read_errors import wrap_read_errors
from contrastseg.errors import DataError, EnterError, unknown_name
from contrastseg.evaluation.scoring.label_maps import Grid, read_label_map
from contrastseg.evaluation.scoring.predictions import SUFFIXES, label_files

AUTO = "auto"
FORMATS: dict[str, tuple[str, ...]] = {
    AUTO: SUFFIXES,
    "nifti": (".nii.gz", ".nii"),
    "nrrd": (".nrrd",),
    "mha": (".mha",),
    "png": (".png",),
    "bmp": (".bmp",),
    "tiff": (".tif", ".tiff"),
    "h5": (".h5", ".hdf5"),
    "npz": (".npz", ".npy"),
}
"""Suffixes by the name that `--format` takes. Arrays (h5, npz) are taken for label maps only where they are named."""
ARRAYS = ("h5", "npz")
# What writers call the label map where a file holds several arrays.
_KEYS = ("label", "labels", "prediction", "pred", "seg", "segmentation", "mask", "arr_0")


def prediction_files(folder: Path, kind: str = AUTO) -> dict[str, Path]:
    """Every label map of a folder by case: the file's name without its suffix.

    Files of other kinds (JSON, pickles) are left alone, as are the probabilities that nnU-Net writes beside label maps.

    Args:
        folder: Where they lie.
        kind: One of FORMATS. Other than `auto`, only files of that format are read.

    Raises:
        EnterError: The folder does not exist, the format is unknown, a case is there twice, or nothing is.
        ScoringError: Likewise of `auto`; or an image among the label maps has an unsupported format.
    """
    if kind not in FORMATS:
        raise EnterError(unknown_name("format", kind, list(FORMATS)), remedy="correct --format")
    if not folder.is_dir():
        raise EnterError("folder of predictions not found", file=folder, remedy="correct the path")
    files = _by_suffix(folder, FORMATS[AUTO] if kind == AUTO else FORMATS[kind])
    if files:
        return label_files(folder) if kind == AUTO else files
    arrays = [name for name in ARRAYS if _by_suffix(folder, FORMATS[name])]
    if kind == AUTO and arrays:
        raise EnterError(
            f"found no label maps, but files of format {' and '.join(arrays)}",
            file=folder,
            remedy=f"give --format {arrays[0]} if they hold label maps",
        )
    raise EnterError(
        f"found no label maps, expected files named by case that end with {', '.join(FORMATS[kind])}",
        file=folder,
        remedy="give the folder that the label maps lie in; `contrastseg export-protocol` lists the cases",
    )


def _by_suffix(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        suffix = next((suffix for suffix in suffixes if file.name.lower().endswith(suffix)), None)
        if suffix is None or file.name.startswith("."):
            continue
        case = file.name[: -len(suffix)]
        if case in files:
            raise EnterError(
                f"two label maps of one case: {files[case].name} and {file.name}",
                case=case,
                file=file,
                remedy="keep one of them in the folder, or name a format (--format)",
            )
        files[case] = file
    return files


def read_prediction(path: Path, case: str) -> Grid:
    """A foreign label map as the file has it: uint8 in array order, its spacing and its candidate affines if known.

    Raises:
        DataError: The file is unreadable, or holds no label map.
    """
    name = path.name.lower()
    if name.endswith(FORMATS["h5"]):
        return as_label(_read_h5(path, case), case, path), None, None
    if name.endswith(FORMATS["npz"]):
        return as_label(_read_numpy(path, case), case, path), None, None
    return read_label_map(path, case)


def _read_numpy(path: Path, case: str) -> NDArray:
    with wrap_read_errors(path, case):
        content = np.load(path, allow_pickle=False)
        if isinstance(content, np.ndarray):
            return content
        with content:
            return np.asarray(content[_key(content.files, path, case)])


def _read_h5(path: Path, case: str) -> NDArray:
    import h5py

    with wrap_read_errors(path, case), h5py.File(path) as file:
        arrays = {name: item for name, item in file.items() if isinstance(item, h5py.Dataset)}
        item = arrays[_key(list(arrays), path, case)]
        check_declared_size(item.size * item.dtype.itemsize, item.id.get_storage_size(), path, case)
        return np.asarray(item[()])


def _key(names: list[str], path: Path, case: str) -> str:
    """The array that is the label map: the only one, or the only one of a usual name."""
    usual = names if len(names) == 1 else [name for name in names if name.lower() in _KEYS]
    if len(usual) == 1:
        return usual[0]
    raise DataError(
        f"found the arrays {', '.join(names) or 'none'}, expected one label map",
        case=case,
        file=path,
        remedy="store the label map alone, or under the name `label`",
    )
