"""Predictions on disk, in the geometry and format of the files they belong to."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from contrastseg.data.cases import Case, DatasetJson, PreparedDataset, write_label
from contrastseg.data.native import NativeCases
from contrastseg.data.outside import outside_cases, prepare_outside_image, read_outside_image, slices_otherwise
from contrastseg.errors import DataError
from contrastseg.files import sha256, write_json
from contrastseg.methods.contract import Method
from contrastseg.training import checkpoints, devices
from contrastseg.training.assembly import build_method, restore, stage_training
from contrastseg.training.engines import Labeller, engine_of
from contrastseg.training.faults import device_faults
from contrastseg.training.inference import case_logits
from contrastseg.training.settings import RunConfig


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
        self._claim = devices.claim(accelerator or self.training.accelerator)
        # Not through Fabric: one device and no gradients need nothing of it, and its import takes seconds.
        self.device = torch.device(self._claim.accelerator)
        try:
            self._label = self._prepared_labeller(content) if engine is None else engine.labeller(content, self.device)
        except BaseException:
            self.close()
            raise

    def _prepared_labeller(self, content: Mapping[str, Any]) -> Labeller:
        method: Method = build_method(self.config, len(self.info.channels), len(self.info.classes))
        restore(method, content["modules"], str(self.checkpoint))
        method.modules.to(self.device).eval()

        def label(case: Case) -> np.ndarray:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
                logits = case_logits(
                    method.predict,
                    case.image,
                    self.info.scale,
                    self.config.spatial_dims,
                    self.training.patch_size,
                    self.device,
                    self.training.overlap,
                    self.training.batch_size,
                )
            return case.geometry.label_from_logits(logits)

        return label

    def write(self, case: Case, folder: Path) -> str:
        """Label one case and write the file into `folder`; returns its name."""
        suffix = ".nii.gz" if case.geometry.native_format == "nifti" else ".png"
        with device_faults(self.training.batch_size, self.training.patch_size, training=False):
            label = self._label(case)
        write_label(folder / f"{case.case}{suffix}", label, case.geometry)
        return f"{case.case}{suffix}"

    def write_index(self, folder: Path, files: dict[str, str]) -> None:
        """Write `predictions.json`: which file belongs to which case, and which weights made them."""
        record = {"checkpoint": self.checkpoint.name, "checkpoint_sha256": sha256(self.checkpoint), "cases": files}
        write_json(folder / "predictions.json", record)

    def close(self) -> None:
        """Give the device back."""
        self._claim.release()


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
        dataset, folder = PreparedDataset(prepared), Path(output)
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
        files = {}
        for done, name in enumerate(names, start=1):
            files[name] = predictor.write(load(name), folder)
            on_case(done, len(names))
        predictor.write_index(folder, files)
        return folder / "predictions.json"
    finally:
        predictor.close()


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
    folder = Path(output)
    predictor = Predictor(checkpoint, accelerator)
    try:
        read = read_outside_image if predictor.native else prepare_outside_image
        images = outside_cases(source, predictor.info)
        files = {}
        for done, (case, paths) in enumerate(images.items(), start=1):
            image = read(paths, case, predictor.info)
            if note := slices_otherwise(image, predictor.info):
                on_note(note)
            files[case] = predictor.write(image, folder)
            on_case(done, len(images))
        predictor.write_index(folder, files)
        return folder / "predictions.json"
    finally:
        predictor.close()
