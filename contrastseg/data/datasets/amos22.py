"""AMOS22: abdominal CT or MR with fifteen organs."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

from contrastseg.data.faults import Faults
from contrastseg.data.readers.layouts import load_volume, require_cases, require_folder, volume_pairs
from contrastseg.data.readers.specs import DatasetOptions, DatasetSpec, RawCase
from contrastseg.data.settings import PreparationSettings

_FIRST_MR = 500  # its readme: id numbers less than 500 belong to CT


class AmosOptions(DatasetOptions):
    """Options of AMOS22.

    Attributes:
        modality: CT or MR; they show different patients and are never mixed.
    """

    modality: Literal["ct", "mr"] = "ct"


def discover(raw: Path | None, options: AmosOptions, faults: Faults) -> list[RawCase]:
    """List the labelled cases of the modality, the challenge's validation part included."""
    raw, case = require_folder(raw, "amos22"), r"(?P<case>amos_\d{4})\.nii(\.gz)?"
    expected = "imagesTr/amos_0001.nii.gz and labelsTr/amos_0001.nii.gz"
    cases = volume_pairs(raw, f"images(?:Tr|Va)/{case}", f"labels(?:Tr|Va)/{case}", faults, expected)
    wanted = []
    for pair in cases:
        modality = "ct" if int(pair.case.removeprefix("amos_")) < _FIRST_MR else "mr"
        if modality == options.modality:
            part: Literal["train", "val"] = "val" if pair.files[0].parent.name == "imagesVa" else "train"
            wanted.append(dataclasses.replace(pair, part=part))
    require_cases(wanted, faults, raw, f"cases of the modality {options.modality}")
    return wanted


SPEC = DatasetSpec(
    name="amos22",
    title="AMOS22",
    modality="abdominal CT or MR",
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
        "pancreas",
        "right adrenal gland",
        "left adrenal gland",
        "duodenum",
        "bladder",
        "prostate or uterus",
    ),
    channels=("image",),
    native_format="nifti",
    licence="terms of the challenge (see https://amos22.grand-challenge.org)",
    citation="Ji et al., AMOS: A Large-Scale Abdominal Multi-Organ Benchmark for Versatile Medical Image Segmentation, "
    "NeurIPS Datasets and Benchmarks 2022, arXiv 2206.08023",
    discover=discover,
    load=load_volume,
    options=AmosOptions,
    preparation=PreparationSettings(intensity="percentile"),
    folder_names=("AMOS22", "amos22"),
    traps=(
        "CT and MR lie in the same folders; only the number distinguishes them (from 500 on it is MR).",
        "The labels of imagesTs are not public.",
    ),
)
