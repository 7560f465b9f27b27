"""nnU-Net for real, on phantoms and the CPU: planner, trainer, predictor, and what the variants add to them."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from contrastseg.data.files.formats import read_label
from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.prepare.native import NativeCases
from contrastseg.data.registry import registry as datasets
from contrastseg.data.splits.split_files import Split
from contrastseg.errors import CheckpointError, DataError, TrainingError
from contrastseg.evaluation.scoring.scoring import score_folder
from contrastseg.methods import registry
from contrastseg.methods.contract import Circumstances
from contrastseg.networks.uafr import UncertaintyReweighting
from contrastseg.training import checkpoints
from contrastseg.training.nnunet import labeller
from contrastseg.training.nnunet.data import workplace
from contrastseg.training.prediction import predict_files, predict_prepared
from contrastseg.training.run import train

# The phantoms are small, and so are nnU-Net's plans for them: its decoder ends at stride 4.
SHORT = {"epochs": 2, "iterations_per_epoch": 2, "decoder_strides": (2, 4)}


@pytest.fixture(scope="module")
def trained(phantoms: dict[int, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of nnU-Net in 2D."""
    folder: Path = tmp_path_factory.mktemp("nnunet")
    train(phantoms[2].config("nnunet", settings=SHORT), folder)
    return folder


def last(folder: Path) -> dict[str, Any]:
    return checkpoints.load(folder / "checkpoints" / "last.ckpt")


def equal(one: Path, other: Path) -> bool:
    ours, theirs = last(one)["modules"], last(other)["modules"]
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_run_leaves_what_every_run_leaves(trained: Path, phantoms: dict[int, Any], tmp_path: Path) -> None:
    record = json.loads((trained / "run.json").read_text())
    assert record.keys() == train(phantoms[2].config("supervised"), tmp_path).keys()
    assert record["steps"] == record["training"]["steps"] == 4
    assert record["training"]["patch_size"] == [40, 48], "what nnU-Net planned, not what the suite says"
    assert (record["printed_name"], record["name_note"]) == ("nnU-Net", "2 × 2 iterations")
    assert record["versions"]["nnunetv2"] != "absent"
    with open(trained / "log.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["2", "4"]
    for row in rows:
        assert np.isfinite(float(row["loss"]))
        assert float(row["loss"]) == pytest.approx(float(row["segmentation"]))
    assert not (trained / "nnunet").exists(), "what it worked with is gone"
    assert [path.name for path in (trained / "checkpoints").iterdir()] == ["last.ckpt"]


def test_only_the_labelled_patients_train(trained: Path, phantoms: dict[int, Any]) -> None:
    content = last(trained)
    assert content["dataset_json"]["numTraining"] == 2
    assert "ignore" not in content["dataset_json"]["labels"]
    assert set(content["dataset_json"]["channel_names"].values()) == {"rgb_to_0_1"}


def test_predictions_are_native_and_can_be_scored(trained: Path, phantoms: dict[int, Any], tmp_path: Path) -> None:
    phantom = phantoms[2]
    patients = Split.from_file(phantom.split).test()
    predict_prepared(trained / "checkpoints" / "last.ckpt", phantom.data, patients, tmp_path)
    dataset = PreparedDataset(phantom.data)
    assert json.loads((tmp_path / "predictions.json").read_text())["cases"].keys() == set(dataset.cases_of(patients))
    for case in dataset.cases_of(patients):
        assert read_label(tmp_path / dataset.native_name(case))[0].shape == dataset.geometry(case).native_shape
    scores = score_folder(tmp_path, phantom.data, ["dice"], "default")
    assert np.isfinite(scores["value"]).any()


def test_images_from_outside_are_predicted_on_their_own_grid(trained: Path, tmp_path: Path) -> None:
    from PIL import Image

    image = np.random.default_rng(0).integers(0, 255, (57, 44, 3), dtype=np.uint8)
    (tmp_path / "images").mkdir()
    Image.fromarray(image).save(tmp_path / "images" / "one.png")
    predict_files(trained / "checkpoints" / "last.ckpt", tmp_path / "images", tmp_path / "out")
    assert np.array(Image.open(tmp_path / "out" / "one.png")).shape == (57, 44)
    Image.fromarray(image[..., 0]).save(tmp_path / "grey.png")
    predict_files(trained / "checkpoints" / "last.ckpt", tmp_path / "grey.png", tmp_path / "out")
    assert (tmp_path / "out" / "grey.png").is_file()


def test_a_killed_run_resumes_to_the_same_bits_and_the_seed_matters(
    trained: Path, phantoms: dict[int, Any], tmp_path: Path
) -> None:
    def killed(done: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    config = phantoms[2].config("nnunet", settings=SHORT)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "run", on_step=killed)
    assert not (tmp_path / "run" / "run.json").exists()
    plans = next((tmp_path / "run" / "nnunet").rglob("nnUNetPlans.json"))
    made = plans.stat().st_mtime_ns
    seen: list[int] = []

    def watched(done: int) -> None:
        assert plans.stat().st_mtime_ns == made, "what was preprocessed is not preprocessed again"
        seen.append(done)

    train(config, tmp_path / "run", on_step=watched)
    assert seen == [2, 3, 4]
    assert equal(tmp_path / "run", trained)
    assert (tmp_path / "run" / "log.csv").read_text().count("\n") == 3
    with pytest.raises(KeyboardInterrupt):
        train(config.model_copy(update={"seed": 1}), tmp_path / "run", on_step=killed)
    newest = tmp_path / "run" / "checkpoints" / checkpoints.RESUME
    newest.write_bytes(newest.read_bytes()[:1000])
    seen.clear()
    train(config.model_copy(update={"seed": 1}), tmp_path / "run", on_step=seen.append)
    assert seen == [0, 1, 2, 3, 4], "a damaged checkpoint is not taken for a whole one"
    assert not equal(tmp_path / "run", trained)


def make_trainer(content: dict[str, Any], folder: Path, **settings: Any) -> Any:
    from contrastseg.training.nnunet.trainer import Trainer

    settings = {**content["config"]["settings"], **settings}
    described = content["plans"], content["dataset_json"], content["configuration"]
    with workplace(folder, 0):
        data = folder / "preprocessed" / "Dataset001_benchmark" / "nnUNetPlans_2d"
        data.mkdir(parents=True)
        (data / "case.b2nd").touch()  # the trainer chooses its reader by the files there are
        device, method = torch.device("cpu"), registry.get("nnunet")
        return Trainer.make(*described, device=device, method=method, settings=settings, seed=0)


def batch() -> tuple[torch.Tensor, list[torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    label = torch.zeros(2, 1, 40, 48, dtype=torch.int16)
    label[:, :, 10:30, :20] = 1
    images = torch.randn(2, 3, 40, 48, generator=generator) + label
    return images, [label[..., ::step, ::step] for step in (1, 2, 4)]


def test_pdcr_adds_its_terms_to_the_loss_and_its_adapters_to_the_optimiser(trained: Path, tmp_path: Path) -> None:
    images, target = batch()
    plain, trainer = (make_trainer(last(trained), tmp_path / str(pdcr), pdcr=pdcr) for pdcr in (False, True))
    loss = trainer.loss(trainer.network(images), target)
    terms = trainer.loss.means()
    assert list(terms) == ["segmentation", "pdcr_encoder", "pdcr_decoder", "pdcr_cross"]
    assert loss.item() == pytest.approx(sum(terms.values()), rel=1e-5)
    own = plain.loss(plain.network(images), target)
    assert own.item() == pytest.approx(terms["segmentation"], rel=1e-5), "the network starts alike"
    assert all(terms[name] != 0 for name in terms)
    loss.backward()
    adapter = trainer.network.pdcr["fine_adapter"][0].weight
    assert float(adapter.grad.abs().sum()) > 0
    assert any(adapter is parameter for group in trainer.optimizer.param_groups for parameter in group["params"])
    assert not hasattr(plain.network, "pdcr")


def test_pdcr_does_not_count_what_is_to_be_ignored(trained: Path, tmp_path: Path) -> None:
    content = last(trained)
    content["dataset_json"]["labels"]["ignore"] = 2
    trainer = make_trainer(content, tmp_path, pdcr=True)
    images, target = batch()
    target[0][:, :, :, 30:] = 2
    regularisation, labels = trainer.regulariser.regularisation, []

    def watched(features: Any, label: torch.Tensor) -> dict[str, torch.Tensor]:
        labels.append(label)
        terms: dict[str, torch.Tensor] = regularisation(features, label)
        return terms

    trainer.regulariser.regularisation = watched
    assert torch.isfinite(trainer.loss(trainer.network(images), target))
    assert labels[0].unique().tolist() == [0, 1, 255]


def test_uafr_is_in_the_checkpoint_and_in_the_prediction(
    trained: Path, phantoms: dict[int, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(last(trained), tmp_path, uafr=True)
    stages = len(trainer.network.decoder.stages)
    assert sum(isinstance(module, UncertaintyReweighting) for module in trainer.network.modules()) == stages
    content = last(trained)
    content["config"]["settings"]["uafr"] = True
    with pytest.raises(CheckpointError, match="does not fit"):
        labeller(content, torch.device("cpu"))
    content["modules"] = trainer.network.state_dict()
    assert sum("head" in name for name in content["modules"]) > 0
    calls = []
    own = UncertaintyReweighting.forward
    monkeypatch.setattr(UncertaintyReweighting, "forward", lambda self, x: calls.append(x.shape) or own(self, x))
    dataset = PreparedDataset(phantoms[2].data)
    case = NativeCases(dataset, None).load(dataset.cases[0])
    assert labeller(content, torch.device("cpu"))(case).shape == case.geometry.native_shape
    assert calls
    assert len(calls) % stages == 0


def test_the_schedule_is_part_of_the_name_only_when_it_is_another() -> None:
    method = registry.get("nnunet")
    assert method.name_note(method.resolve()) == ""
    assert method.own_training(method.resolve())["steps"] == 250_000
    assert method.name_note(method.resolve("pdcr", {"epochs": 20, "iterations_per_epoch": 50})) == "20 × 50 iterations"


def test_it_applies_in_2d_and_to_volumes_in_3d() -> None:
    method = registry.get("nnunet")
    assert method.applies_to(Circumstances(2, 1.0, False, 2)) is None
    assert method.applies_to(Circumstances(3, 0.1, True, 5)) is None
    assert "volumes" in str(method.applies_to(Circumstances(3, 0.1, False, 2)))


def test_what_cannot_be_planned_is_said(phantoms: dict[int, Any], tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="2d"):
        train(phantoms[2].config("nnunet", settings={**SHORT, "configuration": "3d_fullres"}), tmp_path)


def altered(monkeypatch: pytest.MonkeyPatch, change: Any, **facts: Any) -> None:
    """Let the lesions' published files be others than they were when they were prepared."""
    spec = datasets.get("phantom_lesions")
    load = spec.load
    other = dataclasses.replace(spec, load=lambda raw, options: change(load(raw, options)), **facts)
    monkeypatch.setattr(datasets, "get", lambda name, options=None: other)


def test_labels_to_ignore_become_its_ignore_label_and_validation_chooses_a_checkpoint(
    phantoms: dict[int, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def partly_unknown(native: Any) -> Any:
        label = native.label.copy()
        label[:5] = 255
        return dataclasses.replace(native, label=label)

    altered(monkeypatch, partly_unknown, ignore=True)
    training = {"validate_every": 2, "checkpoint_every": 100, "snapshot_every": 1}
    config = phantoms[2].config("nnunet", variant="pdcr_uafr", settings=SHORT, training=training)
    record = train(config, tmp_path)
    assert last(tmp_path)["dataset_json"]["labels"] == {"background": 0, "lesion": 1, "ignore": 2}
    with open(tmp_path / "log.csv") as file:
        scores = {int(row["step"]): float(row["val_dice"]) for row in csv.DictReader(file)}
    assert list(scores) == [2, 4]
    assert record["best_val_dice"] == max(scores.values())
    best = checkpoints.load(tmp_path / "checkpoints" / "best_val.ckpt")
    assert best["step"] == record["best_val_step"] == max(scores, key=lambda step: scores[step])
    # A snapshot that falls due in an epoch waits for its end.
    saved = {path.stem: checkpoints.load(path)["step"] for path in (tmp_path / "checkpoints").glob("step*.ckpt")}
    assert saved == {"step1": 2, "step2": 2, "step3": 4}


def test_nothing_labelled_is_an_error_with_a_remedy(
    phantoms: dict[int, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    altered(monkeypatch, lambda native: dataclasses.replace(native, label=np.zeros_like(native.label)))
    with pytest.raises(TrainingError, match="have none"):
        train(phantoms[2].config("nnunet", settings=SHORT), tmp_path)


def test_files_that_changed_since_they_were_prepared_are_refused(
    phantoms: dict[int, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cropped(native: Any) -> Any:
        return dataclasses.replace(native, image=native.image[:, 1:], label=native.label[1:])

    altered(monkeypatch, cropped)
    with pytest.raises(DataError, match="have changed"):
        train(phantoms[2].config("nnunet", settings=SHORT), tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("variant", ["default", "pdcr_uafr"])
def test_volumes_in_3d(variant: str, phantoms: dict[int, Any], tmp_path: Path) -> None:
    phantom = phantoms[3]
    record = train(phantom.config("nnunet", variant=variant, settings=SHORT), tmp_path / "run")
    assert len(record["training"]["patch_size"]) == 3
    patients = Split.from_file(phantom.split).test()
    predict_prepared(tmp_path / "run" / "checkpoints" / "last.ckpt", phantom.data, patients, tmp_path / "out")
    dataset = PreparedDataset(phantom.data)
    for case in dataset.cases_of(patients):
        label, spacing, _ = read_label(tmp_path / "out" / dataset.native_name(case))
        geometry = dataset.geometry(case)
        assert label.shape == geometry.native_shape
        assert spacing == pytest.approx(geometry.native_spacing)
    assert np.isfinite(score_folder(tmp_path / "out", phantom.data, ["dice"], "default")["value"]).any()


@pytest.mark.long
def test_slices_of_volumes_with_augmentation_workers(phantoms: dict[int, Any], tmp_path: Path) -> None:
    phantom = dataclasses.replace(phantoms[3], spatial_dims=2)
    config = phantom.config("nnunet", settings={**SHORT, "augmentation_workers": 1}, training={"patch_size": [32, 32]})
    record = train(config, tmp_path / "run")
    assert record["training"]["augmentation"]["workers"] == 1
    assert len(record["training"]["patch_size"]) == 2
    patients = Split.from_file(phantom.split).test()
    predict_prepared(tmp_path / "run" / "checkpoints" / "last.ckpt", phantom.data, patients, tmp_path / "out")
    dataset = PreparedDataset(phantom.data)
    for case in dataset.cases_of(patients):
        label, _, _ = read_label(tmp_path / "out" / dataset.native_name(case))
        assert label.shape == dataset.geometry(case).native_shape


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here: half precision and workers run on one")
def test_on_a_gpu(phantoms: dict[int, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    config = phantoms[2].config("nnunet", variant="pdcr_uafr", settings=SHORT, training={"accelerator": "cuda"})
    record = train(config, tmp_path)
    assert record["precision"] == "16-mixed"
    assert record["device_uuid"].startswith("GPU-")


def test_without_augmentation_images_stay_as_they_are(trained: Path, phantoms: dict[int, Any], tmp_path: Path) -> None:
    usual, plain = (make_trainer(last(trained), tmp_path / str(on), augmentation=on) for on in (True, False))
    images, target = batch()
    shown = {"image": images[0], "segmentation": target[0][0]}
    seen = []
    for trainer in (usual, plain):
        rotation, dummy, _, axes = trainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size()
        transforms = trainer.get_training_transforms(
            trainer.configuration_manager.patch_size, rotation, None, axes, dummy, foreground_labels=[1]
        )
        torch.manual_seed(0)
        seen.append(
            torch.equal(transforms(**{name: value.clone() for name, value in shown.items()})["image"], images[0])
        )
    assert seen == [False, True]
    assert plain.inference_allowed_mirroring_axes is None
    assert usual.inference_allowed_mirroring_axes is not None
    folder = tmp_path / "run"
    train(phantoms[2].config("nnunet", settings={**SHORT, "augmentation": False}), folder)
    assert last(folder)["mirror_axes"] == []
    patients = Split.from_file(phantoms[2].split).test()[:1]
    predict_prepared(folder / "checkpoints" / "last.ckpt", phantoms[2].data, patients, tmp_path / "out")
    assert list((tmp_path / "out").glob("*.png"))
