"""Brain tumours of the Medical Segmentation Decathlon: four MR channels, the BraTS cases of 2016 and 2017."""

from __future__ import annotations

from pathlib import Path

from contrastseg.data.faults import Faults
from contrastseg.data.readers import msd
from contrastseg.data.readers.layouts import load_volume
from contrastseg.data.readers.specs import DatasetOptions, DatasetSpec, RawCase


def discover(raw: Path | None, options: DatasetOptions, faults: Faults) -> list[RawCase]:
    """List the labelled cases."""
    return msd.discover(raw, "msd_brain", "BRATS_", faults)


SPEC = DatasetSpec(
    name="msd_brain",
    title="MSD Brain",
    modality="multi-parametric brain MR",
    spatial_dims=3,
    classes=("background", "edema", "non-enhancing tumour", "enhancing tumour"),
    channels=("FLAIR", "T1w", "T1gd", "T2w"),
    native_format="nifti",
    licence=msd.LICENCE,
    citation=msd.CITATION,
    discover=discover,
    load=load_volume,
    folder_names=("Task01_BrainTumour", "msd_brain"),
    split=msd.SPLIT,
    traps=(
        "The label values are not those of BraTS: here 1 is edema, 2 the non-enhancing and 3 the enhancing tumour.",
        msd.TEST_PART,
    ),
)
