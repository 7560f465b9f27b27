"""MM-WHS: whole hearts in MR or CT with seven structures."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from contrastseg.data.faults import Faults
from contrastseg.data.readers.layouts import read_volume, require_folder, volume_pairs
from contrastseg.data.readers.specs import DatasetOptions, DatasetSpec, NativeCase, RawCase
from contrastseg.data.settings import PreparationSettings

# The challenge's value of each class, in the order of the classes below.
_VALUES = (205, 420, 500, 550, 600, 820, 850)
_TYPOS = {421: 420}


class MmwhsOptions(DatasetOptions):
    """Options of MM-WHS.

    Attributes:
        modality: MR or CT; they show different patients and are never mixed.
    """

    modality: Literal["mr", "ct"] = "mr"


def discover(raw: Path | None, options: MmwhsOptions, faults: Faults) -> list[RawCase]:
    """List the labelled cases of the modality."""
    raw, case = require_folder(raw, "mmwhs"), rf"(?P<case>{options.modality}_train_\d+)"
    image, label = (rf"{case}_{part}\.nii(\.gz)?" for part in ("image", "label"))
    modality = options.modality
    expected = f"{modality}_train/{modality}_train_1001_image.nii.gz and {modality}_train_1001_label.nii.gz beside it"
    return volume_pairs(raw, image, label, faults, expected)


def load(raw: RawCase, options: MmwhsOptions) -> NativeCase:
    """Read one case."""
    values = {value: index for index, value in enumerate(_VALUES, start=1)}
    return read_volume(raw.files[:1], raw.files[1], raw.case, values, typos=_TYPOS)


SPEC = DatasetSpec(
    name="mmwhs",
    title="MM-WHS",
    modality="cardiac MR or CT",
    spatial_dims=3,
    classes=(
        "background",
        "left ventricle myocardium",
        "left atrium",
        "left ventricle",
        "right atrium",
        "right ventricle",
        "ascending aorta",
        "pulmonary artery",
    ),
    channels=("image",),
    native_format="nifti",
    licence="terms of the challenge",
    citation="Zhuang et al., Evaluation of algorithms for Multi-Modality Whole Heart Segmentation: An open-access "
    "grand challenge, Medical Image Analysis 58, 101537, 2019, doi 10.1016/j.media.2019.101537",
    discover=discover,
    load=load,
    options=MmwhsOptions,
    preparation=PreparationSettings(intensity="percentile", percentiles=(1, 99)),
    splits=("mmwhs_chaitanya_8_2_10", "mmwhs_ct_arco_15_5"),
    folder_names=("MMWHS", "MM-WHS", "mmwhs"),
    registration=(
        "register for the Multi-Modality Whole Heart Segmentation challenge (MM-WHS 2017) on its site",
        "download and unpack mr_train and ct_train",
        "put both folders at $CONTRASTSEG_DATA/MMWHS",
    ),
    traps=(
        "A published MR label holds 421 where it means 420, the left atrium: it is read as such, with a note.",
        "The labels of the test images are not public as label maps: papers divide the twenty training cases of a "
        "modality, each in its own way. Two published divisions are here: of MR and of CT.",
    ),
)
