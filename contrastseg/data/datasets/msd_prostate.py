"""Prostate zones of the Medical Segmentation Decathlon: T2 and ADC on one grid."""

from __future__ import annotations

from pathlib import Path

from contrastseg.data.faults import Faults
from contrastseg.data.readers import msd
from contrastseg.data.readers.layouts import load_volume
from contrastseg.data.readers.specs import DatasetOptions, DatasetSpec, RawCase


def discover(raw: Path | None, options: DatasetOptions, faults: Faults) -> list[RawCase]:
    """List the labelled cases."""
    return msd.discover(raw, "msd_prostate", "prostate_", faults)


SPEC = DatasetSpec(
    name="msd_prostate",
    title="MSD Prostate",
    modality="prostate MR",
    spatial_dims=3,
    classes=("background", "peripheral zone", "transition zone"),
    channels=("T2", "ADC"),
    native_format="nifti",
    licence=msd.LICENCE,
    citation=msd.CITATION,
    discover=discover,
    load=load_volume,
    folder_names=("Task05_Prostate", "msd_prostate"),
    split=msd.SPLIT,
    traps=(
        "The dataset.json has 1 for the peripheral and 2 for the transition zone; some loaders have them swapped.",
        msd.TEST_PART,
    ),
)
