"""Parts of the published layouts' readers: finding pairs of files, masks of photographs, volumes with their label."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from contrastseg.data.faults import Faults
from contrastseg.data.files.formats import PHOTO_SUFFIXES, as_label, one_volume, read_header, read_photo, whole_label
from contrastseg.data.files.placement import LARGEST_SHIFT, NiftiHeader, candidate_affines, difference, shift
from contrastseg.data.files.volumes import candidate_affines_beside, read_located
from contrastseg.data.readers.mask_values import coding_of, grey_remedy, undeclared_ignore, value_remedy
from contrastseg.data.readers.photo_mask_files import read_binary_mask, read_grey_mask
from contrastseg.data.readers.specs import NativeCase, Part, RawCase
from contrastseg.errors import DataError

OTHER_FORM = "the label has the position that another reader than nibabel gives the image"


def by_case(paths: Iterable[Path], name: Callable[[Path], str | None], faults: Faults) -> dict[str, Path]:
    """Files by the case they belong to, sorted; a second file of a case is a fault.

    Args:
        paths: Candidates, in any order.
        name: The case of a file, None for files of another kind.
        faults: Takes what is wrong.
    """
    files: dict[str, Path] = {}
    for path in sorted(paths):
        case = name(path)
        if case is None:
            continue
        if case in files:
            faults.add(f"the case is there twice, also as {files[case]}", case=case, file=path, remedy="keep one")
        files.setdefault(case, path)
    return dict(sorted(files.items()))


def pairs(images: Mapping[str, Path], masks: Mapping[str, Path], faults: Faults) -> dict[str, tuple[Path, Path]]:
    """(image, mask) by case; an image without a mask and a mask without an image are faults."""
    for case in sorted(images.keys() - masks.keys()):
        faults.add(
            "the image has no mask",
            case=case,
            file=images[case],
            remedy="restore the published mask, or take the image out of the folder",
        )
    for case in sorted(masks.keys() - images.keys()):
        faults.add(
            "the mask has no image",
            case=case,
            file=masks[case],
            remedy="restore the published image, or take the mask out of the folder",
        )
    return {case: (images[case], masks[case]) for case in sorted(images.keys() & masks.keys())}


def below(raw: Path, *folders: str) -> list[Path]:
    """Files in folders of these names, at whatever depth archives were unpacked; hidden files are no data.

    Args:
        raw: The folder with the published files.
        folders: ``name``, or ``outer/name`` where the name alone would say too little.
    """
    paths = []
    for path in sorted(raw.rglob("*")):
        inside = path.relative_to(raw)
        listed = any(f"/{folder}/" in f"/{inside.parent.as_posix()}/" for folder in folders)
        # A link that leads nowhere stays: reading it says so.
        if listed and not any(name.startswith(".") for name in inside.parts) and not path.is_dir():
            paths.append(path)
    return paths


def photos(
    paths: Iterable[Path], pattern: re.Pattern[str], faults: Faults, skip: re.Pattern[str] | None = None
) -> dict[str, Path]:
    """Photographs by case.

    Args:
        paths: Candidates, in any order; files that are no photographs are left out.
        pattern: Of their names; its group ``case`` is the case.
        faults: Takes second files of a case, and photographs of other names.
        skip: Of the names of photographs that are known to be of another kind.
    """

    def name(path: Path) -> str | None:
        if match := pattern.fullmatch(path.name):
            return match["case"]
        if path.suffix.lower() in PHOTO_SUFFIXES and not (skip and skip.fullmatch(path.name)):
            faults.add("the name is none of this data set's", file=path, remedy="restore the published name")
        return None

    return by_case(paths, name, faults)


def photos_in_parts(
    raw: Path,
    parts: Mapping[Part, tuple[Sequence[str], Sequence[str]]],
    image: re.Pattern[str],
    mask: re.Pattern[str],
    faults: Faults,
    skip: re.Pattern[str] | None = None,
    *,
    unlabelled: bool = False,
) -> list[RawCase]:
    """Cases of photographs with a mask, each a patient of its own, that the publisher put into parts.

    Args:
        raw: The folder with the published files.
        parts: Per part the names of the folders of images and of masks, as `below` takes them.
        image: Of an image's name; its group ``case`` is the case.
        mask: Likewise of a mask's name.
        faults: Takes what is wrong; a case in two parts, too.
        skip: Of the names of other photographs beside the images.
        unlabelled: Whether an image without a mask is a case without a label; otherwise it is a fault.
    """
    cases: dict[str, RawCase] = {}
    for part, (image_folders, mask_folders) in parts.items():
        images = photos(below(raw, *image_folders), image, faults, skip)
        masks = photos(below(raw, *mask_folders), mask, faults)
        bare = images.keys() - masks.keys() if unlabelled else set()
        files_of: dict[str, tuple[Path, ...]] = {case: (images.pop(case),) for case in bare}
        files_of.update(pairs(images, masks, faults))
        for case, files in sorted(files_of.items()):
            if case in cases:
                parts_of_both = f"{cases[case].part} and {part}"
                faults.add(
                    f"the case is there twice, in the parts {parts_of_both}, also as {cases[case].files[0]}",
                    case=case,
                    file=files[0],
                    remedy="keep it in the part it was published in",
                )
            cases.setdefault(case, RawCase(case, case, None, files, part=part, labelled=len(files) > 1))
    return list(cases.values())


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
        # Some archives are unpacked into a folder that is called like its file.
        if not match or path.name.startswith("._") or path.is_dir():
            return None
        return f"{prefix}{match['case']}"

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
    files_of = pairs(find(raw, image, faults), find(raw, label, faults), faults)
    require_cases(files_of, faults, raw, expected)
    return [RawCase(case, case, None, files) for case, files in files_of.items()]


def load_volume(raw: RawCase, options: Any) -> NativeCase:
    """Read a case whose files are one NIfTI image and one NIfTI label with the values 0..K-1."""
    return read_volume(raw.files[:1], raw.files[1], raw.case)


def require_folder(raw: Path | None, name: str) -> Path:
    """The folder with the published files.

    Raises:
        DataError: It is not there.
    """
    if raw is None or not raw.is_dir():
        raise DataError(
            f"the folder of {name} is not on this machine",
            file=raw,
            remedy=f"run `contrastseg download {name}`, which gets it or prints the steps",
        )
    return raw


def require_cases(discovered: Iterable[object], faults: Faults, raw: Path, expected: str) -> None:
    """Check that something was found.

    Raises:
        DataError: Nothing was, and no fault says why; `expected` is an example of a file that should be there.
    """
    if not any(True for _ in discovered) and not faults.found:
        raise DataError("no case found", file=raw, remedy=f"give a folder that holds {expected}")


def read_photo_rgb(path: Path, case: str) -> np.ndarray:
    """Read a photograph as uint8 (3, Y, X), a greyscale one too. Raises `DataError` like `read_photo`."""
    photo = read_photo(path, case)
    return photo if len(photo) == 3 else np.repeat(photo, 3, axis=0)


def read_photo_grey(path: Path, case: str) -> np.ndarray:
    """Read a photograph as uint8 (1, Y, X); of colours the luminance. Raises `DataError` like `read_photo`."""
    from PIL import Image

    photo = read_photo(path, case)
    return photo if len(photo) == 1 else np.array(Image.fromarray(photo.transpose(1, 2, 0)).convert("L"))[None]


def photo_masks(raw: RawCase, options: Any) -> Iterator[tuple[Path, np.ndarray]]:
    """The masks of a case whose first file is the image, as `DatasetSpec.undeclared_masks` wants them."""
    for path in raw.files[1:]:
        yield path, read_grey_mask(path, raw.case)


def load_photo(raw: RawCase, options: Any) -> NativeCase:
    """Read a photograph in colours and the mask of its one structure: the case's two files, or the image alone."""
    image = raw.files[0]
    if len(raw.files) == 1:
        return NativeCase(read_photo_rgb(image, raw.case), None, None, "pixel", None)
    label, notes = read_binary_mask(raw.files[1], raw.case, coding_of(raw))
    return NativeCase(read_photo_rgb(image, raw.case), label, None, "pixel", None, notes)


def read_volume(
    images: Sequence[Path],
    label: Path | None,
    case: str,
    values: Mapping[int, int] | None = None,
    notes: tuple[str, ...] = (),
    *,
    typos: Mapping[int, int] | None = None,
) -> NativeCase:
    """Read a volume's files, NIfTI or ITK's: one of several channels (4-D NIfTI), or one a channel.

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
        array, spacing, affine = read_located(path, case)
        stack, header = array if array.ndim == 4 else array[None], read_header(path, case)
        if grid is None:
            grid = (stack.shape[1:], spacing, affine, header)
        elif differs := difference(
            grid[0], candidate_affines(*grid[2:]), stack.shape[1:], candidate_affines_beside(grid, affine, header)
        ):
            raise DataError(
                f"the channels' grids differ: {images[0].name} and {path.name}; {differs}",
                case=case,
                file=path,
                remedy=f"bring both onto one grid: {on_grid_of(images[0], path)}",
            )
        channels.append(stack)
    assert grid is not None, "a volume has at least one image file"
    image = channels[0] if len(channels) == 1 else np.concatenate(channels)
    mapped = None
    if label is not None:
        array, _, label_affine = read_label_volume(label, case)
        if (1, *array.shape) == grid[0]:  # writers drop the axis of a single slice
            array = array[None]
        for wrong, right in (typos or {}).items():
            if (array == wrong).any():
                array = np.where(array == wrong, array.dtype.type(right), array)
                notes = (*notes, f"label value {wrong} read as {right}")
        mapped = as_label(array, case, label) if values is None else map_values(array, values, case, label)
        label_affine = candidate_affines_beside(grid, label_affine, read_header(label, case))[0]
        notes = (*notes, *same_grid(grid[0], grid[2], mapped.shape, label_affine, case, label, grid[3], images[0]))
    return NativeCase(image, mapped, grid[1], "mm" if grid[1] else "voxel", grid[2], notes, grid[3])


def read_label_volume(path: Path, case: str) -> tuple[np.ndarray, tuple[float, ...] | None, list[list[float]]]:
    """Read a label of any whole numbers, NIfTI or ITK's: array (z, y, x), spacing, affine.

    Raises:
        DataError: The file is unreadable, holds several volumes or values that are not nearly whole.
    """
    array, spacing, affine = read_located(path, case)
    return whole_label(one_volume(array, case, path), case, path), spacing, affine


def same_grid(
    shape: tuple[int, ...],
    affine: list[list[float]],
    label_shape: tuple[int, ...],
    label_affine: list[list[float]],
    case: str,
    label: Path,
    header: NiftiHeader | None = None,
    image: Path | None = None,
) -> tuple[str, ...]:
    """Check that a label lies on its image's grid: where the image's affine puts it, or another form of its header.

    Args:
        shape: Of the image, in array order.
        affine: Of the image, in mm.
        label_shape: Of the label.
        label_affine: Of the label, in mm.
        case: For messages.
        label: Its file.
        header: Of the image; a label drawn in a viewer has the form that the viewer took.
        image: Its file.

    Returns:
        A note where the label lies where the other form puts the image, and not where nibabel does.

    Raises:
        DataError: Shapes or places differ.
    """
    remedy = f"bring the label onto the image's grid: {on_grid_of(image or Path('IMAGE'), label)}"
    if label_shape != shape:
        raise DataError(f"the image has shape {shape}, its label {label_shape}", case=case, file=label, remedy=remedy)
    shifts = [shift(candidate, label_affine, shape) for candidate in candidate_affines(affine, header)]
    if not (away := min(shifts)) <= LARGEST_SHIFT:
        raise DataError(
            f"the affines of image and label differ by {away:.3g} voxels, {LARGEST_SHIFT:g} are allowed",
            case=case,
            file=label,
            remedy=remedy,
        )
    return () if shifts[0] <= LARGEST_SHIFT else (OTHER_FORM,)


def on_grid_of(image: Path, file: Path) -> str:
    """How a person brings a file onto the grid of an image: nearest neighbours keep label values."""
    return (
        "where both were published or exported together, fetch or export the pair again (3D Slicer: export the "
        "segmentation as a labelmap with the image as reference volume); else resample with SimpleITK: `i = "
        f"sitk.ReadImage('{image}'); l = sitk.ReadImage('{file}'); sitk.WriteImage(sitk.Resample(l, i, "
        f"sitk.Transform(), sitk.sitkNearestNeighbor), '{file}')`. Only where the voxels do match and the header "
        f"alone is wrong, instead of resampling: `l.CopyInformation(i); sitk.WriteImage(l, '{file}')`"
    )


def map_values(label: np.ndarray, values: Mapping[int, int], case: str, path: Path) -> np.ndarray:
    """Published label values (any integers, or nearly) to ours; the background is 0 in both.

    Raises:
        DataError: A value is not among the published ones.
    """
    known = {0: 0, **values}
    label = whole_label(label, case, path)
    mapped, covered = np.zeros(label.shape, dtype=np.uint8), np.zeros(label.shape, dtype=bool)
    for value, ours in known.items():
        here = label == value
        mapped[here] = ours
        covered |= here
    if not covered.all():
        wrong = np.unique(label[~covered])[:5].tolist()
        raise DataError(
            f"label values {wrong} are none of those declared: {', '.join(map(str, sorted(known)))}"
            f"{undeclared_ignore(wrong)}",
            case=case,
            file=path,
            remedy=grey_remedy(label, sorted(known)) or value_remedy(wrong, sorted(known)),
        )
    return mapped
