"""Splits by patient and the labelled subsets."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrastseg.data.settings import Fractions, SplitSettings
from contrastseg.data.splits.cohort import Cohort
from contrastseg.data.splits.folds import SPLITS_FOLDER, read_published
from contrastseg.data.splits.split_files import Split, check_folds, labelled_count, split_hash
from contrastseg.data.splits.splits import make_split, train_patients
from contrastseg.errors import SplitError

PATIENTS = st.lists(st.text("abcdef0123456789", min_size=1, max_size=6), min_size=10, max_size=60, unique=True)
ACDC = SplitSettings(name="acdc_70_10_20")


def cohort(patients: Iterable[str]) -> Cohort:
    """One case a patient, nothing said of them."""
    return Cohort(tuple((patient, patient, "", "") for patient in patients))


def everybody(name: str) -> list[str]:
    fold = read_published(name)["folds"][0]
    return [*fold["train"], *fold["val"], *fold["test"]]


def saved(value: dict[str, object], folder: Path) -> Path:
    path = folder / "split.json"
    path.write_text(json.dumps(value))
    return path


@settings(max_examples=40, deadline=None)
@given(PATIENTS, st.integers(0, 1000), st.integers(1, 5))
def test_every_patient_is_in_exactly_one_part(patients: list[str], seed: int, folds: int) -> None:
    split = make_split("x", cohort(patients), SplitSettings(seed=seed, folds=folds))
    for fold in split["folds"]:
        assert sorted(fold["train"] + fold["val"] + fold["test"]) == sorted(patients)
        assert all(fold.values())
    check_folds(split["folds"])
    if folds > 1:
        assert sorted(patient for fold in split["folds"] for patient in fold["test"]) == sorted(patients)


@settings(max_examples=40, deadline=None)
@given(PATIENTS, st.integers(0, 1000), st.randoms(use_true_random=False))
def test_the_order_of_files_is_irrelevant(patients: list[str], seed: int, random: object) -> None:
    mixed = list(patients)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    chosen = SplitSettings(seed=seed)
    assert make_split("x", cohort(patients), chosen) == make_split("x", cohort([*mixed, *mixed[:3]]), chosen)


@settings(max_examples=40, deadline=None)
@given(PATIENTS, st.integers(0, 1000))
def test_labelled_subsets_are_nested_in_every_draw(patients: list[str], seed: int) -> None:
    value = make_split("x", cohort(patients), SplitSettings(seed=seed, draws=3))
    split = Split(**{key: value[key] for key in value if key != "unit"})
    for draw in range(3):
        budgets = [set(split.labelled(labels, draw)) for labels in ("r0.05", "r0.1", "r0.25", "r0.5", "r1")]
        assert all(smaller <= larger for smaller, larger in pairwise(budgets))
        assert budgets[-1] == set(split.train())


def test_draws_and_seeds_differ() -> None:
    patients = [f"p{number}" for number in range(40)]
    split = make_split("x", cohort(patients), SplitSettings(draws=4))
    assert len({tuple(order) for order in split["orders"]["0"].values()}) == 4
    assert (
        make_split("x", cohort(patients), SplitSettings(seed=1))["hash"]
        != make_split("x", cohort(patients), SplitSettings())["hash"]
    )


def test_more_draws_leave_the_first_ones_as_they_are() -> None:
    patients = [f"p{number}" for number in range(40)]
    few, many = (make_split("x", cohort(patients), SplitSettings(draws=draws))["orders"]["0"] for draws in (2, 6))
    assert few.items() <= many.items()


@pytest.mark.parametrize(
    ("labels", "n_train", "count"),
    [
        ("r0.1", 70, 7),
        ("r0.05", 70, 3),
        ("r0.29", 100, 29),
        ("r0.01", 20, 1),
        ("r1", 14, 14),
        ("r1.0", 5, 5),
        ("n7", 14, 7),
    ],
)
def test_label_budgets(labels: str, n_train: int, count: int) -> None:
    assert labelled_count(labels, n_train) == count


@given(st.integers(1, 100), st.integers(1, 500))
def test_ratios_round_down_exactly(percent: int, n_train: int) -> None:
    assert labelled_count(f"r{percent / 100}", n_train) == max(1, math.floor(Fraction(percent, 100) * n_train))


@pytest.mark.parametrize(
    "labels", ["", "r", "0.1", "r0", "r1.5", "r-1", "n0", "n1.5", "n-2", "r1/4", "rnan", "n15", "r1e-1"]
)
def test_impossible_budgets_are_refused(labels: str) -> None:
    with pytest.raises(SplitError):
        labelled_count(labels, 14)


def test_the_literature_s_acdc_lists() -> None:
    fold = read_published("acdc_70_10_20")["folds"][0]
    assert [len(fold[part]) for part in ("train", "val", "test")] == [70, 10, 20]
    split = make_split("acdc", cohort(everybody("acdc_70_10_20")), ACDC)
    assert split["orders"]["0"]["0"][:3] == ["patient099", "patient038", "patient050"]
    assert split["orders"]["0"]["0"] == fold["train"]
    assert split["orders"]["0"]["1"] != fold["train"]
    assert (split["subset"], split["unused"]) == (False, [])


def test_chaitanya_s_sets_are_prefixes_of_the_draws() -> None:
    name = "acdc_chaitanya_78_2_20"
    split = make_split("acdc", cohort(everybody(name)), SplitSettings(name=name))
    assert [len(split["folds"][0][part]) for part in ("train", "val", "test")] == [78, 2, 20]
    orders = [[int(patient[-3:]) for patient in order] for order in split["orders"]["0"].values()]
    assert {order[0] for order in orders} == {2, 42, 95, 22, 62}
    assert {frozenset(order[:2]) for order in orders} == {
        frozenset(pair) for pair in ((42, 62), (2, 42), (42, 95), (2, 22), (2, 95))
    }
    five = {2, 22, 42, 62, 95}
    assert [set(order[:8]) - five for order in orders[:3]] == [{3, 23, 43}, {63, 94, 43}, {3, 94, 23}]


def test_chaitanya_s_sets_of_mmwhs_are_prefixes_of_the_draws() -> None:
    name = "mmwhs_chaitanya_8_2_10"
    split = make_split("mmwhs", cohort(everybody(name)), SplitSettings(name=name))
    fold = split["folds"][0]
    assert [len(fold[part]) for part in ("train", "val", "test")] == [8, 2, 10]
    assert fold["test"] == [f"mr_train_{number}" for number in range(1011, 1021)]
    orders = [[int(patient[-4:]) for patient in order] for order in split["orders"]["0"].values()]
    assert [order[0] for order in orders] == [1003, 1006, 1008, 1001, 1009]
    assert [set(orders[draw][:2]) for draw in (0, 3, 2, 4)] == [{1001, 1003}] * 2 + [{1008, 1009}] * 2


def test_unimatch_tests_on_the_community_s_validation_and_test_patients() -> None:
    (ours,), (theirs,) = (read_published(name)["folds"] for name in ("acdc_70_10_20", "acdc_70_30"))
    assert theirs["train"] == ours["train"]
    assert set(theirs["test"]) == {*ours["val"], *ours["test"]}


@pytest.mark.parametrize(("tuning", "final"), [("acdc_70_10_tuning", "acdc_70_10_20"), ("la_64_16_tuning", "la_80_20")])
def test_a_recipe_is_chosen_without_test_patients_and_with_the_same_labelled_ones(tuning: str, final: str) -> None:
    (chosen,), (scored,) = (read_published(name)["folds"] for name in (tuning, final))
    everybody_of_the_choice = {*chosen["train"], *chosen["val"], *chosen["test"]}
    assert everybody_of_the_choice == {*scored["train"], *scored["val"]}
    assert chosen["train"] == scored["train"][: len(chosen["train"])]
    assert len(chosen["train"]) >= 64
    assert not set(chosen["train"]) & set(chosen["test"])


@pytest.mark.parametrize(
    ("name", "sizes", "first"),
    [
        ("acdc_70_30", [70, 0, 30], ["patient099", "patient038", "patient050"]),
        ("mmwhs_ct_arco_15_5", [15, 0, 5], ["ct_train_1018", "ct_train_1004", "ct_train_1005"]),
        ("btcv_18_12", [18, 0, 12], ["0031", "0007", "0009"]),
        ("btcv_24_6", [24, 0, 6], ["0001", "0002", "0003"]),
        ("la_80_20", [80, 0, 20], ["06SR5RBREL16DQ6M8LWS", "0RZDK210BSMWAA6467LU", "1D7CUD1955YZPGK8XHJX"]),
        ("pancreas_ct_62_20", [61, 0, 19], ["0057", "0018", "0062"]),
        ("pancreas_ct_62_18", [62, 0, 18], ["0001", "0002", "0003"]),
    ],
)
def test_lists_of_the_literature(name: str, sizes: list[int], first: list[str]) -> None:
    (fold,) = read_published(name)["folds"]
    assert [len(fold[part]) for part in ("train", "val", "test")] == sizes
    split = make_split("x", cohort(everybody(name)), SplitSettings(name=name))
    assert split["orders"]["0"]["0"][:3] == first
    if name.startswith("pancreas_ct"):
        assert not {"0025", "0070"} & set(everybody(name)), "withdrawn by the publisher"
    if name.startswith("btcv"):
        assert set(everybody(name)) == {f"{number:04d}" for number in (*range(1, 11), *range(21, 41))}


def test_published_splits_are_sound() -> None:
    for path in sorted(SPLITS_FOLDER.glob("*.json")):
        value = read_published(path.stem)
        assert value["name"] == path.stem
        assert value["source"]
        assert value["unit"] == "patient"


def test_absent_patients_are_all_named_unless_a_subset_is_declared() -> None:
    present = [patient for patient in everybody("acdc_70_10_20") if patient not in ("patient099", "patient011")]
    with pytest.raises(SplitError, match="2 patients") as caught:
        make_split("acdc", cohort(present), ACDC)
    assert "patient099" in str(caught.value)
    assert "patient011" in str(caught.value)
    split = make_split("acdc", cohort([*present, "patient101"]), ACDC, subset=True)
    assert split["subset"]
    assert split["complete_counts"] == {"train": 70, "val": 10, "test": 20}
    assert (len(split["folds"][0]["train"]), len(split["folds"][0]["test"])) == (69, 19)
    assert split["orders"]["0"]["0"][0] == "patient038"
    assert split["unused"] == ["patient101"]


def test_a_subset_without_test_patients_is_refused() -> None:
    with pytest.raises(SplitError, match="present for test"):
        make_split("acdc", cohort(["patient099"]), ACDC, subset=True)


def test_a_patient_in_two_parts_is_refused(tmp_path: Path) -> None:
    fold = {"train": ["a", "b"], "val": ["b"], "test": ["c"]}
    path = tmp_path / "bad.json"
    path.write_text(json.dumps({"name": "bad", "source": "x", "folds": [fold]}))
    with pytest.raises(SplitError, match="more than once: b") as caught:
        make_split("x", cohort("abc"), SplitSettings(name="bad"), tmp_path)
    assert (caught.value.case, caught.value.file) == ("b", path)


def test_an_unknown_split_lists_those_there_are() -> None:
    with pytest.raises(SplitError, match="acdc_70_10_20"):
        read_published("acdc_7_1_2")


def test_the_file_is_checked_when_read(tmp_path: Path) -> None:
    value = make_split("x", cohort(f"p{number}" for number in range(20)), SplitSettings())
    split = Split.from_file(saved(value, tmp_path))
    assert split.hash == split_hash(split.folds, split.orders)
    assert split.labelled("r1", draw=2) == value["orders"]["0"]["2"]
    for call in (lambda: split.train(1), lambda: split.labelled("r1", draw=9), lambda: split.test(-1)):
        with pytest.raises(SplitError, match="has no"):
            call()
    moved = json.loads(json.dumps(value))
    moved["folds"][0]["val"].append(moved["folds"][0]["test"].pop())
    with pytest.raises(SplitError, match="hash"):
        Split.from_file(saved(moved, tmp_path))
    leaked = json.loads(json.dumps(value))
    leaked["orders"]["0"]["0"][0] = leaked["folds"][0]["test"][0]
    with pytest.raises(SplitError, match="does not order"):
        Split.from_file(saved(leaked, tmp_path))


def test_too_few_patients_for_the_parts() -> None:
    with pytest.raises(SplitError, match="leave no one"):
        make_split("x", cohort("ab"), SplitSettings())
    only_test = SplitSettings(fractions=Fractions(train=0, val=0, test=1))
    assert make_split("x", cohort("ab"), only_test)["folds"] == [{"train": [], "val": [], "test": ["b", "a"]}]


def test_counts_known_before_preparation() -> None:
    assert train_patients(ACDC, None) == 70
    assert train_patients(ACDC, None, subset=True) is None
    assert train_patients(SplitSettings(), None) is None
    assert train_patients(SplitSettings(), cohort(f"p{number}" for number in range(30))) == 21
