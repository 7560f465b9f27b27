"""Left atria of the Medical Segmentation Decathlon."""

from __future__ import annotations

from pathlib import Path

from contrastseg.data.faults import Faults
from contrastseg.data.readers import msd
from contrastseg.data.readers.layouts import load_volume
from contrastseg.data.readers.specs import DatasetOptions, DatasetSpec, RawCase


def discover(raw: Path | None, options: DatasetOptions, faults: Faults) -> list[RawCase]:
    """List the labelled cases."""
    return msd.discover(raw, "msd_heart", "la_", faults)


SPEC = DatasetSpec(
    name="msd_heart",
    title="MSD Heart",
    modality="cardiac MR",
    spatial_dims=3,
    classes=("background", "left atrium"),
    channels=("mr",),
    native_format="nifti",
    licence=msd.LICENCE,
    citation=msd.CITATION,
    discover=discover,
    load=load_volume,
    folder_names=("Task02_Heart", "msd_heart"),
    split=msd.SPLIT,
    traps=(msd.TEST_PART,),
)
