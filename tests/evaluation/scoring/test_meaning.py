"""What the values of predictions and references mean, where it is declared and where it is not."""

from __future__ import annotations

import json
import warnings
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

from contrastseg.cli import app
from contrastseg.data.files.formats import write_label
from contrastseg.data.files.geometry import Geometry
from contrastseg.data.readers.mask_values import FileValues
from contrastseg.errors import ContrastsegError, ScoringError
from contrastseg.evaluation.metrics.case_scores import score_case
from contrastseg.evaluation.scoring.meaning import Declared, meaning_of
from contrastseg.evaluation.scoring.scoring import score_by_conventions, score_file, score_folder

TRUTH = np.zeros((40, 48), np.uint8)
TRUTH[8:24, 10:30] = 1
GUESS = np.roll(TRUTH, 4, axis=0)  # Dice 0.75
CLASSES = np.where(np.arange(48) > 30, 2, TRUTH).astype(np.uint8)
EMPTY = np.zeros_like(TRUTH)


def write(folder: Path, *masks: NDArray) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, mask in enumerate(masks):
        Image.fromarray(mask.astype(np.uint8)).save(folder / f"c{number}.png")
    return folder


def scored(tmp_path: Path, guesses: list[NDArray], truths: list[NDArray], **said: Any) -> dict[tuple[str, str], float]:
    """Dice by case and class, with whatever was decided told in words that are not tested."""
    folders = write(tmp_path / "p", *guesses), write(tmp_path / "r", *truths)
    rows = score_folder(*folders, ("dice",), announce=lambda _: None, **said)
    return dict(zip(zip(rows["case"], rows["class"], strict=True), rows["value"], strict=True))


@pytest.mark.parametrize("classes", [None, ("background", "vessel")])
@pytest.mark.parametrize(("guess", "truth"), [(255, 255), (1, 255), (255, 1), (255, 63)])
def test_masks_of_one_structure_score_what_they_are(
    tmp_path: Path, guess: int, truth: int, classes: tuple[str, ...] | None
) -> None:
    name = "1" if classes is None else "vessel"
    found = scored(tmp_path, [GUESS * guess, TRUTH * guess], [TRUTH * truth, TRUTH * truth], classes=classes)
    assert found == {("c0", name): 0.75, ("c1", name): 1.0}


@given(guess=st.integers(1, 255), truth=st.integers(1, 255), full=st.booleans())
def test_two_names_fit_any_two_values(guess: int, truth: int, full: bool) -> None:
    def count(references: bool) -> list[FileValues]:
        value = truth if references else guess
        return [
            FileValues("a", Path("a"), {value: 5} if full else {0: 9, value: 5}),
            FileValues("b", Path("b"), {0: 3}),
        ]

    meaning = meaning_of(Declared(("background", "structure")), count)
    for coding, value in ((meaning.reference, truth), (meaning.prediction, guess)):
        assert coding.apply(np.array([0, value], np.uint8), None, Path()).tolist() == [0, 1]
    assert bool(meaning.remarks) == (guess != 1 or truth != 1)


def test_empty_predictions_and_references_of_a_set_keep_its_meaning(tmp_path: Path) -> None:
    found = scored(tmp_path, [EMPTY, 255 * GUESS, EMPTY], [255 * TRUTH, EMPTY, EMPTY])
    assert (found["c0", "1"], found["c1", "1"]) == (0, 0)
    assert np.isnan(found["c2", "1"])
    rows = score_folder(tmp_path / "p", tmp_path / "r", ("dice",), announce=lambda _: None)
    assert rows["outcome"].tolist() == ["missed", "invented", "absent"]
    assert len(scored(tmp_path / "empty", [EMPTY], [EMPTY])) == 1, "two empty masks are a row, not silence"


def test_values_name_their_classes(tmp_path: Path) -> None:
    assert scored(tmp_path / "a", [2 * GUESS], [2 * TRUTH]) == {("c0", "2"): 0.75}
    assert scored(tmp_path / "b", [100 * GUESS], [100 * TRUTH]) == {("c0", "100"): 0.75}
    found = scored(tmp_path / "c", [CLASSES, 2 * TRUTH], [CLASSES, 2 * TRUTH])
    assert (found["c0", "1"], found["c0", "2"], found["c1", "2"]) == (1, 1, 1)
    assert np.isnan(found["c1", "1"])
    assert scored(tmp_path / "d", [TRUTH], [2 * TRUTH]) == {("c0", "1"): 0, ("c0", "2"): 0}, "classes confused"
    organs = np.choose(CLASSES, [0, 63, 252])
    assert scored(tmp_path / "e", [organs], [organs]) == {("c0", "63"): 1, ("c0", "252"): 1}


def test_a_declared_value_is_left_out_and_an_undeclared_one_is_refused_with_the_reason(tmp_path: Path) -> None:
    """The border of VOC's kind: right of column 28 nobody knows."""
    truth = np.where(np.arange(48) >= 28, 255, TRUTH).astype(np.uint8)
    guess = TRUTH.copy()
    with pytest.raises(ScoringError, match="references hold 255, and nothing declares what it means") as caught:
        scored(tmp_path, [guess, guess], [truth, TRUTH])
    assert (caught.value.case, caught.value.file) == ("c0", tmp_path / "r" / "c0.png")
    assert "--ignore 255" in str(caught.value.remedy)
    assert scored(tmp_path, [guess, guess], [truth, TRUTH], ignore=255) == {("c0", "1"): 1, ("c1", "1"): 1}
    two, three = ("background", "a"), ("background", "a", "b")
    for classes in (two, three):
        with pytest.raises(ScoringError, match="255") as caught:
            scored(tmp_path, [guess], [truth], classes=classes)
        assert "--ignore 255" in str(caught.value.remedy)
        assert scored(tmp_path, [guess], [truth], classes=classes, ignore=255)["c0", "a"] == 1
    # nnU-Net's: the highest label, and no prediction holds it.
    tmp_path = tmp_path / "nnunet"
    labels = np.where(truth == 255, 2, truth)
    assert scored(tmp_path, [guess], [labels], classes=two, values_declared=True, ignore=2) == {("c0", "a"): 1}
    with pytest.raises(ScoringError, match=r"prediction with labels \[2\]"):
        scored(tmp_path, [labels], [labels], classes=two, values_declared=True, ignore=2)
    only = np.where(np.arange(48) >= 28, 255, 0 * TRUTH).astype(np.uint8)
    assert scored(tmp_path, [guess], [only], ignore=255) == {("c0", "1"): 0}


def test_declared_values_leave_nothing_to_decide(tmp_path: Path) -> None:
    asked = {"classes": ("background", "a"), "values_declared": True}
    with pytest.raises(ScoringError, match=r"prediction with labels \[255\].*nothing declares 255"):
        scored(tmp_path, [255 * GUESS], [TRUTH], **asked)
    with pytest.raises(ScoringError, match=r"reference with labels \[255\]"):
        scored(tmp_path, [GUESS], [255 * TRUTH], **asked)

    def never(references: bool) -> list[FileValues]:
        raise AssertionError("a file was read to learn what is declared")

    meaning_of(Declared(("background", "a"), True, True), never)
    meaning_of(Declared(("background", "a", "b")), never)


@pytest.mark.parametrize(
    ("guesses", "truths", "odd"),
    [
        ([np.choose(CLASSES, [0, 128, 255])], [CLASSES], "p/c0.png"),
        ([CLASSES], [255 * TRUTH], "r/c0.png"),
        ([255 * TRUTH], [CLASSES], "p/c0.png"),
        ([TRUTH, 255 * TRUTH], [TRUTH, TRUTH], "p/c0.png"),
        ([TRUTH, TRUTH], [255 * TRUTH, TRUTH], "r/c1.png"),
        ([5 * TRUTH], [TRUTH], "p/c0.png"),
    ],
)
def test_what_means_nothing_for_certain_is_refused(
    tmp_path: Path, guesses: list[NDArray], truths: list[NDArray], odd: str
) -> None:
    with pytest.raises(ContrastsegError) as caught:
        scored(tmp_path, guesses, truths)
    assert caught.value.file == tmp_path / odd
    assert caught.value.remedy


def test_no_class_takes_the_place_of_voxels_to_leave_out(tmp_path: Path) -> None:
    names = tuple(str(value) for value in range(256))
    with pytest.raises(ScoringError, match="256 classes"):
        scored(tmp_path, [GUESS], [TRUTH], classes=names)
    assert scored(tmp_path, [254 * GUESS], [254 * TRUTH], classes=names[:255])["c0", "254"] == 0.75


def test_following_the_remedies_helps(tmp_path: Path) -> None:
    assert scored(tmp_path / "a", [5 * GUESS], [TRUTH], classes=("background", "structure")) == {
        ("c0", "structure"): 0.75
    }
    mixed = [TRUTH, 255 * TRUTH]
    assert scored(tmp_path / "b", [255 * (mask > 0) for mask in mixed], [TRUTH, TRUTH])["c1", "1"] == 1


def jpeg(mask: NDArray) -> NDArray:
    buffer = BytesIO()
    Image.fromarray(mask).save(buffer, format="JPEG", quality=70)
    return np.asarray(Image.open(buffer))


def test_greys_of_one_structure_are_thresholded_on_the_side_that_has_them(tmp_path: Path) -> None:
    greys = jpeg(255 * TRUTH)
    assert len(np.unique(greys)) > 5
    for guess in (GUESS, 255 * GUESS, jpeg(255 * GUESS)):
        assert scored(tmp_path, [guess], [greys])["c0", "1"] == pytest.approx(0.75, abs=0.01)
    probabilities = np.clip(TRUTH * 230.0 + np.arange(48) % 11, 0, 255)
    with pytest.raises(ScoringError):
        scored(tmp_path, [np.maximum(probabilities, CLASSES)], [CLASSES])
    assert scored(tmp_path, [probabilities], [TRUTH], threshold=127) == {("c0", "1"): 1}
    three = np.where(np.arange(48) < 3, 128, 255 * TRUTH)
    with pytest.raises(ScoringError) as caught:
        scored(tmp_path, [255 * TRUTH], [three])
    assert "--threshold 127" in str(caught.value.remedy)
    assert scored(tmp_path, [TRUTH], [three], threshold=128, classes=("background", "a")) == {("c0", "a"): 1}
    with pytest.raises(ScoringError, match="threshold"):
        scored(tmp_path, [TRUTH], [TRUTH], threshold=127, classes=("background", "a", "b"))


def prepared(tmp_path: Path, *truths: NDArray) -> Path:
    """A prepared data set of one structure, with 255 where nobody knows."""
    grid = Geometry(TRUTH.shape, None, "pixel", None, "png", TRUTH.shape)
    folder = tmp_path / "prepared"
    for number, truth in enumerate(truths):
        write_label(folder / "references" / f"c{number}.png", truth, grid)
    card = {
        **dict.fromkeys(("entry", "dataset", "title", "modality", "licence", "citation"), "made"),
        **{"spatial_dims": 2, "slice_axis": None, "channels": ["grey"], "classes": ["background", "a"]},
        **{"unit": "pixel", "native_format": "png", "scale": 1.0, "preparation": {}, "source": {}, "notes": []},
    }
    (folder / "dataset.json").write_text(json.dumps(card))
    rows = "".join(f"c{number},c{number},,true,40x48,\n" for number in range(len(truths)))
    (folder / "cases.csv").write_text(f"case,patient,frame,labelled,shape,spacing\n{rows}")
    return folder


def test_a_prepared_reference_declares_itself_and_predictions_of_others_may_hold_255(tmp_path: Path) -> None:
    truth = TRUTH.copy()
    truth[:, 29:] = 255
    references = prepared(tmp_path, truth, TRUTH)
    said: list[str] = []
    for value in (1, 255, 100):
        rows = score_folder(
            write(tmp_path / "p", value * TRUTH, value * GUESS), references, ("dice",), announce=said.append
        )
        assert rows["value"].tolist() == [1, 0.75]
        assert set(rows["class"]) == {"a"}
    assert len(said) == 2
    index = {"cases": {"c0": "c0.png", "c1": "c1.png"}}
    (tmp_path / "p" / "predictions.json").write_text(json.dumps(index))  # as `predict` writes them
    with pytest.raises(ScoringError, match=r"prediction with labels \[100\]"):
        score_folder(tmp_path / "p", references, ("dice",))


def test_what_was_decided_is_said_to_callers_and_on_the_command_line(tmp_path: Path) -> None:
    folders = write(tmp_path / "p", 255 * GUESS), write(tmp_path / "r", 255 * TRUTH)
    with pytest.warns(UserWarning, match="255 is the structure"):
        score_folder(*folders, ("dice",))
    with pytest.warns(UserWarning, match="255 is the structure"):
        score_by_conventions(*folders, ("dice",), ("default", "monai"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        score_file(write(tmp_path / "q", GUESS) / "c0.png", write(tmp_path / "s", TRUTH) / "c0.png", ("dice",))

    def call(*options: str) -> tuple[list[dict[str, Any]], str]:
        asked = ["score", "--prediction", str(folders[0]), "--reference", str(folders[1]), "--json", "--metric", "dice"]
        done = CliRunner().invoke(app, [*asked, *options], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout), done.stderr

    rows, said = call()
    assert [row["value"] for row in rows] == [0.75]
    assert "255 is the structure" in said
    assert "--ignore 255" in said
    assert [row["value"] for row in call("--classes", "background,vessel")[0]] == [0.75]
    write(folders[1], np.where(np.arange(48) > 40, 255, TRUTH))
    write(folders[0], GUESS)
    rows, said = call("--ignore", "255")
    assert ([row["value"] for row in rows], said) == ([0.75], "")


def test_no_value_is_left_out_of_arrays_unless_it_is_said() -> None:
    (found,) = score_case(GUESS, TRUTH, None, 2, ("dice",))
    assert found.values == {"dice": 0.75}
    with pytest.raises(ValueError, match="255"):
        score_case(255 * GUESS, 255 * TRUTH, None, 2, ("dice",))
    truth = np.where(np.arange(48) > 40, 255, TRUTH)
    assert score_case(GUESS, truth, None, 2, ("dice",), ignore=255)[0].values == {"dice": 0.75}


def test_rows_are_the_same_whether_255_or_1_is_the_structure(tmp_path: Path) -> None:
    tables = []
    for value in (1, 255):
        folders = (
            write(tmp_path / f"p{value}", value * GUESS, EMPTY),
            write(tmp_path / f"r{value}", value * TRUTH, value * TRUTH),
        )
        tables.append(score_folder(*folders, announce=lambda _: None))
    pd.testing.assert_frame_equal(*tables)


def test_numbered_objects_are_told_of_and_a_threshold_makes_them_one_structure(tmp_path: Path) -> None:
    objects = np.where(TRUTH, 1 + np.arange(48) // 8, 0).astype(np.uint8)
    folders = write(tmp_path / "p", GUESS), write(tmp_path / "r", objects)
    told: list[str] = []
    rows = score_folder(*folders, ("dice",), announce=told.append)
    assert set(rows["class"]) == {"2", "3", "4", "1"}
    assert ["--threshold 0" in sentence for sentence in told] == [True]
    rows = score_folder(*folders, ("dice",), threshold=0, announce=lambda _: None)
    assert rows[["class", "value"]].to_numpy().tolist() == [["1", 0.75]]
    with pytest.raises(ScoringError, match="outside the classes") as error:
        score_folder(*folders, ("dice",), classes=("background", "gland"), values_declared=True)
    assert "--classes background,gland --threshold 0" in str(error.value.remedy)
    rows = score_folder(*folders, ("dice",), classes=("background", "gland"), threshold=0, announce=lambda _: None)
    assert rows[["class", "value"]].to_numpy().tolist() == [["gland", 0.75]]


def test_a_model_of_several_classes_is_scored_without_a_remark(tmp_path: Path) -> None:
    folders = write(tmp_path / "p", CLASSES), write(tmp_path / "r", CLASSES)
    told: list[str] = []
    score_folder(*folders, ("dice",), announce=told.append)
    assert told == []


@pytest.mark.parametrize("value", [-1, -100, 256, 65535])
def test_a_value_that_no_label_map_holds_cannot_be_left_out(tmp_path: Path, value: int) -> None:
    """-1 once stood for the last of 256 values, so that a structure of 255 was left out."""
    with pytest.raises(ScoringError, match=f"value {value}") as caught:
        scored(tmp_path, [255 * GUESS], [255 * TRUTH], ignore=value)
    assert "--ignore 255" in str(caught.value.remedy)


def test_masks_without_a_zero_are_background_and_structure_where_two_names_are_given(tmp_path: Path) -> None:
    two = ("background", "a")
    assert scored(tmp_path / "both", [GUESS + 1], [TRUTH + 1], classes=two) == {("c0", "a"): 0.75}
    for name, guess, truth in (("p", GUESS + 1, TRUTH), ("r", GUESS, TRUTH + 1), ("w", 255 * GUESS, TRUTH + 1)):
        with pytest.raises(ScoringError, match="no 0") as caught:
            scored(tmp_path / name, [guess], [truth])
        assert "--classes background,structure" in str(caught.value.remedy)
        assert scored(tmp_path / name, [guess], [truth], classes=two) == {("c0", "a"): 0.75}
    with pytest.raises(ScoringError, match=r"labels \[2\]"):  # three values are no pair
        scored(tmp_path / "three", [CLASSES], [TRUTH + 1], classes=two)
    assert scored(tmp_path / "undeclared", [TRUTH + 1], [TRUTH + 1]) == {("c0", "1"): 1, ("c0", "2"): 1}


def test_one_value_against_another_class_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    folders = write(tmp_path / "p", GUESS), write(tmp_path / "r", 2 * TRUTH)
    assert score_folder(*folders, ("dice",), announce=said.append)["value"].tolist() == [0, 0]
    assert "--classes background,structure" in " ".join(said)
    assert scored(tmp_path, [GUESS], [2 * TRUTH], classes=("background", "structure")) == {("c0", "structure"): 0.75}


def test_numbered_objects_against_a_mask_are_one_structure_above_0(tmp_path: Path) -> None:
    objects = TRUTH * np.where(np.arange(48) > 20, 3, 1).astype(np.uint8)
    with pytest.raises(ScoringError, match="255") as caught:
        scored(tmp_path, [255 * GUESS], [objects], threshold=127)
    assert "--threshold 0" in str(caught.value.remedy)
    assert scored(tmp_path, [255 * GUESS], [objects], threshold=0) == {("c0", "1"): 0.75}
