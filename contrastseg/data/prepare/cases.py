"""The prepared store: what every later step reads (see `PreparedDataset` for the folder's layout)."""

from __future__ import annotations

import csv
import dataclasses
import functools
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from contrastseg.data.files.geometry import Geometry, NativeFormat, Unit
from contrastseg.data.read_errors import wrap_read_errors
from contrastseg.data.settings import PreparationSettings
from contrastseg.errors import DataError
from contrastseg.files import read_json, wrap_parse_errors

if TYPE_CHECKING:
    import pandas as pd


_AGAIN = "prepare the data set again"


class DatasetJson(BaseModel):
    """The card of a prepared data set (``dataset.json``).

    Attributes:
        entry: The suite's name for the data set with this preparation.
        dataset: Name of the data set.
        spatial_dims: Of the stored arrays: 2 for photographs, 3 for volumes.
        slice_axis: The axis of native volumes that slices are cut along, which prepared arrays have first; None for
            photographs.
        classes: Names of the labels 0..K-1; the first is the background.
        unit: Of distances on the native grid.
        scale: Stored image values times `scale` are what the intensity rule promises (1/255 for ``uint8``, else 1).
        preparation: The resolved rule.
        source: Options of the data set and counts.
        notes: What a reader of the tables should know about this data.
    """

    model_config = ConfigDict(extra="forbid")

    entry: str
    dataset: str
    title: str
    modality: str
    spatial_dims: Literal[2, 3]
    slice_axis: int | None
    channels: list[str]
    classes: list[str]
    unit: Unit
    native_format: NativeFormat
    licence: str
    citation: str
    scale: float
    preparation: PreparationSettings
    source: dict[str, Any]
    notes: list[str]


@dataclasses.dataclass(frozen=True)
class Case:
    """One prepared image.

    Attributes:
        case: Unique name in the data set.
        patient: Whom it shows; splits and statistics go by patient.
        frame: Which of the patient's images, None where there is one.
        image: (C, *spatial) in its stored type.
        label: uint8 (*spatial), or None.
        geometry: The way back to the native grid.
        superpixels: int32 (*spatial), ids from 1 on, no id in two slices, 0 = no region; None where none are prepared
            or asked for.
    """

    case: str
    patient: str
    frame: str | None
    image: np.ndarray
    label: np.ndarray | None
    geometry: Geometry
    superpixels: np.ndarray | None = None


class PreparedDataset:
    """Reads ``dataset.json``, ``cases.csv``, ``cases/<case>/{image,label,superpixels}.npy`` with ``geometry.json``, and
    ``references/``.

    Args:
        folder: What `prepare_dataset` wrote.

    Raises:
        DataError: The folder holds no prepared data set.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        card = self.folder / "dataset.json"
        if not card.is_file():
            raise DataError("prepared data set not found", file=card, remedy="run `contrastseg prepare`")
        with wrap_parse_errors(card, DataError, _AGAIN):
            self.info = DatasetJson.model_validate(read_json(card))

    @functools.cached_property
    def index(self) -> pd.DataFrame:
        """``cases.csv``: one row a case, sorted by case.

        Columns: case, patient, frame, part, stratum, labelled (bool), shape, spacing, image (SHA-256 of the native
        image); empty where there is none.
        """
        import pandas as pd  # a training job needs none of it, and its import takes half a second

        return pd.DataFrame(self._rows.values(), columns=self._columns)

    @functools.cached_property
    def _rows(self) -> dict[str, dict[str, Any]]:
        """The rows of ``cases.csv`` by case."""
        path = self.folder / "cases.csv"
        rows: dict[str, dict[str, Any]] = {}
        with wrap_parse_errors(path, DataError, _AGAIN), open(path, newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(file, strict=True)
            self._columns = list(table.fieldnames or ())
            if absent := {"case", "patient", "frame", "labelled"} - set(self._columns):
                raise ValueError(f"there is no column {', '.join(sorted(absent))}")
            for row in table:
                case, labelled = row["case"], row["labelled"]
                if None in row or None in row.values():
                    raise ValueError(f"line {table.line_num} has other columns than the first")
                # A case is a folder: a name that leads elsewhere is nobody's.
                if case in ("", "..") or Path(case).name != case:
                    raise ValueError(f"{case!r} is no name of a case")
                if case in rows:
                    raise ValueError(f"case {case!r} stands there twice")
                if labelled not in ("true", "false"):
                    raise ValueError(f"labelled is {labelled!r}")
                rows[case] = {**row, "labelled": labelled == "true"}
        return rows

    @property
    def cases(self) -> list[str]:
        """Every case, sorted."""
        return list(self._rows)

    @property
    def patients(self) -> list[str]:
        """Every patient, sorted."""
        return sorted({row["patient"] for row in self._rows.values()})

    def cases_of(self, patients: Iterable[str], *, labelled: bool | None = None) -> list[str]:
        """The cases of these patients, in the patients' order; those with or without a label alone where asked.

        Raises:
            DataError: A patient has no case here.
        """
        by_patient: dict[str, list[str]] = {}
        for case, row in self._rows.items():
            by_patient.setdefault(row["patient"], []).append(case)
        wanted = list(patients)
        if absent := [patient for patient in wanted if patient not in by_patient]:
            raise DataError(
                f"patients without a prepared case: {', '.join(absent)}",
                file=self.folder / "cases.csv",
                remedy="run `contrastseg prepare` and `contrastseg split` again",
            )
        cases = [case for patient in wanted for case in by_patient[patient]]
        return cases if labelled is None else [case for case in cases if self._rows[case]["labelled"] == labelled]

    def load(self, case: str, with_label: bool = True, mmap: bool = False, *, with_superpixels: bool = False) -> Case:
        """Read one case; `mmap` maps the arrays instead of reading them. The label is None where there is none.

        Raises:
            DataError: There is no such case, or super-pixels are asked for and not prepared.
        """
        row = self._row(case)
        if with_superpixels and self.info.preparation.superpixels is None:
            raise DataError(
                f"{self.info.entry} is prepared without super-pixels",
                file=self.folder / "dataset.json",
                remedy="ask for them in the suite, `preparation: {superpixels: {}}`, and prepare again",
            )
        grid = self.geometry(case)
        label = self._array(case, "label", grid, mmap) if with_label and row["labelled"] else None
        image = self._array(case, "image", grid, mmap)
        superpixels = self._array(case, "superpixels", grid, mmap) if with_superpixels else None
        return Case(case, row["patient"], row["frame"] or None, image, label, grid, superpixels)

    def _array(self, case: str, layer: str, grid: Geometry, mmap: bool) -> np.ndarray:
        path = self.folder / "cases" / case / f"{layer}.npy"
        with wrap_read_errors(path, case):
            array: np.ndarray = np.load(path, mmap_mode="r" if mmap else None)
            shape = (self.in_channels, *grid.shape) if layer == "image" else grid.shape
            if array.shape != shape:
                raise ValueError(f"shape {array.shape}, {shape} was prepared")
            return array

    def geometry(self, case: str) -> Geometry:
        """The geometry of one case."""
        self._row(case)
        return Geometry.from_json(self.folder / "cases" / case / "geometry.json")

    def patient(self, case: str) -> str:
        """Whom the case shows."""
        return str(self._row(case)["patient"])

    def image_hash(self, case: str) -> str:
        """SHA-256 of the native image's shape and values: the same for the same image, whatever its file is called."""
        path = self.folder / "cases.csv"
        with wrap_parse_errors(path, DataError, _AGAIN):
            return str(self._row(case)["image"])

    def native_name(self, case: str) -> str:
        """The file name labels of this case have in their native format."""
        return f"{case}.nii.gz" if self.info.native_format == "nifti" else f"{case}.png"

    def reference_path(self, case: str) -> Path:
        """Where the case's label lies in native geometry."""
        self._row(case)
        return self.folder / "references" / self.native_name(case)

    @property
    def num_classes(self) -> int:
        """K, the background included."""
        return len(self.info.classes)

    @property
    def in_channels(self) -> int:
        """C."""
        return len(self.info.channels)

    def _row(self, case: str) -> dict[str, Any]:
        if case not in self._rows:
            raise DataError(
                "case not found in the prepared data",
                case=case,
                file=self.folder / "cases.csv",
                remedy="correct its name, or run `contrastseg prepare` again",
            )
        return self._rows[case]
