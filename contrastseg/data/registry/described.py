"""What a folder of one's own says of itself, kept so that finished results outlive the folder.

Classes, channels and parts are named in the folder alone. Tables, figures and predictions of what was prepared need
them after the folder was deleted.
"""

from __future__ import annotations

import os
from pathlib import Path

from contrastseg.data.registry.nnunet_description import DESCRIPTION
from contrastseg.errors import UnavailableDataError
from contrastseg.files import atomic_path, digest
from contrastseg.paths import RESOURCES


def keep_description(folder: Path, resources: Path = RESOURCES) -> None:
    """Keep the description of a folder and the names of the folders in it; of its images nothing."""
    copy = _copy(folder, resources)
    names = {path.name for path in folder.iterdir() if path.is_dir()}
    for name in names:
        (copy / name).mkdir(parents=True, exist_ok=True)
    for path in copy.iterdir():
        if path.is_dir() and path.name not in names:
            path.rmdir()
    content = (folder / DESCRIPTION).read_bytes()
    if not (copy / DESCRIPTION).is_file() or (copy / DESCRIPTION).read_bytes() != content:
        with atomic_path(copy / DESCRIPTION) as temporary:
            temporary.write_bytes(content)


def kept_description(folder: Path, resources: Path = RESOURCES) -> Path | None:
    """A folder with the description of one that is not there any more; None where none was kept."""
    copy = _copy(folder, resources)
    return copy if (copy / DESCRIPTION).is_file() else None


def missing_folder(folder: Path) -> UnavailableDataError:
    """What to say of a folder that is not there."""
    return UnavailableDataError(
        "the folder is not on this machine",
        file=folder.resolve(),
        remedy="correct the path; a relative one starts at the working directory",
    )


def _copy(folder: Path, resources: Path) -> Path:
    # Under its own name, which lends the data its title where the description has none.
    return (
        resources / "described" / digest(portable_path(folder, resources)) / os.path.basename(os.path.abspath(folder))
    )


def portable_path(folder: Path, resources: Path) -> str:
    """A folder of one's own by its path: within the project, so that the whole may be moved; else on this machine."""
    return path_below(folder, os.path.dirname(os.path.realpath(resources)))


def path_below(folder: Path, base: str) -> str:
    """A folder by its path from `base` where it lies below it, else by its whole path."""
    path = os.path.abspath(folder)
    return os.path.relpath(path, base) if path.startswith(base.rstrip(os.sep) + os.sep) else path
