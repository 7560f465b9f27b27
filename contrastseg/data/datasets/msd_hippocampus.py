"""Hippocampi of the Medical Segmentation Decathlon: many small cases, the quickest real 3D set."""

from __future__ import annotations

from pathlib import Path

from contrastseg.data.faults import Faults
from contrastseg.data.readers import msd
from contrastseg.data.readers.layouts import load_volume
from contrastseg.data.readers.specs import DatasetOptions, DatasetSpec, RawCase


def discover(raw: Path | None, options: DatasetOptions, faults: Faults) -> list[RawCase]:
    """List the labelled cases."""
    return msd.discover(raw, "msd_hippocampus", "hippocampus_", faults)


SPEC = DatasetSpec(
    name="msd_hippocampus",
    title="MSD Hippocampus",
    modality="brain MR, cropped around the hippocampus",
    spatial_dims=3,
    classes=("background", "anterior", "posterior"),
    channels=("mr",),
    native_format="nifti",
    licence=msd.LICENCE,
    citation=msd.CITATION,
    discover=discover,
    load=load_volume,
    folder_names=("Task04_Hippocampus", "msd_hippocampus"),
    split=msd.SPLIT,
    traps=(
        "Images are stored as uint8 or as float32, depending on the file: intensities need a rule for each case.",
        msd.TEST_PART,
    ),
)
