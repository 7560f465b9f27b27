"""Which predictions a folder should hold and which it does. Nothing heavy: planning calls it for every run."""

from __future__ import annotations

from pathlib import Path

from contrastseg.checkpoint_names import SNAPSHOTS
from contrastseg.errors import ScoringError
from contrastseg.files import OTHER_IMAGES, read_json, wrap_parse_errors

INDEX = "predictions.json"
SNAPSHOT_INDEX = f"{SNAPSHOTS}.json"
"""Lists the snapshots of a run that predicted, each in a folder of its name beside it."""
SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha", ".png", ".bmp", ".tif", ".tiff")
"""What a label map's name may end with."""
# Label maps too, to somebody: left where they are they would be scored by nobody, and nobody would know.
_NO_LABEL_MAPS = (".jpg", ".jpeg", *OTHER_IMAGES)
# The probabilities of a case, which nnU-Net writes beside its label map.
_PROBABILITIES = ".npz"


def expected_predictions(folder: str | Path) -> dict[str, Path] | None:
    """File by case as the folder's `predictions.json` lists them, there or not; None without such an index."""
    folder = Path(folder)
    index = folder / INDEX
    if not index.is_file():
        return None
    with wrap_parse_errors(index, ScoringError, "predict again"):
        cases: dict[str, str] = read_json(index)["cases"]
        if elsewhere := [file for file in cases.values() if file in ("", "..") or Path(file).name != file]:
            raise ValueError(f"{elsewhere[0]!r} is no name of a file")
    return {case: folder / file for case, file in cases.items()}


def predicted_snapshots(folder: str | Path) -> list[str]:
    """The snapshots whose predictions lie in a folder, in the order of training.

    Raises:
        ScoringError: Its `snapshots.json` is missing or damaged.
    """
    index = Path(folder) / SNAPSHOT_INDEX
    if not index.is_file():
        raise ScoringError("predictions by snapshots not found", file=index, remedy="predict with --snapshots")
    with wrap_parse_errors(index, ScoringError, "predict again"):
        return [str(name) for name in read_json(index)["snapshots"]]


def missing_predictions(folder: str | Path) -> list[str]:
    """The cases whose prediction the folder's index names but whose file is gone; empty without an index."""
    expected = expected_predictions(folder) or {}
    return sorted(case for case, file in expected.items() if not file.is_file())


def label_files(folder: str | Path) -> dict[str, Path]:
    """Every label map of a folder by case, the case being the file's name without its suffix.

    A folder that holds the one file it is called after (`x.nii/x.nii`) is that file.

    Probabilities that nnU-Net wrote beside the label map of the same case are passed over, and so are files of other
    kinds, such as JSON.

    Raises:
        ScoringError: Two files are of the same case, a link leads nowhere, or an image is in a format that label maps
            are not read from.
    """
    files: dict[str, Path] = {}
    others: list[Path] = []
    for file in sorted(Path(folder).iterdir()):
        if file.name.startswith("."):
            continue
        case = case_of(file)
        if file.is_dir() and case is not None and (file / file.name).is_file():
            file = file / file.name
        elif case is not None and file.is_symlink() and not file.exists():
            raise ScoringError(
                "the link leads nowhere", case=case, file=file, remedy="restore what it points at, or remove the link"
            )
        if not file.is_file():
            continue
        if case is None:
            others.append(file)
        elif case in files:
            raise ScoringError(
                f"two label maps of one case: {files[case].name} and {file.name}",
                case=case,
                file=file,
                remedy="keep one of them in the folder",
            )
        else:
            files[case] = file
    for file in others:
        beside = file.suffix.lower() == _PROBABILITIES and file.stem in files
        if file.name.lower().endswith(_NO_LABEL_MAPS) and not beside:
            raise ScoringError(
                "an image among the label maps has an unsupported format",
                file=file,
                remedy=f"convert it to one of {', '.join(SUFFIXES)}, or take it out of the folder",
            )
    return files


def case_of(file: str | Path) -> str | None:
    """The name of a label map without its suffix; None where it is no label map's."""
    name = Path(file).name
    suffix = next((suffix for suffix in SUFFIXES if name.lower().endswith(suffix)), None)
    return name[: -len(suffix)] if suffix else None
