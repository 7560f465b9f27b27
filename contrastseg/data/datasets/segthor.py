"""SegTHOR: thoracic CT with four organs at risk."""

from __future__ import annotations

from pathlib import Path

from contrastseg.data.faults import Faults
from contrastseg.data.readers.layouts import load_volume, require_folder, volume_pairs
from contrastseg.data.readers.specs import DatasetOptions, DatasetSpec, RawCase
from contrastseg.data.settings import PreparationSettings


def discover(raw: Path | None, options: DatasetOptions, faults: Faults) -> list[RawCase]:
    """List the labelled patients: a folder each, with the scan under the patient's name and GT beside it."""
    raw, folder = require_folder(raw, "segthor"), r"(?P<case>Patient_\d+)"
    image, label = rf"{folder}/(?P=case)\.nii(\.gz)?", rf"{folder}/GT\.nii(\.gz)?"
    return volume_pairs(raw, image, label, faults, "train/Patient_01/Patient_01.nii.gz and train/Patient_01/GT.nii.gz")


SPEC = DatasetSpec(
    name="segthor",
    title="SegTHOR",
    modality="thoracic CT",
    spatial_dims=3,
    classes=("background", "oesophagus", "heart", "trachea", "aorta"),
    channels=("ct",),
    native_format="nifti",
    licence="data usage agreement of the challenge",
    citation="Lambert et al., SegTHOR: Segmentation of Thoracic Organs at Risk in CT images, IPTA 2020, "
    "arXiv 1912.05950",
    discover=discover,
    load=load_volume,
    preparation=PreparationSettings(intensity="percentile"),
    folder_names=("SegTHOR", "segthor"),
    registration=(
        "register at https://competitions.codalab.org/competitions/21145 and sign the data usage agreement",
        "download and unpack the training part",
        "put the folder with Patient_01, Patient_02, ... (or train/) at $CONTRASTSEG_DATA/SegTHOR",
    ),
    traps=("The labels of the twenty test scans are not public.",),
)
