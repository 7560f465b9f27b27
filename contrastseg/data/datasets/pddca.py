"""PDDCA: head and neck CT with nine structures, one NRRD file each."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from contrastseg.data.faults import Faults
from contrastseg.data.files.itk import read_itk
from contrastseg.data.readers.layouts import find, require_cases, require_folder, same_grid
from contrastseg.data.readers.specs import DatasetOptions, DatasetSpec, NativeCase, RawCase
from contrastseg.data.settings import PreparationSettings
from contrastseg.errors import DataError

_STRUCTURES = {
    "BrainStem": "brainstem",
    "Chiasm": "optic chiasm",
    "Mandible": "mandible",
    "OpticNerve_L": "left optic nerve",
    "OpticNerve_R": "right optic nerve",
    "Parotid_L": "left parotid gland",
    "Parotid_R": "right parotid gland",
    "Submandibular_L": "left submandibular gland",
    "Submandibular_R": "right submandibular gland",
}


class PddcaOptions(DatasetOptions):
    """Options of PDDCA.

    Attributes:
        incomplete: What becomes of patients for whom structures were not delineated: ``refuse`` names them,
            ``leave_out`` leaves them out, ``background`` counts the structures as background, with a note.
    """

    incomplete: Literal["refuse", "leave_out", "background"] = "refuse"


def discover(raw: Path | None, options: PddcaOptions, faults: Faults) -> list[RawCase]:
    """List the patients: the image, then the structures there are."""
    raw, patient = require_folder(raw, "pddca"), r"(?P<case>0522c\d{4})"
    images = find(raw, rf"{patient}/img\.nrrd", faults)
    structures = {name: find(raw, rf"(?i:{patient}/structures/{name}\.nrrd)", faults) for name in _STRUCTURES}
    for name, files in structures.items():
        for case in sorted(files.keys() - images.keys()):
            faults.add("the mask has no image", case=case, file=files[case], remedy=f"restore img.nrrd beside {name}")
    cases = []
    for case, image in images.items():
        missing = [name for name, files in structures.items() if case not in files]
        if missing and options.incomplete == "refuse":
            faults.add(
                f"no mask of {', '.join(missing)}",
                case=case,
                file=image.parent / "structures",
                remedy="set the option incomplete to leave_out or background, if the published files lack them too",
            )
        elif not missing or options.incomplete == "background":
            present = {name: files[case] for name, files in structures.items() if case in files}
            cases.append(RawCase(case, case, None, (image, *present.values()), {"names": tuple(present)}))
    require_cases(cases, faults, raw, "0522c0001/img.nrrd and 0522c0001/structures/BrainStem.nrrd")
    return cases


def load(raw: RawCase, options: PddcaOptions) -> NativeCase:
    """Read one patient; where structures overlap, the later of the list wins."""
    image, spacing, affine = read_itk(raw.files[0], raw.case)
    label, notes = np.zeros(image.shape, dtype=np.uint8), []
    for name, path in zip(raw.details["names"], raw.files[1:], strict=True):
        mask, _, mask_affine = read_itk(path, raw.case)
        same_grid(image.shape, affine, mask.shape, mask_affine, raw.case, path)
        values = np.unique(mask)
        if len(values) > 2 or values[0] != 0:
            raise DataError(
                f"a mask with the values {values[:5].tolist()}",
                case=raw.case,
                file=path,
                remedy="restore the published structure: one value on 0",
            )
        if (label[mask > 0] > 0).any():
            notes.append("structures overlap: the later in the order of the classes is kept")
        label[mask > 0] = 1 + list(_STRUCTURES).index(name)
    if options.incomplete == "leave_out":
        notes.append("patients without all nine structures are left out")
    notes += [f"{_STRUCTURES[name]} not delineated: background" for name in _STRUCTURES.keys() - raw.details["names"]]
    return NativeCase(image[None], label, spacing, "mm", affine, tuple(sorted(set(notes))))


SPEC = DatasetSpec(
    name="pddca",
    title="PDDCA",
    modality="head and neck CT",
    spatial_dims=3,
    classes=("background", *_STRUCTURES.values()),
    channels=("ct",),
    native_format="nifti",
    licence="as the site says (public domain by its name)",
    citation="Raudaschl et al., Evaluation of segmentation methods on head and neck CT: Auto-segmentation challenge "
    "2015, Medical Physics 44(5), 2017, doi 10.1002/mp.12197",
    discover=discover,
    load=load,
    options=PddcaOptions,
    preparation=PreparationSettings(intensity="percentile"),
    folder_names=("PDDCA", "pddca"),
    traps=(
        "Part 3 has patients for whom some of the nine structures were not delineated; counting them as background "
        "scores right predictions as wrong.",
    ),
)
