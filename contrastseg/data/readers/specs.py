"""What a data set has to say about itself: one `DatasetSpec` per file in ``contrastseg/data/datasets``."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from contrastseg.data.faults import Faults
from contrastseg.data.files.geometry import NativeFormat, Unit
from contrastseg.data.files.placement import NiftiHeader
from contrastseg.data.settings import PreparationSettings, SplitSettings
from contrastseg.errors import DataError, invalid_values, unknown_name
from contrastseg.labels import fault_of_names

Part = Literal["train", "val", "test"]


class DatasetOptions(BaseModel):
    """Base of a data set's options: unknown names are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclasses.dataclass(frozen=True)
class RawCase:
    """One case as published, found but not yet read.

    Attributes:
        case: Unique name, usable as a file name.
        patient: Whom it shows.
        frame: Which of the patient's images, None where there is one.
        files: Every file it is read from; their contents decide whether it is prepared again.
        details: Whatever `DatasetSpec.load` needs beside the files.
        part: Where the publisher put the patient; what the split ``official`` goes by.
        stratum: What random splits keep in proportion (a diagnosis, positive or negative); empty where nothing is.
        labelled: Whether it comes with a label. A case without one trains methods that use unlabelled images; it is
            never scored and counts in no part and no label budget.
    """

    case: str
    patient: str
    frame: str | None = None
    files: tuple[Path, ...] = ()
    details: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    part: Part | None = None
    stratum: str = ""
    labelled: bool = True


@dataclasses.dataclass(frozen=True)
class NativeCase:
    """The arrays of one case on its native grid.

    Attributes:
        image: (C, *spatial), finite.
        label: uint8 (*spatial), values 0..K-1, or 255 where the data set declares that; None where nobody labelled it.
        spacing: In array order; None where it is unknown.
        unit: ``mm``; ``voxel`` or ``pixel`` where the spacing is unknown.
        affine: As in the file (4x4) and in mm, None where there is none.
        notes: What a reader of the tables should know.
        header: What the image's NIfTI header says of its place, None where it is no NIfTI file.
    """

    image: np.ndarray
    label: np.ndarray | None
    spacing: tuple[float, ...] | None
    unit: Unit
    affine: list[list[float]] | None = None
    notes: tuple[str, ...] = ()
    header: NiftiHeader | None = None

    @property
    def image_hash(self) -> str:
        """SHA-256 of shape and values: an image is found again under another name, file format or type."""
        hashed = hashlib.sha256(repr(tuple(map(int, self.image.shape))).encode())
        for channel in self.image:
            # Adding zero makes -0.0 the 0.0 it equals.
            with np.errstate(over="ignore"):
                hashed.update(np.add(channel, 0, dtype="<f4").tobytes())
        return hashed.hexdigest()


_DEFAULT_PREPARATION = PreparationSettings()
_DEFAULT_SPLIT = SplitSettings()


@dataclasses.dataclass(frozen=True)
class DatasetSpec:
    """A data set: what it is, how its published layout becomes cases, and its rule of preparation.

    Its functions stand in a module, so that worker processes find them.

    Attributes:
        name: As suites call it.
        title: As tables print it.
        modality: As a sentence would.
        spatial_dims: Of the native arrays: 2 or 3.
        classes: Names of the labels 0..K-1, background first.
        channels: Names of the image's channels.
        native_format: How labels and predictions are stored.
        licence: Terms of use.
        citation: Whom to cite.
        discover: Lists the cases below the raw folder (None when generated) without reading volumes; what is wrong
            goes into the `Faults`.
        load: Reads one case; raises `DataError`.
        grid: Reads shape and spacing of one volume in array order, without its voxels; left out, it is loaded for them.
        options: Model of the options, with defaults.
        preparation: The rule unless a suite says otherwise.
        folder_names: The folders it answers to below the user's data folder; none when it is generated.
        folder: Where it lies, when its options say so; None when it is looked for.
        split: How its patients are split unless a suite says otherwise.
        splits: Published splits: the names of files in benchmarks/splits, and ``official`` where its cases carry
            their `RawCase.part`.
        registration: Steps to get the data where it cannot be downloaded without an account.
        traps: What has misled users of this data, one sentence each; printed on its card.
        generated_cases: How many cases the options generate; None for data that is collected.
        ignore: Whether 255 in its labels marks voxels that neither train nor score; elsewhere 255 is an error.
        undeclared_masks: Yields (file, uint8 values) of a case's masks of one structure, where nothing says what their
            values mean: they are counted over all cases first, and what they mean reaches `load` in
            `RawCase.details`. None where the values are published.
    """

    name: str
    title: str
    modality: str
    spatial_dims: Literal[2, 3]
    classes: tuple[str, ...]
    channels: tuple[str, ...]
    native_format: NativeFormat
    licence: str
    citation: str
    discover: Callable[[Path | None, Any, Faults], list[RawCase]]
    load: Callable[[RawCase, Any], NativeCase]
    options: type[DatasetOptions] = DatasetOptions
    preparation: PreparationSettings = _DEFAULT_PREPARATION
    folder_names: tuple[str, ...] = ()
    folder: Path | None = None
    split: SplitSettings = _DEFAULT_SPLIT
    splits: tuple[str, ...] = ()
    registration: tuple[str, ...] = ()
    traps: tuple[str, ...] = ()
    generated_cases: Callable[[Any], int] | None = None
    ignore: bool = False
    undeclared_masks: Callable[[RawCase, Any], Iterable[tuple[Path, np.ndarray]]] | None = None
    grid: Callable[[RawCase, Any], tuple[tuple[int, ...], tuple[float, ...] | None]] | None = None

    def __post_init__(self) -> None:
        """Refuse names of classes that tables cannot hold.

        Raises:
            DataError: A class has a reserved, a blank or another class's name.
        """
        if fault := fault_of_names(self.classes):
            raise DataError(f"{self.name}: {fault}", remedy="rename the class where the data set names its labels")

    @property
    def generated(self) -> bool:
        """Whether it is made here rather than collected."""
        return self.generated_cases is not None

    def parse_options(self, options: Mapping[str, Any] | DatasetOptions | None) -> Any:
        """The options as this data set's model.

        Raises:
            DataError: A name or value the data set does not know, with those it knows.
        """
        return parse_options(self.name, self.options, options)


def parse_options(dataset: str, model: type[DatasetOptions], options: Mapping[str, Any] | DatasetOptions | None) -> Any:
    """The options as a data set's model.

    Raises:
        DataError: A name or value the data set does not know, with those it knows.
    """
    if isinstance(options, model):
        return options
    if not isinstance(options, Mapping | None):
        raise DataError(f"options of {dataset}: {options!r:.60} is not a mapping", remedy=_known_options(model))
    given = dict(options or {})
    for name in given:
        if name not in model.model_fields:
            raise DataError(unknown_name(f"option of {dataset}", name, list(model.model_fields)))
    try:
        return model(**given)
    except ValidationError as error:
        raise DataError(invalid_values(error, f"options of {dataset}"), remedy=_known_options(model)) from error


def _known_options(model: type[DatasetOptions]) -> str:
    defaults = {name: field.default for name, field in model.model_fields.items() if not field.is_required()}
    needed = [name for name, field in model.model_fields.items() if field.is_required()]
    listed = [*needed, *(f"{name}: {value}" for name, value in defaults.items())]
    return f"give values as they are by default: {', '.join(listed)}" if listed else "leave the options out: none exist"
