"""CHAOS: abdominal MR with four organs, or CT with the liver, as DICOM with a PNG mask a slice."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from contrastseg.data.faults import Faults
from contrastseg.data.files.dicom import read_series
from contrastseg.data.files.formats import read_label
from contrastseg.data.readers.layouts import require_cases, require_folder
from contrastseg.data.readers.mask_values import coding_of
from contrastseg.data.readers.photo_mask_files import read_binary_mask, read_grey_mask
from contrastseg.data.readers.specs import DatasetOptions, DatasetSpec, NativeCase, RawCase
from contrastseg.data.settings import PreparationSettings
from contrastseg.errors import DataError

_FOLDERS = {  # (modality's folder, sequence, phase); the two phases of T1 share their masks
    "t1_in": ("MR", "T1DUAL", "InPhase"),
    "t1_out": ("MR", "T1DUAL", "OutPhase"),
    "t2": ("MR", "T2SPIR", ""),
    "ct": ("CT", "", ""),
}
# The challenge's grey values lie in ranges: 63, 126, 189 and 252 and what is near them.
_RANGES = ((56, 70), (111, 135), (176, 200), (241, 255))


class ChaosOptions(DatasetOptions):
    """Options of CHAOS.

    Attributes:
        image: Which image of the patients: a phase of T1-DUAL, T2-SPIR, or CT (other patients, liver only).
    """

    image: Literal["t1_in", "t1_out", "t2", "ct"] = "t2"


def discover(raw: Path | None, options: ChaosOptions, faults: Faults) -> list[RawCase]:
    """List the labelled patients: the slices, then as many masks."""
    raw = require_folder(raw, "chaos")
    modality, sequence, phase = _FOLDERS[options.image]
    cases = []
    for folder in sorted(path for path in raw.rglob(f"{modality}/*") if path.is_dir() and path.name.isdigit()):
        if "Test_Sets" in folder.parts:
            continue
        case, below = f"{modality}{int(folder.name):02d}", folder / sequence
        slices, masks = _files(below / "DICOM_anon" / phase, ".dcm"), _files(below / "Ground", ".png")
        if len(slices) != len(masks) or not slices:
            faults.add(
                f"{len(slices)} slices of the image, {len(masks)} of the mask",
                case=case,
                file=below,
                remedy="restore the published files",
            )
        else:
            cases.append(RawCase(case, case, None, (*slices, *masks)))
    require_cases(cases, faults, raw, f"Train_Sets/{modality}/<patient>/... with DICOM_anon and Ground in it")
    return cases


def _files(folder: Path, suffix: str) -> list[Path]:
    """Files of a folder in the order of the numbers in their names."""
    files = [path for path in folder.glob(f"*{suffix}") if not path.name.startswith("._")]
    return sorted(files, key=lambda path: [int(number) for number in re.findall(r"\d+", path.name)])


def load(raw: RawCase, options: ChaosOptions) -> NativeCase:
    """Read one patient; the n-th mask belongs to the n-th slice by file name."""
    count = len(raw.files) // 2
    # Anonymisation gave slices UIDs of their own.
    series = read_series(raw.files[:count], raw.case, one_series=False)
    masks = []
    for path in (raw.files[count + index] for index in series.order):
        mask = read_binary_mask(path, raw.case, coding_of(raw))[0] if options.image == "ct" else _organs(path, raw.case)
        if mask.shape != series.array.shape[1:]:
            raise DataError(
                f"the slice has shape {series.array.shape[1:]}, its mask {mask.shape}",
                case=raw.case,
                file=path,
                remedy="restore the published mask",
            )
        masks.append(mask)
    notes = ("CT: only the liver was delineated",) if options.image == "ct" else ()
    return NativeCase(series.array[None], np.stack(masks), series.spacing, "mm", series.affine, notes)


def liver_masks(raw: RawCase, options: ChaosOptions) -> Iterator[tuple[Path, np.ndarray]]:
    """The masks of a CT, one a slice; those of MR have published values."""
    for path in raw.files[len(raw.files) // 2 :] if options.image == "ct" else ():
        yield path, read_grey_mask(path, raw.case)


def _organs(path: Path, case: str) -> np.ndarray:
    grey = read_label(path, case)[0]
    table = np.full(256, 255, dtype=np.uint8)
    table[0] = 0
    for organ, (low, high) in enumerate(_RANGES, start=1):
        table[low : high + 1] = organ
    label = table[grey]
    if wrong := np.unique(grey[label == 255]).tolist():
        raise DataError(
            f"mask values {wrong} belong to no organ",
            case=case,
            file=path,
            remedy="restore the published mask",
        )
    return label


SPEC = DatasetSpec(
    name="chaos",
    title="CHAOS",
    modality="abdominal MR or CT",
    spatial_dims=3,
    classes=("background", "liver", "right kidney", "left kidney", "spleen"),
    channels=("image",),
    native_format="nifti",
    licence="CC BY-NC-SA 4.0",
    citation="Kavur et al., CHAOS Challenge: combined (CT-MR) healthy abdominal organ segmentation, Medical Image "
    "Analysis 69, 101950, 2021, doi 10.1016/j.media.2020.101950",
    discover=discover,
    load=load,
    undeclared_masks=liver_masks,
    options=ChaosOptions,
    preparation=PreparationSettings(intensity="percentile"),
    folder_names=("CHAOS", "chaos"),
    traps=(
        "CT and MR show different patients; in CT only the liver was delineated, the other organs are background.",
        "Both phases of T1-DUAL share one set of masks.",
        "Slices and masks are paired by the order of the numbers in their names, not by position.",
        "The labels of the test part are not public.",
    ),
)
