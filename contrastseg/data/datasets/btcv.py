"""BTCV: abdominal CT with thirteen organs, of the challenge "Beyond the Cranial Vault"."""

from __future__ import annotations

from pathlib import Path

from contrastseg.data.faults import Faults
from contrastseg.data.readers.layouts import find, load_volume, pairs, require_cases, require_folder
from contrastseg.data.readers.specs import DatasetOptions, DatasetSpec, RawCase
from contrastseg.data.settings import PreparationSettings


def discover(raw: Path | None, options: DatasetOptions, faults: Faults) -> list[RawCase]:
    """List the labelled cases."""
    raw = require_folder(raw, "btcv")
    number = r"(?P<case>\d{4})\.nii(\.gz)?"
    # No file of the folder Testing: it has no labels.
    images = find(raw, rf"(?<!Testing/)img/img{number}", faults, "img")
    labels = find(raw, rf"(?<!Testing/)label/label{number}", faults, "img")
    files_of = pairs(images, labels, faults)
    require_cases(
        files_of, faults, raw, "RawData/Training/img/img0001.nii.gz and RawData/Training/label/label0001.nii.gz"
    )
    return [RawCase(case, case.removeprefix("img"), None, files) for case, files in files_of.items()]


SPEC = DatasetSpec(
    name="btcv",
    title="BTCV",
    modality="abdominal CT",
    spatial_dims=3,
    classes=(
        "background",
        "spleen",
        "right kidney",
        "left kidney",
        "gallbladder",
        "oesophagus",
        "liver",
        "stomach",
        "aorta",
        "inferior vena cava",
        "portal and splenic veins",
        "pancreas",
        "right adrenal gland",
        "left adrenal gland",
    ),
    channels=("ct",),
    native_format="nifti",
    licence="terms of the challenge (Synapse syn3193805)",
    citation="Landman et al., MICCAI Multi-Atlas Labeling Beyond the Cranial Vault: Workshop and Challenge, 2015, "
    "Synapse syn3193805",
    discover=discover,
    load=load_volume,
    preparation=PreparationSettings(intensity="window", window=(-125, 275)),
    folder_names=("BTCV", "btcv", "Abdomen"),
    splits=("btcv_18_12", "btcv_24_6"),
    registration=(
        "make an account at https://www.synapse.org, open syn3193805 and join the challenge",
        "download Abdomen/RawData.zip and unpack it",
        "put the folder RawData at $CONTRASTSEG_DATA/BTCV/RawData",
    ),
    traps=(
        "Two splits are in use, 18/12 and 24/6; numbers of one say nothing about the other.",
        "Many papers score eight of the thirteen organs: compare class by class, not the mean over all.",
        "The folder Testing has images without labels.",
    ),
)
