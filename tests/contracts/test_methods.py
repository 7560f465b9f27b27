"""What every method there is or will be must do. A method that is added is tested here without a line being written."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from contrastseg.data.files.formats import read_label
from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.splits.split_files import Split
from contrastseg.errors import SuiteError
from contrastseg.losses import consistency
from contrastseg.methods import registry
from contrastseg.methods.contract import Circumstances
from contrastseg.suite import parse_suite
from contrastseg.training import batches, checkpoints, loop
from contrastseg.training.assembly import build_method
from contrastseg.training.prediction import predict_prepared
from contrastseg.training.run import train
from contrastseg.training.settings import RunConfig
from tests.learning import fall_and_spread, falls

METHODS = registry.names()
# What trains with an engine of its own has neither our network nor our batches: it is tested in a file of its own.
OWN_ENGINE = [name for name in METHODS if registry.get(name).engine is not None]
# Half the steps show that a stage learns, but for what first turns its two views towards each other.
LEARNING_STEPS = 15
SLOW_TO_LEARN = {"simsiam": 30}
# A threshold lets labels of its own in as a network gets surer: what they cost begins at 0 and rises.
LEARNS_BY = {"unimatch": "segmentation", "admt": "segmentation"}
# Settings under which the first steps use all that a method has.
AT_ONCE: dict[str, dict[str, Any]] = {"unimatch": {"threshold": 0.0}, "admt": {"threshold": 0.0}}
CASES = [(name, dims) for name in METHODS if name not in OWN_ENGINE for dims in registry.get(name).spatial_dims]
# One of each kind: a network alone, an average, a partner, blocks in the network, stages, mixed images.
ALSO_IN_3D = {"supervised", "mean_teacher", "cps", "pdcr_uafr", "lrc", "bcp"}
# Two checkpoints' worth of steps: a run that is killed after the third resumes from the first checkpoint.
STEPS, KILLED_AT = 4, 3
# Smaller patches than the phantoms' own where time is all they cost; a loss needs the larger ones in order to fall.
PATCHES = {2: [32, 32], 3: [8, 16, 16]}
# Settings whose defaults are sizes for real images, by the number of dimensions.
SMALLER: dict[str, dict[int, dict[str, Any]]] = {
    "semantic_aware": {2: {"patch_size": 32}, 3: {"patch_size": 16}},
    "u2pl": {dims: {"anchors": 32, "width": 32, "memory_size": 256, "memory_push": 64} for dims in (2, 3)},
}


def cases(*, long: Callable[[str, int], bool] = lambda name, dims: False) -> pytest.MarkDecorator:
    """Run a test on every case, one after the other: its `case` is of the module's scope, so that cases share runs.

    Args:
        long: Which of the cases (method, dimensions) only `make test-long` runs.
    """
    marks = {True: [pytest.mark.long], False: []}
    rows = [pytest.param(case, marks=marks[long(*case)], id="{}-{}".format(*case)) for case in CASES]
    return pytest.mark.parametrize("case", rows, indirect=True, scope="module")


def is_repeated(name: str, dims: int) -> bool:
    """Whether a case has more dimensions than another one of its method."""
    return dims > min(registry.get(name).spatial_dims)


def is_like_the_other(name: str, dims: int) -> bool:
    """Whether a case has more dimensions than another one, and its method is not one of those that stand for all."""
    return is_repeated(name, dims) and name not in ALSO_IN_3D


def weights(folder: Path) -> dict[str, torch.Tensor]:
    modules: dict[str, torch.Tensor] = checkpoints.load(folder / "checkpoints" / "last.ckpt")["modules"]
    return modules


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def stages(config: RunConfig, folder: Path) -> RunConfig:
    """Train the stages before the last one; the last one's configuration, with their checkpoints."""
    initial: dict[str, str] = {}
    for stage in registry.get(config.method).stages[:-1]:
        taken = {item.stage: initial[item.stage] for item in stage.init_from}
        train(config.model_copy(update={"stage": stage.name, "initial": taken}), folder / stage.name)
        initial[stage.name] = str(folder / stage.name / "checkpoints" / "last.ckpt")
    last = {item.stage: initial[item.stage] for item in registry.get(config.method).stages[-1].init_from}
    return config.model_copy(update={"initial": last})


def phantom_for(name: str, dims: int, phantoms: dict[int, Any]) -> Any:
    """The phantom a method is tried on: slices of volumes for a 2D method that does not apply to photographs."""
    photographs = Circumstances(dims, 0.5, False, 3)
    if dims == 2 and registry.get(name).applies_to(photographs) is not None:
        return replace(phantoms[3], spatial_dims=2)
    return phantoms[dims]


class Killed(Exception):
    """Stands for the signal that ends a run."""


def kill_at(step: int) -> Any:
    def on_step(done: int) -> None:
        if done == step:
            raise Killed

    return on_step


def quick_config(name: str, phantom: Any, dims: int, **training: Any) -> RunConfig:
    """A run of a method on a phantom with small patches."""
    settings = {**SMALLER.get(name, {}).get(dims, {}), **AT_ONCE.get(name, {})}
    return phantom.config(name, training={"patch_size": PATCHES[dims], **training}, settings=settings)


@dataclass(frozen=True)
class Case:
    """A method in one number of dimensions, and the phantom it is tried on."""

    name: str
    dims: int
    phantom: Any


@dataclass(frozen=True)
class Trained:
    """Some steps of a case: the last stage's configuration, and the folder of every stage's run."""

    config: RunConfig
    folders: dict[str, Path]

    @property
    def folder(self) -> Path:
        """Of the last stage."""
        return self.folders["train"]

    def stage(self, name: str) -> RunConfig:
        """The configuration of a stage; it starts from the checkpoints of these runs."""
        taken = [item.stage for item in registry.get(self.config.method).stage(name).init_from]
        initial = {stage: str(self.folders[stage] / "checkpoints" / "last.ckpt") for stage in taken}
        return self.config.model_copy(update={"stage": name, "initial": initial})


@pytest.fixture(scope="module")
def case(request: pytest.FixtureRequest, phantoms: dict[int, Any]) -> Case:
    """The case that `cases` names."""
    name, dims = request.param
    return Case(name, dims, phantom_for(name, dims, phantoms))


@pytest.fixture(scope="module")
def trained(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """What several tests compare a run of their own with."""
    folder = tmp_path_factory.mktemp(case.name)
    config = stages(quick_config(case.name, case.phantom, case.dims, steps=STEPS), folder)
    train(config, folder / config.stage)
    return Trained(config, {stage.name: folder / stage.name for stage in registry.get(case.name).stages})


@pytest.fixture(scope="module")
def torch_after_reading() -> dict[str, bool]:
    """Per method whether torch was imported once its metadata was read; one process reads all."""
    code = (
        "import sys, json; from contrastseg.methods import registry; from contrastseg.methods.contract import *\n"
        "def read(name):\n"
        "    m = registry.get(name); m.resolve(); m.applies_to(Circumstances(2, 0.5, True, 2))\n"
        "    json.dumps(list(m.variants))\n"
        "    return 'torch' in sys.modules\n"
        f"print(json.dumps({{name: read(name) for name in {METHODS!r}}}))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found: dict[str, bool] = json.loads(result.stdout)
    return found


@pytest.mark.parametrize("name", METHODS)
def test_metadata_is_complete_and_read_without_torch(name: str, torch_after_reading: dict[str, bool]) -> None:
    """The first method that imports torch fails, and those after it."""
    assert not torch_after_reading[name]
    method = registry.get(name)
    card = method.card
    assert card.title
    assert card.paper
    assert card.summary
    assert card.provenance in ("official", "published", "reconstructed")
    assert card.provenance != "reconstructed" or card.options, "a reconstructed method names its choices"
    assert set(card.options) <= set(method.defaults), "every choice is a setting"
    assert method.stages[-1].name == "train"
    assert len({stage.name for stage in method.stages}) == len(method.stages)
    assert "default" in method.variants
    for variant in method.variants:
        method.resolve(variant)
    json.dumps(dict(method.defaults))


@pytest.mark.parametrize("name", METHODS)
def test_unknown_variants_and_settings_list_the_known_ones(name: str) -> None:
    method = registry.get(name)
    with pytest.raises(SuiteError, match="default"):
        method.resolve("no_such_variant")
    with pytest.raises(SuiteError, match="no_such_setting"):
        method.resolve("default", {"no_such_setting": 1})
    with pytest.raises(SuiteError, match="train"):
        method.stage("no_such_stage")


def is_of_names(value: Any) -> bool:
    """Whether a setting's value is a name, or a list with one."""
    return isinstance(value, str) or (isinstance(value, list | tuple) and any(isinstance(one, str) for one in value))


@pytest.mark.parametrize("name", METHODS)
def test_settings_that_name_a_way_say_which_there_are(name: str) -> None:
    """A setting whose default is a text is a choice: none of this package's is free text."""
    method = registry.get(name)
    assert {setting for setting, value in method.defaults.items() if is_of_names(value)} <= set(method.choices)
    assert set(method.choices) <= set(method.defaults), "a choice of a setting that there is not"
    for setting, choices in method.choices.items():
        assert len(set(choices)) == len(choices) > 1
        for variant in method.variants:
            value = method.resolve(variant)[setting]
            assert value is None or set([value] if isinstance(value, str) else value) <= set(choices)
        for choice in choices:
            value = choice if not isinstance(method.defaults[setting], list | tuple) else [choice]
            assert method.resolve("default", {setting: value})[setting] == value


@pytest.mark.parametrize(
    ("name", "setting"), [(name, setting) for name in METHODS for setting in sorted(registry.get(name).choices)]
)
def test_a_way_that_there_is_not_is_refused_with_the_suite(name: str, setting: str) -> None:
    method = registry.get(name)
    wrong: list[Any] = ["no_such_way"]
    if isinstance(method.defaults[setting], list | tuple):
        wrong = [["no_such_way"], [method.choices[setting][0], "no_such_way"], []]
    for value in wrong:
        for entry in ({"settings": {setting: value}}, {"variants": {"mine": {setting: value}}}):
            suite = {
                "name": "small",
                "datasets": ["phantom_lesions"],
                "methods": [{"name": name, **entry}],
                "comparison": {"baseline": name},
            }
            with pytest.raises(SuiteError, match=f"unknown {setting} of {name} '.*'; there are: ") as caught:
                parse_suite(suite)
            assert all(choice in str(caught.value) for choice in method.choices[setting])


@pytest.mark.parametrize("name", METHODS)
def test_applies_to_gives_a_reason_where_it_does_not(name: str) -> None:
    method = registry.get(name)
    assert method.applies_to(Circumstances(method.spatial_dims[0], 0.1, True, 3)) is None
    at_all = method.applies_to(Circumstances(method.spatial_dims[0], 1.0, True, 3))
    if method.stages[-1].data == "both":
        assert at_all is not None
        assert "labelled" in at_all
    else:
        assert at_all is None


@pytest.mark.parametrize("name", [name for name in OWN_ENGINE if registry.module_of(name).startswith("contrastseg.")])
def test_what_has_an_engine_of_its_own_has_tests_of_its_own(name: str) -> None:
    assert (Path(__file__).parents[1] / "methods" / f"test_{name}.py").is_file()
    assert registry.get(name).card.differs, "what the suite's settings do not reach is said on the card"


@cases(long=is_like_the_other)
@pytest.mark.learns
def test_killed_runs_resume_to_the_same_bits_seeds_matter_and_predictions_fit(
    case: Case, trained: Trained, tmp_path: Path
) -> None:
    config = trained.config
    assert json.loads((trained.folder / "run.json").read_text())["steps"] == STEPS
    with pytest.raises(Killed):
        train(config, tmp_path / "killed", on_step=kill_at(KILLED_AT))
    assert not (tmp_path / "killed" / "run.json").exists()
    train(config, tmp_path / "killed")
    assert equal(weights(trained.folder), weights(tmp_path / "killed"))
    rows = (tmp_path / "killed" / "log.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["step", *(str(step + 1) for step in range(STEPS))]
    train(config.model_copy(update={"seed": 1}), tmp_path / "other")
    assert not equal(weights(trained.folder), weights(tmp_path / "other"))

    patients = Split.from_file(case.phantom.split).test()[:1]
    checkpoint = trained.folder / "checkpoints" / "last.ckpt"
    predict_prepared(checkpoint, case.phantom.data, patients, tmp_path / "predictions")
    dataset = PreparedDataset(case.phantom.data)
    for image in dataset.cases_of(patients):
        label, _, _ = read_label(tmp_path / "predictions" / dataset.native_name(image))
        assert label.shape == dataset.geometry(image).native_shape
        assert label.max() < dataset.num_classes


@pytest.fixture
def standing_still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step sees the first step's batch, and methods draw what they drew there; no weight rises."""
    build, seed = batches.Batches.__call__, loop.stream_seed
    monkeypatch.setattr(batches.Batches, "__call__", lambda self, step: build(self, 0))
    monkeypatch.setattr(loop, "stream_seed", lambda run, stream, step, rank: seed(run, stream, 0, rank))
    monkeypatch.setattr(consistency, "sigmoid_rampup", lambda step, steps, share=0.4: 1.0)


@cases(long=is_repeated)
@pytest.mark.learns
@pytest.mark.usefixtures("standing_still")
def test_loss_is_finite_and_falls(case: Case, tmp_path: Path, record_property: Any) -> None:
    """By several times what it moves from step to step: the last bit of a sum does not decide."""
    still = {
        "flip_axes": [],
        "rotation_degrees": 0,
        "scale": [1, 1],
        "shift": 0,
        "brightness": 0,
        "contrast": [1, 1],
        "gamma": [1, 1],
        "noise": 0,
    }
    steps = SLOW_TO_LEARN.get(case.name, LEARNING_STEPS)
    training: dict[str, Any] = {
        "steps": steps,
        "optimiser": {"learning_rate": 3e-2, "schedule": "poly"},
        "checkpoint_every": steps,
        "batch_size": 4,
        "foreground_fraction": 1,
    }
    # Stillness as the stage's own setting is stronger than the views that a pre-training stage brings along.
    config = case.phantom.config(case.name, labels="n1", training=training, stage_training={"augmentation": still})
    train(stages(config, tmp_path), tmp_path / "train")
    for stage in registry.get(case.name).stages:
        log = np.genfromtxt(tmp_path / stage.name / "log.csv", delimiter=",", names=True)
        losses = log[LEARNS_BY.get(case.name, "loss")]
        record_property(stage.name, fall_and_spread(losses))
        assert falls(losses), stage.name


def without_other_labels(phantom: Any, labels: str, folder: Path) -> Path:
    """A copy of the prepared data that has the labels of a subset alone."""
    shutil.copytree(phantom.data, folder)
    dataset, split = PreparedDataset(folder), Split.from_file(phantom.split)
    for image in set(dataset.cases) - set(dataset.cases_of(split.labelled(labels))):
        (folder / "cases" / image / "label.npy").unlink()
        dataset.reference_path(image).unlink()
    return folder


def change_other_images(data: Path, split: Split, labels: str) -> None:
    """Mirror the images of the training patients outside a subset."""
    unlabelled = [patient for patient in split.train() if patient not in split.labelled(labels)]
    for image in PreparedDataset(data).cases_of(unlabelled):
        path = data / "cases" / image / "image.npy"
        np.save(path, np.load(path)[..., ::-1])


@cases(long=is_like_the_other)
def test_exactly_the_declared_data_is_used(case: Case, trained: Trained, tmp_path: Path) -> None:
    """Other labels are never read, and other images change a stage's weights where it says that it uses them.

    A stage that does not is trained once, without these labels and with these images changed: its weights stay. One
    that does is trained without the labels first.
    """
    labels = trained.config.labels
    data = {False: without_other_labels(case.phantom, labels, tmp_path / "unlabelled")}
    data[True] = shutil.copytree(data[False], tmp_path / "changed")
    change_other_images(data[True], Split.from_file(case.phantom.split), labels)
    for stage in registry.get(case.name).stages:
        uses = stage.data != "labelled"
        for changed in (False, True) if uses else (True,):
            folder = tmp_path / f"{stage.name}-{changed}"
            train(trained.stage(stage.name).model_copy(update={"data": str(data[changed])}), folder)
            assert equal(weights(trained.folders[stage.name]), weights(folder)) != (uses and changed), stage.name


@cases()
def test_every_weight_of_the_network_starts_alike(case: Case, phantoms: dict[int, Any]) -> None:
    """Every method of a comparison gets the same initial network; what it adds is its own."""
    phantom = phantoms[case.dims]
    reference = build_method(phantom.config("supervised"), 1, 3).modules["network"].state_dict()
    network = build_method(phantom.config(case.name), 1, 3).modules["network"].state_dict()
    for key, value in reference.items():
        assert torch.equal(network[key], value), key
