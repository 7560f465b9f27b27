"""Which files of a folder in nnU-Net's layout make a case, and why an entry makes none."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from contrastseg.data.faults import Faults
from contrastseg.data.files.formats import PHOTO_SUFFIXES
from contrastseg.data.files.tiff import TIFF_SUFFIXES
from contrastseg.data.registry.nnunet_description import VOLUMES, Description
from contrastseg.files import OTHER_IMAGES

UNLABELLED = "imagesUn"
_PHOTOS = (*PHOTO_SUFFIXES, *TIFF_SUFFIXES)
_IMAGES = (*VOLUMES, *_PHOTOS, *OTHER_IMAGES)
_NUMBERED = re.compile(r"(.+)_(\d{4})")
_SLICER = ".seg.nrrd"
_WHOLE = -1  # one file of all channels


@dataclasses.dataclass(frozen=True)
class CaseFiles:
    """The files of a case.

    Attributes:
        channels: One file a channel in order, or one file of all.
        label: None for an image without a label.
    """

    channels: tuple[Path, ...]
    label: Path | None


def labelled_part(
    images: Path, labels: Path, described: Description, faults: Faults, *, bare: bool
) -> tuple[dict[str, CaseFiles], bool]:
    """The cases of a folder of images and its folder of labels.

    Args:
        images: The folder of images.
        labels: The folder of labels.
        described: The data set's description.
        faults: Takes what is wrong.
        bare: Whether an image may be without a label.

    Returns:
        The cases by name, and whether each image is one file of all channels, as the Medical Decathlon has them.
    """
    masks = listed(labels, label_endings(described), faults)
    files = listed(images, (described.ending,), faults)
    bases = {match[1] for stem in files if (match := _NUMBERED.fullmatch(stem))}
    whole = bool(masks.keys() & files.keys()) and not masks.keys() & bases
    channels = _by_case(files, masks.keys(), whole)
    without = sorted(channels.keys() - masks.keys())
    for case in without if not bare else ():
        faults.add(
            "the image has no label",
            case=case,
            file=min(channels[case].items())[1],
            remedy=f"add {labels.name}/{case}{described.ending}, or take the image out of {images.name}; training may "
            f"use it from the folder {UNLABELLED}, unless the suite says `unlabelled: require_labels`",
        )
    for case in sorted(masks.keys() - channels.keys()):
        near = difflib.get_close_matches(case, without, 1)
        meant = f"; the image {near[0]} has no label: rename one if they belong together" if near else ""
        faults.add(
            "the label has no image",
            case=case,
            file=masks[case],
            remedy=f"add {images.name}/{case}_0000{described.ending}, or remove the label{meant}",
        )
    kept = {case: files for case, files in channels.items() if case in masks or bare}
    complete = _complete(kept, described, faults)
    return {case: CaseFiles(files, masks.get(case)) for case, files in complete.items()}, whole


def unlabelled_part(folder: Path, described: Description, faults: Faults, *, whole: bool) -> dict[str, CaseFiles]:
    """The cases of a folder of images without labels; `whole` as `labelled_part` returns it."""
    channels = _by_case(listed(folder, (described.ending,), faults), (), whole)
    return {case: CaseFiles(files, None) for case, files in _complete(channels, described, faults).items()}


def label_endings(described: Description) -> tuple[str, ...]:
    """What labels may end with: what images do, and PNG beside photographs, since JPEG spoils label values."""
    return (described.ending, ".png") if described.ending in _PHOTOS else (described.ending,)


def named_by_files(folder: Path, described: Description) -> set[str]:
    """The names of cases that any file of the layout's folders may belong to, read or not."""
    names: set[str] = set()
    for part in ("imagesTr", UNLABELLED, "imagesTs", "labelsTr", "labelsTs"):
        for path in (folder / part).iterdir() if (folder / part).is_dir() else ():
            name = path.name.lower()
            ending = next(
                (end for end in (described.ending, *sorted(_IMAGES, key=len)[::-1]) if name.endswith(end)), ""
            )
            stem = path.name[: len(name) - len(ending)]
            numbered = _NUMBERED.fullmatch(stem)
            names |= {stem, numbered[1]} if numbered else {stem}
    return names


def listed(folder: Path, endings: tuple[str, ...], faults: Faults) -> dict[str, Path]:
    """The files of a folder that end as they should, by name without the ending; sorted.

    Upper and lower case of the ending are the same. A folder that holds the one file it is called after stands for it.
    What cannot be an image is noted as passed over. An image or label that would be lost is a fault: one of another
    ending, a link that leads nowhere, a folder with images in it, a second file of the same name.
    """
    if not folder.is_dir():
        faults.add(
            "the folder does not exist",
            file=folder,
            remedy=f"make it: {folder.name} belongs to nnU-Net's layout, and may be empty",
        )
        return {}
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        ending = next((ending for ending in endings if path.name.lower().endswith(ending)), None)
        file = _inside(path) if path.is_dir() else path
        if file is None:
            _note_folder(path, faults)
        elif path.is_symlink() and not path.exists():
            faults.add("the link leads nowhere", file=path, remedy="restore what it points at, or remove the link")
        elif not file.is_file():
            faults.add("this is no plain file", file=path, remedy="put the image itself here, or remove the entry")
        elif path.name.lower().endswith(_SLICER):
            _note_slicer(path, endings[0], faults)
        elif ending is None:
            _note_ending(path, endings, faults)
        elif (stem := path.name[: -len(ending)]) in files:
            faults.add(
                f"two files of one name: {files[stem].name} and {path.name}", case=stem, file=path, remedy="keep one"
            )
        else:
            files[stem] = file
    return files


def _inside(folder: Path) -> Path | None:
    """The file of a folder that is called like it, when it is the only one: how some archives are unpacked."""
    inside = [path for path in folder.iterdir() if not path.name.startswith(".")]
    return inside[0] if len(inside) == 1 and inside[0].name == folder.name and inside[0].is_file() else None


def _note_folder(folder: Path, faults: Faults) -> None:
    images = [path for path in sorted(folder.rglob("*")) if path.name.lower().endswith(_IMAGES) and not path.is_dir()]
    if images:
        faults.add(
            f"a folder inside {folder.parent.name} is not read, and it holds {len(images)} images or labels",
            file=folder,
            remedy=f"move them up into {folder.parent.name}, each under a name of its own, or take the folder out",
        )
    else:
        faults.pass_over(folder, f"a folder without images inside {folder.parent.name}")


def _note_slicer(path: Path, ending: str, faults: Faults) -> None:
    case = path.name[: -len(_SLICER)]
    faults.add(
        "a segmentation of 3D Slicer, which is cropped to its structures and may have several layers",
        case=case,
        file=path,
        remedy="export it in 3D Slicer as a labelmap with the image as reference volume (Segmentations, Export to "
        f"files), as {path.parent.name}/{case}{ending}; or, where it has one layer, with SimpleITK: `sitk.WriteImage("
        f"sitk.Resample(sitk.ReadImage('{path}'), sitk.ReadImage(IMAGE), sitk.Transform(), "
        f"sitk.sitkNearestNeighbor), '{path.with_name(case + ending)}')` (IMAGE is the image's file); then "
        f"take {path.name} out of the folder",
    )


def _note_ending(path: Path, endings: tuple[str, ...], faults: Faults) -> None:
    name = path.name.lower()
    if not name.endswith(_IMAGES):
        return faults.pass_over(path, "no image by its name")
    known = next((ending for ending in (*VOLUMES, *_PHOTOS) if name.endswith(ending)), None)
    others = f"; if all images are {known}, write `file_ending: {known}` into dataset.json" if known else ""
    faults.add(
        f"the file does not end in {' or '.join(endings)}, as dataset.json declares",
        file=path,
        remedy=f"convert it to {endings[0]}, or take it out of {path.parent.name}{others}",
    )


def _by_case(files: Mapping[str, Path], masks: Iterable[str], whole: bool) -> dict[str, dict[int, Path]]:
    """Files by case and channel."""
    named = set(masks)
    channels: dict[str, dict[int, Path]] = {}
    for stem, path in files.items():
        numbered = _NUMBERED.fullmatch(stem)
        if stem in named or not numbered or (whole and numbered[1] not in named):
            channels.setdefault(stem, {})[_WHOLE] = path
        else:
            channels.setdefault(numbered[1], {})[int(numbered[2])] = path
    return channels


def _complete(
    channels: Mapping[str, Mapping[int, Path]], described: Description, faults: Faults
) -> dict[str, tuple[Path, ...]]:
    """The files of every case that has all its channels and a name that can be written; the others are faults."""
    complete = {}
    declared = len(described.channels)
    for case, files in sorted(channels.items()):
        present, first = sorted(files), min(files.items())[1]
        colours = described.ending in _PHOTOS and declared == 3 and present == [0]
        if re.search(r'[,"\x00-\x1f]', case):
            faults.add("a comma or quote in the name of a case", case=case, file=first, remedy="rename its files")
        elif present == [_WHOLE] or colours or present == list(range(declared)):
            complete[case] = tuple(files[number] for number in present)
        else:
            there = ", ".join(files[number].name for number in present)
            faults.add(
                f"{declared} channels ({', '.join(described.channels)}) are declared; there is {there}",
                case=case,
                file=first,
                remedy=f"give one file a channel, numbered from _0000 to _{declared - 1:04d}",
            )
    return complete
