from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas as pd
import pytest

from contrastseg.data.files.formats import write_label
from contrastseg.data.files.geometry import Geometry
from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.errors import ScoringError
from contrastseg.evaluation.metrics.catalogue import OUTCOMES
from contrastseg.evaluation.scoring.predictions import missing_predictions
from contrastseg.evaluation.scoring.scoring import (
    CONVENTION_COLUMNS,
    SCORE_COLUMNS,
    score_by_conventions,
    score_file,
    score_folder,
)

SHAPE = (4, 8, 8)
AFFINE = [[-1.5, 0, 0, 0], [0, -1.5, 0, 0], [0, 0, 10, 0], [0, 0, 0, 1]]
GEOMETRY = Geometry(SHAPE, (10.0, 1.5, 1.5), "mm", AFFINE, "nifti", SHAPE)
DIAGONAL = math.hypot(30, 10.5, 10.5)
CLASSES = ("background", "RV", "LV")


def label(*boxes: tuple[int, int]) -> np.ndarray:
    """A volume with class k in the k-th column range."""
    array = np.zeros(SHAPE, np.uint8)
    for value, (start, stop) in enumerate(boxes, start=1):
        array[1:3, 2:6, start:stop] = value
    return array


def write(folder: Path, case: str, array: np.ndarray, geometry: Geometry = GEOMETRY) -> Path:
    path = folder / (f"{case}.nii.gz" if geometry.native_format == "nifti" else f"{case}.png")
    folder.mkdir(exist_ok=True)
    write_label(path, array, geometry)
    return path


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Predictions and references of three cases: perfect, LV missed, RV invented."""
    predictions, references = tmp_path / "predictions", tmp_path / "references"
    for case, prediction, reference in (
        ("a", label((1, 4), (4, 7)), label((1, 4), (4, 7))),
        ("b", label((1, 4)), label((1, 4), (4, 7))),
        ("c", label((1, 4), (4, 7)), np.where(label((1, 4), (4, 7)) == 2, 2, 0).astype(np.uint8)),
    ):
        write(predictions, case, prediction)
        write(references, case, reference)
    return predictions, references


@pytest.fixture
def prepared(tmp_path: Path, folders: tuple[Path, Path]) -> PreparedDataset:
    """The references as a prepared data set of two patients, one of them with two frames, and an unlabelled case."""
    folder = tmp_path / "prepared"
    card = {
        "entry": "hearts",
        "dataset": "hearts",
        "title": "Hearts",
        "modality": "MR",
        "spatial_dims": 3,
        "slice_axis": 0,
        "channels": ["MR"],
        "classes": list(CLASSES),
        "unit": "mm",
        "native_format": "nifti",
        "licence": "none",
        "citation": "none",
        "scale": 1.0,
        "preparation": {},
        "source": {},
        "notes": [],
    }
    folder.mkdir()
    (folder / "dataset.json").write_text(json.dumps(card))
    rows = [("a", "p1", "ED", "true"), ("b", "p1", "ES", "true"), ("c", "p2", "", "true"), ("d", "p3", "", "false")]
    lines = [f"{case},{patient},{frame},{labelled},4x8x8,10.0x1.5x1.5" for case, patient, frame, labelled in rows]
    (folder / "cases.csv").write_text("case,patient,frame,labelled,shape,spacing\n" + "\n".join(lines) + "\n")
    for case, *_ in rows:
        (folder / "cases" / case).mkdir(parents=True)
        GEOMETRY.to_json(folder / "cases" / case / "geometry.json")
    folders[1].rename(folder / "references")
    return PreparedDataset(folder)


def values(scores: pd.DataFrame, metric: str) -> dict[tuple[str, str], float]:
    rows = scores[scores["metric"] == metric]
    return dict(zip(zip(rows["case"], rows["class"], strict=True), rows["value"], strict=True))


def test_every_case_class_and_metric_has_its_row(folders: tuple[Path, Path]) -> None:
    scores = score_folder(*folders, ("dice", "hd95"), classes=CLASSES)
    assert list(scores.columns) == list(SCORE_COLUMNS)
    assert len(scores) == 3 * 2 * 2
    assert values(scores, "dice") == pytest.approx(
        {("a", "RV"): 1, ("a", "LV"): 1, ("b", "RV"): 1, ("b", "LV"): 0, ("c", "RV"): 0, ("c", "LV"): 1}
    )
    assert values(scores, "hd95")["b", "LV"] == values(scores, "hd95")["c", "RV"] == pytest.approx(DIAGONAL)
    outcomes = scores[scores["metric"] == "dice"].set_index(["case", "class"])["outcome"]
    assert outcomes["b", "LV"] == "missed"
    assert outcomes["c", "RV"] == "invented"
    assert set(scores["outcome"]) <= set(OUTCOMES)
    assert scores.groupby("metric")["unit"].unique().map(list).to_dict() == {"dice": ["1"], "hd95": ["mm"]}
    assert scores["diagonal"].to_numpy() == pytest.approx(DIAGONAL)


def test_prepared_data_gives_patients_classes_and_units(folders: tuple[Path, Path], prepared: PreparedDataset) -> None:
    for references in (prepared, prepared.folder):
        scores = score_folder(folders[0], references)
        assert dict(zip(scores["case"], scores["patient"], strict=True)) == {"a": "p1", "b": "p1", "c": "p2"}
        assert set(scores["class"]) == {"RV", "LV"}


def test_prepared_data_says_itself_what_is_left_out(folders: tuple[Path, Path], prepared: PreparedDataset) -> None:
    plain = score_folder(folders[0], prepared)
    pd.testing.assert_frame_equal(score_folder(folders[0], prepared, ignore=255), plain)
    with pytest.raises(ScoringError) as caught:
        score_folder(folders[0], prepared, ignore=2)
    assert "leave --ignore out" in str(caught.value.remedy)


def test_a_deleted_prediction_is_a_named_hole(folders: tuple[Path, Path], prepared: PreparedDataset) -> None:
    predictions = folders[0]
    index = {"cases": {case: f"{case}.nii.gz" for case in "ab"}}
    (predictions / "predictions.json").write_text(json.dumps(index))
    (predictions / "c.nii.gz").unlink()
    assert missing_predictions(predictions) == []
    (predictions / "b.nii.gz").unlink()
    assert missing_predictions(predictions) == ["b"]
    scores = score_folder(predictions, prepared, ("dice", "hd95"))
    holes = scores[scores["outcome"] == "hole"]
    assert set(holes["case"]) == {"b"}
    assert len(holes) == 4
    assert holes["value"].isna().all()
    assert set(scores["case"]) == {"a", "b"}


def test_without_an_index_every_reference_is_expected(folders: tuple[Path, Path]) -> None:
    (folders[0] / "a.nii.gz").unlink()
    assert missing_predictions(folders[0]) == []
    scores = score_folder(*folders, ("dice",))
    assert set(scores[scores["outcome"] == "hole"]["case"]) == {"a"}
    assert set(score_folder(*folders, ("dice",), cases=["b"])["case"]) == {"b"}


def test_a_prediction_without_a_reference_is_an_error(folders: tuple[Path, Path], prepared: PreparedDataset) -> None:
    stray = write(folders[0], "d", label((1, 4)))  # in the index, but unlabelled
    with pytest.raises(ScoringError, match=r"1 prediction.s. without a reference: d") as error:
        score_folder(folders[0], prepared)
    assert (error.value.case, error.value.file) == ("d", stray)


@pytest.mark.parametrize(
    ("array", "geometry", "message"),
    [
        (label((1, 4))[:, :, :7], Geometry((4, 8, 7), (10, 1.5, 1.5), "mm", AFFINE, "nifti", (4, 8, 7)), "of shape"),
        (label((1, 4)), Geometry(SHAPE, (10, 1.5, 1.5), "mm", np.eye(4).tolist(), "nifti", SHAPE), "affines differ"),
        (label((1, 4), (4, 5), (5, 6)), GEOMETRY, r"prediction with labels \[3\] outside the classes 0..2"),
        (np.full(SHAPE, 255, np.uint8), GEOMETRY, r"prediction with labels \[255\]"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    folders: tuple[Path, Path], array: np.ndarray, geometry: Geometry, message: str
) -> None:
    file = write(folders[0], "b", array, geometry)
    with pytest.raises(ScoringError, match=message) as error:
        score_folder(*folders, classes=CLASSES)
    assert (error.value.case, error.value.file) == ("b", file)
    assert error.value.remedy


def test_files_outside_a_benchmark(folders: tuple[Path, Path]) -> None:
    scores = score_file(folders[0] / "b.nii.gz", folders[1] / "b.nii.gz", ("dice",))
    assert scores[["case", "class", "value", "outcome"]].to_numpy().tolist() == [
        ["b", "1", 1.0, "scored"],
        ["b", "2", 0.0, "missed"],
    ]
    relaxed = score_file(folders[0] / "c.nii.gz", folders[1] / "c.nii.gz", ("dice",), "transunet", classes=CLASSES)
    assert values(relaxed, "dice")["c", "RV"] == 1
    with pytest.raises(ScoringError, match="reference not found"):
        score_file(folders[0] / "b.nii.gz", folders[1] / "z.nii.gz")


def test_photographs_are_measured_in_pixels(tmp_path: Path) -> None:
    geometry = Geometry((8, 8), None, "pixel", None, "png", (8, 8))
    reference, prediction = np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.uint8)
    reference[2:5, 2:5], prediction[2:5, 4:7], reference[0, 0] = 1, 1, 255
    files = (write(tmp_path / name, "x", array, geometry) for name, array in (("p", prediction), ("r", reference)))
    scores = score_file(*files, ("hd", "volume_error_ml", "dice"), ignore=255).set_index("metric")
    assert scores["unit"].to_dict() == {"hd": "pixel", "volume_error_ml": "pixel", "dice": "1"}
    assert scores["value"]["hd"] == 2


def test_volumes_without_a_known_spacing_are_measured_in_voxels(tmp_path: Path) -> None:
    geometry = Geometry(SHAPE, None, "voxel", None, "nifti", SHAPE)
    files = [write(tmp_path / name, "x", label((1, stop)), geometry) for name, stop in (("p", 4), ("r", 6))]
    scores = score_file(*files, ("hd",))
    assert scores[["value", "unit"]].to_numpy().tolist() == [[2.0, "voxel"]]


def test_conventions_in_voxels_say_so(folders: tuple[Path, Path]) -> None:
    assert set(score_folder(*folders, ("hd95",), "ssl4mis")["unit"]) == {"voxel"}
    with pytest.raises(ScoringError, match=r"medpy does not define hd95") as error:
        score_folder(*folders, ("hd95",), "medpy")
    assert error.value.case == "b"


def test_tolerances_by_class_must_name_all(folders: tuple[Path, Path]) -> None:
    scores = score_folder(*folders, ("nsd",), classes=CLASSES, tolerance={"RV": 1.0, "LV": 2.0})
    assert values(scores, "nsd")["a", "LV"] == 1
    with pytest.raises(ScoringError, match="no NSD tolerance for class 'LV'"):
        score_folder(*folders, ("nsd",), classes=CLASSES, tolerance={"RV": 1.0})


def test_missing_folders_are_errors(tmp_path: Path, folders: tuple[Path, Path]) -> None:
    with pytest.raises(ScoringError, match="folder of predictions"):
        score_folder(tmp_path / "nowhere", folders[1])
    with pytest.raises(ScoringError, match="folder of references"):
        score_folder(folders[0], tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ScoringError, match="without label maps"):
        score_folder(folders[0], tmp_path / "empty")


def test_the_same_predictions_under_several_conventions(folders: tuple[Path, Path]) -> None:
    """Each is what it would be alone, in its own unit; where medpy raises there is no value; nothing else is scored."""
    (folders[0] / "a.nii.gz").unlink()
    names = ("default", "transunet", "monai", "medpy")
    scores = score_by_conventions(*folders, ("dice", "hd95", "recall", "nsd"), names, classes=CLASSES)
    assert list(scores.columns) == list(CONVENTION_COLUMNS)
    assert list(dict.fromkeys(scores["convention"])) == list(names)
    assert set(scores["metric"]) == {"dice", "hd95"}
    for name in ("default", "transunet", "monai"):
        alone = score_folder(*folders, ("dice", "hd95"), name, classes=CLASSES)
        together = scores[scores["convention"] == name].drop(columns="convention").reset_index(drop=True)
        pd.testing.assert_frame_equal(together, alone)
    medpy = scores[(scores["convention"] == "medpy") & (scores["metric"] == "hd95")].set_index(["case", "class"])
    assert medpy["outcome"].to_dict()["b", "LV"] == "missed"
    assert math.isnan(medpy["value"]["b", "LV"])
    assert medpy["value"]["b", "RV"] == 0
    assert set(scores.loc[scores["case"] == "a", "outcome"]) == {"hole"}
    units = scores[scores["metric"] == "hd95"].groupby("convention")["unit"].unique().map(list).to_dict()
    assert units == {"default": ["mm"], "monai": ["mm"], "medpy": ["mm"], "transunet": ["voxel"]}
    # In the unit of the distances, also beside a hole: its image's size is known from the reference.
    diagonals = scores.groupby("convention")["diagonal"].unique().map(list).to_dict()
    assert diagonals["default"] == diagonals["monai"] == pytest.approx([DIAGONAL])
    assert diagonals["transunet"] == pytest.approx([math.hypot(3, 7, 7)])


def test_two_files_under_several_conventions(folders: tuple[Path, Path]) -> None:
    scores = score_by_conventions(folders[0] / "c.nii.gz", folders[1] / "c.nii.gz", ("dice",), ("default", "transunet"))
    assert scores.loc[scores["class"] == "1", "value"].tolist() == [0, 1]


@pytest.mark.parametrize("names", [("background", "mean", "LV"), ("background", "LV", "LV"), ("background", "", "LV")])
def test_names_that_no_table_can_hold_are_refused(folders: tuple[Path, Path], names: tuple[str, ...]) -> None:
    with pytest.raises(ScoringError, match="class") as caught:
        score_folder(*folders, classes=names)
    assert caught.value.remedy
    assert set(score_folder(*folders, classes=("background", "mean_wall", "LV"))["class"]) == {"mean_wall", "LV"}


def test_the_remedy_names_what_differs(folders: tuple[Path, Path]) -> None:
    """The unit where the units do, the order of axes where it is that, and no affine of what has none."""
    turned = GEOMETRY.native_shape[::-1]
    geometry = Geometry(turned, None, "voxel", None, "nifti", turned)
    write(folders[0], "b", label((1, 4)).transpose(), geometry)
    with pytest.raises(ScoringError, match="of shape") as error:
        score_folder(*folders, classes=CLASSES)
    assert "axes" in str(error.value.remedy)
    assert "affine" not in str(error.value.remedy)
    write(folders[0], "b", label((1, 4)), GEOMETRY)
    right = score_folder(*folders, ("hd",), classes=CLASSES)["value"]
    file = folders[0] / "b.nii.gz"
    for unit, matches in (("micron", False), ("mm", True)):
        image: Any = nibabel.load(file)
        image = nibabel.Nifti1Image(np.asarray(image.dataobj), image.affine, image.header)
        image.header.set_xyzt_units(unit)
        nibabel.save(image, file)
        if matches:
            pd.testing.assert_series_equal(score_folder(*folders, ("hd",), classes=CLASSES)["value"], right)
            continue
        with pytest.raises(ScoringError, match="spacing") as error:
            score_folder(*folders, classes=CLASSES)
        assert "micron in the prediction, mm in the reference" in str(error.value.remedy)


def test_a_folder_called_like_its_file_is_that_file_and_a_dead_link_is_named(folders: tuple[Path, Path]) -> None:
    right = score_folder(*folders, ("dice",), classes=CLASSES)
    file = folders[0] / "b.nii.gz"
    kept = file.rename(folders[0].parent / file.name)
    file.mkdir()
    shutil.copy(kept, file / file.name)
    pd.testing.assert_frame_equal(score_folder(*folders, ("dice",), classes=CLASSES), right)
    shutil.rmtree(file)
    file.symlink_to(folders[0].parent / "nowhere")
    with pytest.raises(ScoringError, match="leads nowhere") as error:
        score_folder(*folders, ("dice",), classes=CLASSES)
    assert (error.value.case, error.value.file) == ("b", file)
