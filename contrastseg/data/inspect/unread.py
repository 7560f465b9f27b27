"""Names what lies in a folder of data and is not read, each entry with its reason; hidden files aside."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from contrastseg.data.faults import Faults
from contrastseg.data.inspect.dataset_warnings import DatasetWarning
from contrastseg.data.readers.specs import RawCase
from contrastseg.data.registry.nnunet import PATIENTS
from contrastseg.data.registry.nnunet_description import DESCRIPTION

_NO_CASE = "no case is read from it"
_LINK = "a link that leads nowhere"
_LINKED_FOLDER = "a link to a folder, which is not looked into"
_EMPTY = "an empty folder"


def warnings_of(folder: Path, cases: Iterable[RawCase], faults: Faults) -> list[DatasetWarning]:
    """One warning for each reason, with the entries it is about, relative to the folder.

    Args:
        folder: The folder that was looked through.
        cases: What was found in it.
        faults: What is wrong, and what was passed over with a reason. Entries with a fault are named by that.
    """
    used = {folder / DESCRIPTION, folder / PATIENTS, *(path for case in cases for path in case.files)}
    used |= {fault.file for fault in faults.found if fault.file is not None}
    parents = {parent for path in used for parent in path.parents}
    reasons: dict[str, list[str]] = {}

    def note(path: Path, reason: str) -> None:
        reasons.setdefault(reason, []).append(path.relative_to(folder).as_posix())

    for inner, folders, files in os.walk(folder):
        here = Path(inner)
        for name in sorted(folders):
            path = here / name
            if name.startswith("."):
                folders.remove(name)
            elif path in faults.passed_over:
                note(path, faults.passed_over[path])
                folders.remove(name)
            elif path in used:
                folders.remove(name)
            elif path.is_symlink() and path not in parents:
                note(path, _LINKED_FOLDER)
            elif path not in parents and not any(path.iterdir()):
                note(path, _EMPTY)
        folders.sort()
        for name in sorted(files):
            path = here / name
            if not name.startswith(".") and path not in used:
                lost = path.is_symlink() and not path.exists()
                note(path, _LINK if lost else faults.passed_over.get(path, _NO_CASE))
    noted = {name for names in reasons.values() for name in names}
    for path, reason in faults.passed_over.items():  # in folders that are links themselves
        if path not in used and path.relative_to(folder).as_posix() not in noted:
            note(path, reason)
    return [
        DatasetWarning("not read", f"{len(names)} {'entry' if len(names) == 1 else 'entries'}: {reason}", tuple(names))
        for reason, names in sorted(reasons.items())
    ]
