"""The native images behind a prepared data set, read again from the published files."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from contrastseg.data.faults import Faults
from contrastseg.data.prepare import checks
from contrastseg.data.prepare.cases import Case, PreparedDataset
from contrastseg.data.readers.mask_values import CODING, Coding, with_coding
from contrastseg.data.registry import nnunet, registry
from contrastseg.errors import DataError


class NativeCases:
    """Loads cases of a prepared data set on their native grid, unprepared, for whoever prepares them in its own way.

    Args:
        dataset: The prepared data set; its card names the data set and the options it was read with.
        raw: Folder with the published files; None for generated data.

    Raises:
        DataError: The folder is missing or holds no case.
    """

    def __init__(self, dataset: PreparedDataset, raw: str | Path | None) -> None:
        self._dataset = dataset
        options = dict(dataset.info.source["options"] or {})
        if dataset.info.dataset == nnunet.NAME:
            options["path"] = str(raw)  # the prepared store keeps no path of this machine
        self._spec = registry.get(dataset.info.dataset, options)
        self._options = self._spec.parse_options(options)
        self._folder = None if raw is None else Path(raw)
        # Faults of cases that nobody asks for do no harm; a case that is asked for and missing is an error of `load`.
        cases = self._spec.discover(self._folder, self._options, Faults())
        if (coding := dataset.info.source.get(CODING)) is not None:
            cases = [
                with_coding(case, Coding.from_json(coding)) for case in cases
            ]  # what the prepared labels were read by
        self._raw = {case.case: case for case in cases}

    def load(self, name: str) -> Case:
        """Read one case.

        Returns:
            The case with its native image (C, *spatial) and label (*spatial) or None; the shape its geometry names as
            prepared is the native one.

        Raises:
            DataError: The case is not among the published files, is faulty, or is another than the prepared one.
        """
        geometry = self._dataset.geometry(name)
        if name not in self._raw:
            raise DataError(
                "the prepared case is not among the published files",
                case=name,
                file=self._folder,
                remedy="restore the published files, or run `contrastseg prepare` again",
            )
        raw = self._raw[name]
        native = self._spec.load(raw, self._options)
        checks.check_native(self._spec, raw, native)
        if native.image.shape[1:] != geometry.native_shape:
            raise DataError(
                f"the published image has shape {native.image.shape[1:]}, the prepared one had {geometry.native_shape}",
                case=name,
                file=raw.files[0] if raw.files else self._folder,
                remedy="run `contrastseg prepare` again: the published files have changed",
            )
        if native.image_hash != self._dataset.image_hash(name):
            raise DataError(
                "the published image has other values than the prepared one had",
                case=name,
                file=raw.files[0] if raw.files else self._folder,
                remedy="run `contrastseg prepare` again: the published files have changed",
            )
        grid = dataclasses.replace(geometry, shape=geometry.native_shape, slice_axis=0)
        return Case(name, raw.patient, raw.frame, native.image, native.label, grid)
