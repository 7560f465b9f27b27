"""enter, export-protocol: predictions of another trainer, all checks before anything is written, from maps to a row."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
import SimpleITK
import yaml
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

from contrastseg import planning
from contrastseg.cli import app
from contrastseg.data.files.formats import read_label
from contrastseg.data.files.itk import keeping_locale
from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.prepare.preparation import prepare_dataset
from contrastseg.data.splits.splits import split_dataset
from contrastseg.errors import ContrastsegError, DataError, EnterError
from contrastseg.evaluation.scoring.collect import read_table
from contrastseg.files import read_json, write_json
from contrastseg.planning.data_paths import prepared_of, split_of, split_settings
from contrastseg.suite import Suite, load_suite

ROOT = Path(__file__).resolve().parents[2]
SUITE = {
    "name": "tiny",
    "datasets": [
        {"name": "lesions", "dataset": "phantom_lesions", "options": {"cases": 10, "size": [32, 40]}},
        {"name": "organs", "dataset": "phantom_organs", "options": {"cases": 8, "size": [24, 32]}},
    ],
    "methods": ["supervised"],
    "labels": ["r0.4", "r1"],
    "training": {"steps": 2, "patch_size": [32, 32]},
    "evaluation": {"metrics": ["dice"]},
}
SUITE["datasets"][1]["training"] = {"patch_size": [8, 16, 16]}  # type: ignore[index]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the suite's prepared data and splits, and no results."""
    folder = tmp_path_factory.mktemp("entered")
    before = Path.cwd()
    os.chdir(folder)
    try:
        Path("tiny.yaml").write_text(yaml.safe_dump(SUITE))
        suite = load_suite("tiny.yaml")
        for entry in suite.datasets:
            store = prepared_of(entry)
            prepare_dataset(entry.name, entry.dataset, entry.options, entry.preparation, None, store)
            split_dataset(entry.name, store, split_settings(suite, entry), split_of(suite, entry))
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def work(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, as working directory."""
    folder = tmp_path / "work"
    shutil.copytree(prepared, folder)
    monkeypatch.chdir(folder)
    return folder


def invoke(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(one) for one in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def enter(folder: Path | str, *more: object, entry: str = "lesions", method: str = "mine") -> str:
    where = ("--suite", "tiny.yaml", "--entry", entry, "--method", method, "--labels", "r0.4")
    return invoke("enter", folder, *where, *more)


def refused(folder: Path | str, *more: object, kind: type = EnterError, **axes: str) -> ContrastsegError:
    """The error of an `enter`, which must leave the results as they were."""
    before = stored()
    with pytest.raises(kind) as caught:
        enter(folder, *more, **axes)
    assert stored() == before
    return caught.value


def stored() -> dict[str, bytes]:
    """Every file of the entered runs; the lock is none."""
    root = Path("results/tiny/entered")
    files = (file for file in root.rglob("*") if file.is_file() and file.name != ".entering.lock")
    return {str(file.relative_to(root)): file.read_bytes() for file in files}


def suite() -> Suite:
    return load_suite("tiny.yaml")


def dataset(entry: str) -> PreparedDataset:
    return PreparedDataset(prepared_of(suite().entry(entry)))


def test_cases(entry: str) -> list[str]:
    split = read_json(split_of(suite(), suite().entry(entry)))
    return dataset(entry).cases_of(split["folds"][0]["test"], labelled=True)


test_cases.__test__ = False  # type: ignore[attr-defined]


def reference(entry: str, case: str) -> NDArray:
    return read_label(dataset(entry).reference_path(case))[0]


def maps(entry: str, folder: str = "maps", change: Callable[[NDArray], NDArray] = lambda labels: labels) -> Path:
    """The references themselves as predictions, changed."""
    path = Path(folder)
    path.mkdir(exist_ok=True)
    for case in test_cases(entry):
        truth = dataset(entry).reference_path(case)
        if truth.suffix == ".png":
            Image.fromarray(change(reference(entry, case))).save(path / truth.name)
        else:
            image = nibabel.load(truth)
            values = change(np.asarray(image.dataobj).astype(np.uint8))
            nibabel.save(nibabel.Nifti1Image(values, image.affine), path / truth.name)
    return path


def collected(*more: str) -> tuple[object, list[dict]]:
    """Scores and records after scoring what was entered."""
    for index in Path("results/tiny/entered").rglob("predictions.json"):
        output = index.parents[3] / "scores" / index.parts[-3] / f"{index.parts[-2]}.csv"
        store = prepared_of(suite().entry(index.parts[-3]))
        invoke("score", "--prediction", index.parent, "--reference", store, "--output", output, "--metric", "dice")
    invoke("plan", "tiny.yaml", "--output", "results/tiny/plan.json")
    invoke("collect", "--results", "results/tiny", "--partial")
    folder = Path("results/tiny/unfinished")
    return read_table(folder / "scores.parquet"), read_json(folder / "cards.json")


# From maps to a row.


@pytest.mark.parametrize("entry", ["lesions", "organs"])
def test_references_entered_score_one_as_an_external_row(work: Path, entry: str) -> None:
    enter(maps(entry), entry=entry)
    scores, records = collected()
    assert set(scores["value"]) == {1.0}
    assert set(scores["case"]) == set(test_cases(entry))
    assert {(row.dataset, row.method, row.variant, row.labels) for row in scores.itertuples()} == {
        (entry, "mine", "default", "r0.4")
    }
    (record,) = records
    assert record["card"]["provenance"] == "external"
    assert not {"wall_s", "hardware", "parameters", "seconds_per_step"} & set(record)
    split = read_json(split_of(suite(), suite().entry(entry)))
    assert record["labelled_patients"] == split["orders"]["0"]["0"][: record["labelled_count"]]


def test_a_plan_scores_entered_runs_and_trains_none(work: Path) -> None:
    before = planning.expand(suite())
    enter(maps("lesions"))
    plan = planning.expand(suite())
    assert plan.runs == before.runs
    (run,) = plan.entered_runs
    assert (run, "lesions", "last") in list(plan.evaluations())
    assert run.folder / "run.json" in plan.records()
    reasons = {item["labels"]: item["reason"] for item in plan.skipped if item["method"] == "mine"}
    assert set(reasons) == {"r1"}
    assert "entered runs: 1" in invoke("plan", "tiny.yaml")
    invoke("enter", "--remove", "--suite", "tiny.yaml", "--entry", "lesions", "--method", "mine")
    assert stored() == {}
    assert planning.expand(suite()).to_json() == before.to_json()


def test_a_suite_that_has_no_place_any_more_says_so_and_keeps_the_predictions(work: Path) -> None:
    enter(maps("lesions"), "--seed", 0)
    kept = stored()
    Path("tiny.yaml").write_text(yaml.safe_dump({**SUITE, "seeds": [1]}))
    plan = planning.expand(suite())
    assert plan.entered == ()
    (item,) = [item for item in plan.skipped if item["method"] == "mine"]
    assert "seed 0" in item["reason"]
    assert stored() == kept


def test_missing_cases_are_an_error_and_may_be_entered_as_missing(work: Path) -> None:
    folder = maps("organs")
    absent = test_cases("organs")[0]
    next(folder.glob(f"{absent}.*")).unlink()
    error = refused(folder, entry="organs")
    assert error.case == absent
    assert "--incomplete" in str(error.remedy)
    enter(folder, "--incomplete", entry="organs")
    scores, _ = collected()
    assert set(scores["case"][scores["outcome"] == "hole"]) == {absent}


def test_nothing_at_all_is_not_incomplete(work: Path) -> None:
    Path("empty").mkdir()
    assert "no label maps" in refused("empty", "--incomplete").reason


# Formats.


def as_nnunet(folder: Path) -> None:
    """What nnU-Net leaves beside its label maps."""
    for file in list(folder.glob("*.nii.gz")):
        case = file.name.removesuffix(".nii.gz")
        np.savez(folder / f"{case}.npz", probabilities=np.zeros((2, 3), np.float16))
        (folder / f"{case}.pkl").write_bytes(b"x")
    for name in ("dataset.json", "plans.json", "predict_from_raw_data_args.json"):
        (folder / name).write_text("{}")


def as_itk(folder: Path) -> None:
    for file in list(folder.glob("*.nii.gz")):
        with keeping_locale():
            name = file.name.replace(".nii.gz", ".nrrd")
            SimpleITK.WriteImage(SimpleITK.ReadImage(str(file)), str(folder / name))
        file.unlink()


def as_numpy(folder: Path) -> None:
    for file in list(folder.glob("*.nii.gz")):
        np.savez(folder / file.name.replace(".nii.gz", ".npz"), label=read_label(file)[0])
        file.unlink()


def as_h5(folder: Path) -> None:
    """With axes as nibabel has them."""
    for file in list(folder.glob("*.nii.gz")):
        with h5py.File(folder / file.name.replace(".nii.gz", ".h5"), "w") as stored:
            stored["image"], stored["label"] = np.zeros(3), read_label(file)[0].transpose()
        file.unlink()


@pytest.mark.parametrize(
    ("convert", "more"),
    [(as_nnunet, ()), (as_itk, ()), (as_numpy, ("--format", "npz", "--axes", "zyx")), (as_h5, ("--format", "h5"))],
)
def test_every_format_gives_the_same_maps(work: Path, convert: Callable[[Path], None], more: tuple) -> None:
    folder = maps("organs")
    convert(folder)
    enter(folder, *more, entry="organs")
    (index,) = Path("results/tiny/entered").rglob("predictions.json")
    assert sorted(read_json(index)["cases"]) == sorted(test_cases("organs"))
    for case in test_cases("organs"):
        assert np.array_equal(read_label(index.parent / f"{case}.nii.gz")[0], reference("organs", case))


def test_arrays_are_taken_for_label_maps_only_where_they_are_named(work: Path) -> None:
    folder = maps("organs")
    as_numpy(folder)
    assert "--format npz" in str(refused(folder, entry="organs").remedy)


def test_a_cube_needs_the_order_of_its_axes(work: Path) -> None:
    from contrastseg.data.files.geometry import Geometry
    from contrastseg.evaluation.entered.grid import on_reference_grid

    array = np.arange(8, dtype=np.uint8).reshape(2, 2, 2)
    geometry = Geometry((2, 2, 2), None, "voxel", None, "nifti", (2, 2, 2))

    def placed(axes: str) -> NDArray:
        file = Path("a.npy")
        return on_reference_grid((array, None, None), geometry, case="a", file=file, reference=file, axes=axes).labels

    with pytest.raises(EnterError, match="either order"):
        placed("")
    assert np.array_equal(placed("zyx"), array)
    assert np.array_equal(placed("xyz"), array.transpose())


def test_masks_of_0_and_255_are_the_one_structure(work: Path) -> None:
    said = enter(maps("lesions", change=lambda labels: labels * 255))
    assert "255 is the structure" in said
    assert set(collected()[0]["value"]) == {1.0}


# Grids.

AWAY = np.zeros((4, 4))
AWAY[:3, 3] = 500


def rewritten(folder: Path, change: Callable[[NDArray, NDArray], tuple[NDArray, NDArray]]) -> Path:
    """The maps of a folder with other voxels and affines."""
    for file in folder.glob("*.nii.gz"):
        image = nibabel.load(file)
        values, affine = change(np.asarray(image.dataobj).astype(np.uint8), image.affine)
        nibabel.save(nibabel.Nifti1Image(values, affine), file)
    return folder


def flipped(values: NDArray, affine: NDArray) -> tuple[NDArray, NDArray]:
    turn = np.diag([-1.0, 1, 1, 1])
    turn[0, 3] = len(values) - 1
    return values[::-1], affine @ turn


def doubled(values: NDArray, affine: NDArray) -> tuple[NDArray, NDArray]:
    """Twice as many voxels along each axis, of half the size, over the same extent."""
    finer = np.diag([0.5, 0.5, 0.5, 1])
    finer[:3, 3] = -0.25
    return values.repeat(2, 0).repeat(2, 1).repeat(2, 2), affine @ finer


@pytest.mark.parametrize("change", [flipped, doubled])
def test_maps_on_another_grid_are_brought_back_where_the_affine_allows(work: Path, change: Callable) -> None:
    said = enter(rewritten(maps("organs"), change), entry="organs")
    assert "brought to the grid of the reference" in said
    scores, (record,) = collected()
    assert set(scores["value"]) == {1.0}
    assert record["moved_maps"] == len(test_cases("organs"))


@pytest.mark.parametrize(
    "change",
    [
        lambda values, affine: (values[:, :, :-4], affine),  # a part of the image
        lambda values, affine: (values, affine + AWAY),
        lambda values, affine: (values[:-1], np.eye(4)),  # no place of its own
    ],
)
def test_maps_that_do_not_cover_their_image_are_refused(work: Path, change: Callable) -> None:
    error = refused(rewritten(maps("organs"), change), entry="organs")
    assert error.case in test_cases("organs")
    assert error.file is not None
    assert "image" in str(error.remedy)


def test_a_photograph_of_another_size_is_refused(work: Path) -> None:
    error = refused(maps("lesions", change=lambda labels: labels[:-1]))
    assert "(31, 40)" in error.reason
    assert "(32, 40)" in error.reason


# What is refused.


def test_undeclared_classes_name_the_values_and_the_classes(work: Path) -> None:
    known = len(dataset("organs").info.classes)
    error = refused(maps("organs", change=lambda labels: labels + (labels == 1) * np.uint8(known)), entry="organs")
    assert str(known + 1) in error.reason
    assert f"0 to {known - 1}" in error.reason
    assert f"1 {dataset('organs').info.classes[1]}" in str(error.remedy)


def test_training_cases_and_strangers_are_refused_by_name(work: Path) -> None:
    split = read_json(split_of(suite(), suite().entry("lesions")))
    trained = dataset("lesions").cases_of(split["folds"][0]["train"])[0]
    folder = maps("lesions")
    Image.fromarray(reference("lesions", trained)).save(folder / f"{trained}.png")
    error = refused(folder)
    assert (error.case, error.file) == (trained, folder / f"{trained}.png")
    assert "training case" in error.reason
    (folder / f"{trained}.png").rename(folder / "unheard_of.png")
    assert refused(folder).case == "unheard_of"


def test_doubled_cases_are_refused(work: Path) -> None:
    folder = maps("lesions")
    case = test_cases("lesions")[0]
    Image.fromarray(reference("lesions", case)).save(folder / f"{case}.bmp")
    error = refused(folder)
    assert error.case == case
    assert "two label maps" in error.reason
    enter(folder, "--format", "png")


def test_damaged_maps_are_refused_and_nothing_is_left(work: Path) -> None:
    folder = maps("lesions")
    last = folder / f"{test_cases('lesions')[-1]}.png"
    last.write_bytes(last.read_bytes()[:40])
    assert refused(folder, kind=DataError).case == test_cases("lesions")[-1]


@pytest.mark.parametrize("name", ["supervised", "PDCR", "nnunet"])
def test_names_of_the_benchmarks_methods_are_refused(work: Path, name: str) -> None:
    assert name.lower() in refused(maps("lesions"), method=name).reason


@pytest.mark.parametrize("name", ["../out", "a b", ".hidden", ""])
def test_names_that_make_no_folder_are_refused(work: Path, name: str) -> None:
    refused(maps("lesions"), method=name)


def test_a_second_row_of_one_name_is_refused_unless_it_replaces(work: Path) -> None:
    folder = maps("lesions")
    enter(folder)
    error = refused(folder)
    assert "--replace" in str(error.remedy)
    enter(maps("lesions", "empty", change=lambda labels: labels * 0), "--replace")
    assert set(collected()[0]["value"]) == {0.0}


@pytest.mark.parametrize(
    ("axes", "word"),
    [
        (("--labels", "n1"), "r0.4"),
        (("--labels", "n99"), "labelled patients"),
        (("--seed", "7"), "seed"),
        (("--fold", "1"), "fold"),
        (("--draw", "3"), "draw"),
        (("--checkpoint", "best_val"), "checkpoint"),
        (("--evaluated-on", "organs"), "evaluation"),
        (("--entry", "lesion"), "lesions"),
    ],
)
def test_axes_that_the_suite_has_not_list_those_it_has(work: Path, axes: tuple[str, str], word: str) -> None:
    assert word in refused(maps("lesions"), *axes).reason


def test_a_budget_of_the_same_count_takes_the_suites_spelling(work: Path) -> None:
    count = len(read_json(split_of(suite(), suite().entry("lesions")))["folds"][0]["train"]) * 4 // 10
    enter(maps("lesions"), "--labels", f"n{count}")
    assert [run.labels for run in planning.expand(suite()).entered_runs] == ["r0.4"]


def test_stated_patients_are_training_patients_of_the_budget(work: Path) -> None:
    folds = read_json(split_of(suite(), suite().entry("lesions")))["folds"][0]
    folder = maps("lesions")
    for patients, word in (
        (folds["test"][:2], "test patient"),
        (folds["train"][:1], "expected 2"),
        ([folds["train"][0]] * 2, "more than once"),
        (["nobody", folds["train"][0]], "not in the split"),
    ):
        assert word in refused(folder, "--stated", json.dumps({"labelled_patients": patients})).reason
    with pytest.raises(ContrastsegError, match="chekpoint"):
        enter(folder, "--stated", '{"chekpoint": "last"}')
    enter(folder, "--stated", json.dumps({"labelled_patients": folds["train"][-2:], "code": "my script 1.2"}))
    _, (record,) = collected()
    assert record["stated"] == {"labelled_patients": folds["train"][-2:], "code": "my script 1.2"}


# The protocol.


def test_an_exported_protocol_has_what_a_stranger_needs_and_no_images(work: Path) -> None:
    invoke("export-protocol", "tiny.yaml", "--entry", "organs", "--output", "protocol.json")
    protocol = read_json("protocol.json")
    split = read_json(split_of(suite(), suite().entry("organs")))
    assert protocol["test"]["organs/fold0"] == sorted(test_cases("organs"))
    assert {part: sorted(cases) for part, cases in protocol["folds"][0].items()} == {
        part: sorted(split["folds"][0][part]) for part in ("train", "val", "test")
    }
    assert protocol["classes"] == dict(zip(map(str, range(9)), dataset("organs").info.classes, strict=False))
    case = test_cases("organs")[0]
    assert tuple(protocol["cases"]["organs"][case]["shape"]) == reference("organs", case).shape
    assert protocol["labelled"]["draw0-fold0"]["r0.4"] == split["orders"]["0"]["0"][:2]
    assert set(protocol["rows"]) == {"organs/r0.4/draw0-fold0", "organs/r1/draw0-fold0"}
    enter(maps("organs"), "--protocol", "protocol.json", entry="organs")
    (index,) = Path("results/tiny/entered").rglob("predictions.json")
    stored_digest = read_json(index)["entered"]["protocol"]["digest"]
    assert stored_digest == protocol["rows"]["organs/r0.4/draw0-fold0"]["digest"]


def resplit(entry: str, seed: int) -> None:
    """Another split in the place of the present one, as edited data or an edited list would give."""
    item = suite().entry(entry)
    file = split_of(suite(), item)
    file.unlink()
    settings = split_settings(suite(), item).model_copy(update={"seed": seed})
    split_dataset(entry, prepared_of(item), settings, file)


def test_another_protocol_is_refused(work: Path) -> None:
    invoke("export-protocol", "tiny.yaml", "--entry", "lesions", "--output", "protocol.json")
    resplit("lesions", 5)
    error = refused(maps("lesions"), "--protocol", "protocol.json")
    assert "the test cases" in error.reason
    write_json("protocol.json", {"rows": {}})
    assert "no row" in refused(maps("lesions"), "--protocol", "protocol.json").reason
    enter(maps("lesions", "new"))


def test_rows_of_another_split_are_outdated_and_not_compared(work: Path) -> None:
    enter(maps("lesions"))
    enter(maps("organs", "others"), entry="organs", method="other")
    resplit("lesions", 5)
    kept = stored()
    scores, records = collected()
    assert set(scores["method"]) == {"other"}
    (record,) = [record for record in records if record["method"] == "mine"]
    assert "the test cases" in record["outdated"]["lesions/last"]
    assert {name: stored()[name] for name in kept} == kept
    from contrastseg.report.content.results_folder import ResultsFolder

    folder = ResultsFolder(Path("results/tiny/unfinished"), Path("resources"), strict=False)
    states = {item["method"]: item.get("state") for item in folder.skipped or () if item["labels"] == "r0.4"}
    assert states["mine"] == "outdated"


def test_predictions_of_other_references_are_not_scored(work: Path) -> None:
    enter(maps("lesions"))
    case = test_cases("lesions")[0]
    Image.fromarray(1 - reference("lesions", case)).save(dataset("lesions").reference_path(case))
    scores, (record,) = collected()
    assert len(scores) == 0
    assert "the references" in record["outdated"]["lesions/last"]


# Whole or not at all.


@pytest.mark.parametrize("sent", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.long)])
def test_an_interrupted_enter_leaves_no_row_and_the_next_one_starts_afresh(work: Path, sent: signal.Signals) -> None:
    folder = maps("lesions")
    halting = (
        "import sys, time\nfrom contrastseg.evaluation.entered import entering\nfrom contrastseg.cli import app\n"
        "write = entering.write_label\n"
        "def slow(*a):\n    write(*a); print('wrote', flush=True); time.sleep(60)\n"
        "entering.write_label = slow\napp(sys.argv[1:])"
    )
    command = [sys.executable, "-c", halting, "enter", folder, "--suite", "tiny.yaml", "--entry", "lesions"]
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [*map(str, command), "--method", "mine", "--labels", "r0.4"],
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "wrote\n"
    with pytest.raises(EnterError, match="at work"):
        enter(folder)
    process.send_signal(sent)
    process.wait(timeout=30)
    assert planning.expand(suite()).entered == ()
    enter(folder)
    assert not [name for name in stored() if name.startswith(".")]
    assert len(planning.expand(suite()).entered) == 1


def test_a_replacement_that_fails_keeps_the_row(work: Path) -> None:
    enter(maps("lesions"))
    broken = maps("lesions", "broken", change=lambda labels: labels + 3)
    refused(broken, "--replace")


def test_a_row_that_was_moved_aside_comes_back(work: Path) -> None:
    """A kill between the two renames of --replace."""
    folder = maps("lesions")
    enter(folder)
    kept = stored()
    root = Path("results/tiny/entered")
    (root / ".replaced").mkdir()
    (root / "lesions").rename(root / ".replaced" / "lesions")
    enter(folder, method="another")
    assert {name: stored()[name] for name in kept} == kept


def test_what_is_to_be_removed_has_to_be_there(work: Path) -> None:
    enter(maps("lesions"))
    where = ("--suite", "tiny.yaml", "--entry", "lesions")
    with pytest.raises(EnterError, match="mine on lesions"):
        invoke("enter", "--remove", *where, "--method", "yours")
    with pytest.raises(EnterError, match="FOLDER"):
        invoke("enter", *where, "--method", "mine")
