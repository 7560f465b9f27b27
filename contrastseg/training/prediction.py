"""Predictions on disk, in the geometry and format of the files they belong to."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from contrastseg.data.files.formats import write_label
from contrastseg.data.files.geometry import Geometry, slices_first
from contrastseg.data.prepare.cases import Case, DatasetJson, PreparedDataset
from contrastseg.data.prepare.inference_inputs import (
    inference_cases,
    prepare_inference_image,
    read_inference_image,
    slices_otherwise,
)
from contrastseg.data.prepare.native import NativeCases
from contrastseg.errors import DataError
from contrastseg.evaluation.scoring.predictions import SNAPSHOT_INDEX
from contrastseg.files import sha256, write_json
from contrastseg.methods.contract import Method
from contrastseg.training import checkpoints, devices
from contrastseg.training.assembly import build_method, restore, stage_training
from contrastseg.training.case_batches import infer_cases
from contrastseg.training.device_errors import device_errors
from contrastseg.training.engines import Labeller, engine_of
from contrastseg.training.pruning import require_snapshots
from contrastseg.training.settings import RunConfig
from contrastseg.training.write_behind import write_behind

_Infer = Callable[[Iterable[Case]], Iterator[tuple[Case, np.ndarray]]]


class Predictor:
    """A trained method, ready to label images.

    Args:
        checkpoint: A checkpoint of `train`. It carries all that is needed: configuration, classes, preparation.
        accelerator: `auto`, `cpu` or `cuda`.

    Attributes:
        native: Whether it labels cases on their native grid (an engine's do) rather than prepared ones.

    Raises:
        CheckpointError: The checkpoint is missing, damaged, or does not fit its method.
    """

    def __init__(self, checkpoint: str | Path, accelerator: str | None = None) -> None:
        content = checkpoints.load(checkpoint)
        self.checkpoint = Path(checkpoint)
        self.config = RunConfig.model_validate(content["config"])
        self.info = DatasetJson.model_validate(content["dataset"])
        self.training = stage_training(self.config)
        torch.set_num_threads(self.training.threads)
        engine = engine_of(self.config.method)
        self.native = engine is not None
        self._precision: AbstractContextManager[Any] = nullcontext()  # an engine has its own
        self._allocation = devices.allocate(accelerator or self.training.accelerator)
        # Not through Fabric: one device and no gradients do without it, and its import takes seconds.
        self.device = torch.device(self._allocation.accelerator)
        try:
            if engine is None:
                self._infer = self._in_batches(content)
            else:
                self._infer = self._one_by_one(engine.labeller(content, self.device))
        except BaseException:
            self.close()
            raise

    def _in_batches(self, content: Mapping[str, Any]) -> _Infer:
        """What infers prepared cases with the checkpoint's weights: labels where these lie on the native grid."""
        method: Method = build_method(self.config, len(self.info.channels), len(self.info.classes))
        restore(method, content["modules"], str(self.checkpoint))
        method.modules.to(self.device).eval()
        if self.device.type == "cuda":
            self._precision = torch.autocast("cuda", torch.bfloat16)
        return partial(
            infer_cases,
            method.predict,
            scale=self.info.scale,
            spatial_dims=self.config.spatial_dims,
            training=self.training,
            device=self.device,
            labels_only=self._labels_suffice,
        )

    def _labels_suffice(self, case: Case) -> bool:
        """Whether logits need no resampling: they lie on the native voxels, or the rule takes the nearest class."""
        return self.info.preparation.prediction_order == 0 or _on_native_grid(case.geometry)

    def _one_by_one(self, labeller: Labeller) -> _Infer:
        """What infers native cases with an engine's labeller."""

        def labelled(case: Case) -> tuple[Case, np.ndarray]:
            sizes = self.training.batch_size, self.training.patch_size
            with device_errors(*sizes, training=False, cases=lambda: [case.case]):
                return case, labeller(case)

        return partial(map, labelled)

    def predict(self, cases: Iterable[Case], folder: Path, on_case: Callable[[int], None] = lambda done: None) -> Path:
        """Label cases and write their files, in order, while the next are computed; then `predictions.json`.

        Args:
            cases: Loaded one by one, as they are needed.
            folder: Where the files go.
            on_case: Called with the number of files that are there.

        Returns:
            `predictions.json`: which file belongs to which case, and which weights made them.

        Raises:
            DeviceError: The device is full or fails; it names the cases that it was working on.
            Exception: What `cases` raised. Files of the cases before it are written, `predictions.json` is not.
        """

        def write(inferred: tuple[Case, np.ndarray]) -> tuple[str, str]:
            case, array = inferred
            name = f"{case.case}{'.nii.gz' if case.geometry.native_format == 'nifti' else '.png'}"
            write_label(folder / name, self._native_label(case, array), case.geometry)
            return case.case, name

        files = {}
        with self._precision:
            written = write_behind(self._infer(cases), write, lambda inferred: inferred[1].nbytes)
            for done, (case, name) in enumerate(written, start=1):
                files[case] = name
                on_case(done)
        record = {"checkpoint": self.checkpoint.name, "checkpoint_sha256": sha256(self.checkpoint), "cases": files}
        write_json(folder / "predictions.json", record)
        return folder / "predictions.json"

    def _native_label(self, case: Case, array: np.ndarray) -> np.ndarray:
        """A label map on the native grid from what was inferred."""
        if self.native:
            return array
        if self._labels_suffice(case):
            return case.geometry.to_native(array, 0)
        return case.geometry.label_from_logits(array)

    def close(self) -> None:
        """Give the device back."""
        self._allocation.release()


def _on_native_grid(grid: Geometry) -> bool:
    """Whether prepared arrays have the native voxels, in another order of axes at most: labels need no resampling."""
    return grid.shape == slices_first(grid.native_shape, grid.slice_axis)


def predict_prepared(
    checkpoint: str | Path,
    prepared: str | Path,
    patients: Sequence[str],
    output: str | Path,
    *,
    accelerator: str | None = None,
    locate_raw: Callable[[str], Path | None] = lambda dataset: None,
    on_case: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Predict every case with a label of these patients of a prepared data set: the others cannot be scored.

    Args:
        checkpoint: The weights.
        prepared: Folder of the prepared data set the cases are in.
        patients: Whose cases.
        output: Folder of the label files and of `predictions.json`, which is written last.
        accelerator: Overrides the run's own.
        locate_raw: The folder with a data set's published files, by its name; asked only for methods that look at
            native images. None is right for generated data.
        on_case: Called with the number of cases done and their total.

    Raises:
        DataError: The data set has other channels or classes than the run was trained with, or the published files a
            method needs are not there.
    """
    predictor = Predictor(checkpoint, accelerator)
    try:
        dataset = PreparedDataset(prepared)
        own = dataset.info.entry == predictor.info.entry
        for what in ("channels", "classes"):
            ours, theirs = getattr(predictor.info, what), getattr(dataset.info, what)
            renamed = own and what == "classes" and len(ours) == len(theirs)  # since: the network knows no names
            if ours != theirs and not renamed:
                raise DataError(
                    f"the run was trained with {what} {ours}, this data set has {theirs}",
                    file=dataset.folder,
                    remedy="evaluate on a data set with the same channels and classes",
                )
        names = dataset.cases_of(list(patients), labelled=True)
        load: Callable[[str], Case] = partial(dataset.load, with_label=False)
        if predictor.native:
            raw = predictor.config.raw if own and predictor.config.raw is not None else locate_raw(dataset.info.dataset)
            load = NativeCases(dataset, raw).load
        return predictor.predict(map(load, names), Path(output), lambda done: on_case(done, len(names)))
    finally:
        predictor.close()


def predict_snapshots(
    snapshots: Sequence[str | Path],
    prepared: str | Path,
    patients: Sequence[str],
    output: str | Path,
    *,
    locate_raw: Callable[[str], Path | None] = lambda dataset: None,
    on_case: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Predict with several checkpoints of a run in one process; see `predict_prepared`, which predicts with each.

    Args:
        snapshots: The files of weights.
        prepared: Folder of the prepared data set the cases are in.
        patients: Whose cases.
        output: Each checkpoint has a folder of its name in it. `snapshots.json`, which lists them, is written last.
        locate_raw: The folder with a data set's published files, by its name.
        on_case: Called with the number of cases done and their total, over all checkpoints.

    Returns:
        `snapshots.json`.

    Raises:
        CheckpointError: Some files are missing. Nothing was predicted then.
    """
    files = [Path(file) for file in snapshots]
    require_snapshots(files)
    index = Path(output) / SNAPSHOT_INDEX
    index.unlink(missing_ok=True)
    for at, file in enumerate(files):
        predict_prepared(
            file,
            prepared,
            patients,
            index.parent / file.stem,
            locate_raw=locate_raw,
            on_case=lambda done, total, before=at: on_case(before * total + done, len(files) * total),  # type: ignore[misc]
        )
    write_json(index, {"snapshots": [file.stem for file in files]})
    return index


def predict_files(
    checkpoint: str | Path,
    source: str | Path,
    output: str | Path,
    *,
    accelerator: str | None = None,
    on_case: Callable[[int, int], None] = lambda done, total: None,
    on_note: Callable[[str], None] = warnings.warn,
) -> Path:
    """Predict an image file, or every image of a folder, from outside the benchmark; prepared as the training data was.

    A folder in nnU-Net's layout, one file a channel (`case_0000`, `case_0001`, ...), gives one label map a case.

    Args:
        checkpoint: The weights.
        source: A file or a folder.
        output: Folder of the label files and of `predictions.json`, which is written last.
        accelerator: Overrides the run's own.
        on_case: Called with the number of cases done and their total.
        on_note: Called with what should be known of an image that is labelled all the same.

    Raises:
        DataError: There is no image, two are of one name, or one cannot be read; none is passed over.
    """
    predictor = Predictor(checkpoint, accelerator)
    try:
        read = read_inference_image if predictor.native else prepare_inference_image
        images = inference_cases(source, predictor.info)

        if predictor.info.preparation.crop is not None and not predictor.native:
            on_note("the network was trained on boxes around labels; these images are predicted whole")

        def cases() -> Iterator[Case]:
            for case, paths in images.items():
                image = read(paths, case, predictor.info)
                if note := slices_otherwise(image, predictor.info):
                    on_note(note)
                yield image

        return predictor.predict(cases(), Path(output), lambda done: on_case(done, len(images)))
    finally:
        predictor.close()
