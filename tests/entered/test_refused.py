"""What cannot be entered is a typed error with case, file and remedy, and leaves the results as they were."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from contrastseg import planning
from contrastseg.errors import ContrastsegError, DataError
from contrastseg.files import read_json
from contrastseg.planning.data_paths import split_of
from tests.entered.conftest import (
    collected,
    dataset,
    enter,
    expected_cases,
    maps,
    reference,
    refused,
    suite,
)


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
    case = expected_cases("lesions")[0]
    Image.fromarray(reference("lesions", case)).save(folder / f"{case}.bmp")
    error = refused(folder)
    assert error.case == case
    assert "two label maps" in error.reason
    enter(folder, "--format", "png")


def test_damaged_maps_are_refused_and_nothing_is_left(work: Path) -> None:
    folder = maps("lesions")
    last = folder / f"{expected_cases('lesions')[-1]}.png"
    last.write_bytes(last.read_bytes()[:40])
    assert refused(folder, kind=DataError).case == expected_cases("lesions")[-1]


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
