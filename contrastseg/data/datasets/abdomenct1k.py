"""AbdomenCT-1K: a thousand abdominal CT with four organs, gathered from public data sets and a hospital."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from contrastseg.data.faults import Faults
from contrastseg.data.readers.layouts import find, pairs, read_volume, require_cases, require_folder
from contrastseg.data.readers.specs import DatasetOptions, DatasetSpec, NativeCase, RawCase
from contrastseg.data.settings import PreparationSettings


class AbdomenCt1kOptions(DatasetOptions):
    """Options of AbdomenCT-1K.

    Attributes:
        unlabelled: Keep images without a mask as unlabelled cases; otherwise a missing mask is a fault.
    """

    unlabelled: bool = Field(False)


def discover(raw: Path | None, options: AbdomenCt1kOptions, faults: Faults) -> list[RawCase]:
    """List the cases, in whichever of the image parts they lie."""
    raw = require_folder(raw, "abdomenct1k")
    images = find(raw, r"(?P<case>Case_\d{5})_0000\.nii(\.gz)?", faults)
    masks = find(raw, r"(?P<case>Case_\d{5})\.nii(\.gz)?", faults)
    unlabelled = sorted(images.keys() - masks.keys()) if options.unlabelled else []
    files_of: dict[str, tuple[Path, ...]] = {case: (images.pop(case),) for case in unlabelled}
    files_of.update(pairs(images, masks, faults))
    require_cases(files_of, faults, raw, "Case_00001_0000.nii.gz and Mask/Case_00001.nii.gz")
    return [RawCase(case, case, None, files, labelled=len(files) > 1) for case, files in files_of.items()]


def load(raw: RawCase, options: AbdomenCt1kOptions) -> NativeCase:
    """Read one case."""
    return read_volume(raw.files[:1], raw.files[1] if len(raw.files) > 1 else None, raw.case)


SPEC = DatasetSpec(
    name="abdomenct1k",
    title="AbdomenCT-1K",
    modality="abdominal CT",
    spatial_dims=3,
    classes=("background", "liver", "kidneys", "spleen", "pancreas"),
    channels=("ct",),
    native_format="nifti",
    licence="as the site says, and the terms of the data sets it was gathered from",
    citation="Ma et al., AbdomenCT-1K: Is Abdominal Organ Segmentation a Solved Problem?, IEEE TPAMI 44(10), 2022, "
    "doi 10.1109/TPAMI.2021.3100536",
    discover=discover,
    load=load,
    options=AbdomenCt1kOptions,
    preparation=PreparationSettings(intensity="window", window=(-160, 240)),
    folder_names=("AbdomenCT-1K", "abdomenct1k"),
    traps=(
        "It was gathered from LiTS, KiTS, tasks of the Decathlon and NIH Pancreas-CT among others: pre-training on it "
        "uses the test patients of those.",
        "Both kidneys have one label.",
    ),
)
