"""Splits by the publisher's parts, and random ones that keep strata in proportion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from contrastseg.data.settings import SplitSettings
from contrastseg.data.splits.cohort import Cohort
from contrastseg.data.splits.folds import apportion, nnunet_folds
from contrastseg.data.splits.split_files import PARTS, Split
from contrastseg.data.splits.splits import make_split, train_patients
from contrastseg.errors import SplitError

OFFICIAL = SplitSettings(name="official")
NAMES = st.text("abcdef0123456789", min_size=1, max_size=6)
STRATA = st.dictionaries(NAMES, st.sampled_from(["", "a", "b", "c", "rare"]), min_size=10, max_size=60)


def stratified(strata: Mapping[str, str]) -> Cohort:
    """Two cases a patient, of the patient's stratum."""
    return Cohort(tuple((f"{name}_{n}", name, "", stratum) for name, stratum in strata.items() for n in range(2)))


def published(parts: Mapping[str, str], stratum: str = "") -> Cohort:
    """Two cases a patient, in the patient's part."""
    return Cohort(tuple((f"{name}_{n}", name, part, stratum) for name, part in parts.items() for n in range(2)))


def parts_of(*counts: int) -> dict[str, str]:
    """So many patients in train, val and test."""
    return {f"{part}{n}": part for part, count in zip(PARTS, counts, strict=True) for n in range(count)}


def opened(value: dict[str, Any]) -> Split:
    return Split(**{key: value[key] for key in value if key != "unit"})


def counts(strata: Mapping[str, str], patients: list[str]) -> Counter[str]:
    return Counter(strata[patient] for patient in patients)


@pytest.mark.parametrize(
    ("chosen", "number", "pinned"),
    [
        (SplitSettings(), 40, "a55b4106c68eea0e"),
        (SplitSettings(folds=5, seed=3), 40, "ef13c2d8231d1e1b"),
        (SplitSettings(seed=7, draws=2), 23, "0ced812fc2856ada"),
    ],
)
@pytest.mark.parametrize("stratum", ["", "all alike"])
def test_one_stratum_is_the_split_there_was_before_there_were_strata(
    chosen: SplitSettings, number: int, pinned: str, stratum: str
) -> None:
    cohort = stratified({f"p{n}": stratum for n in range(number)})
    assert make_split("x", cohort, chosen)["hash"] == pinned


@settings(max_examples=60, deadline=None)
@given(STRATA, st.integers(0, 1000))
def test_every_part_holds_every_stratum_in_proportion(strata: dict[str, str], seed: int) -> None:
    (fold,) = make_split("x", stratified(strata), SplitSettings(seed=seed))["folds"]
    (plain,) = make_split("x", stratified(dict.fromkeys(strata, "")), SplitSettings(seed=seed))["folds"]
    assert sorted(fold["train"] + fold["val"] + fold["test"]) == sorted(strata)
    everybody = Counter(strata.values())
    for part in PARTS:
        assert len(fold[part]) == len(plain[part]), "strata change who is in a part, not how many are"
        found = counts(strata, fold[part])
        for stratum, size in everybody.items():
            assert abs(found[stratum] - size * len(fold[part]) / len(strata)) <= 1


@settings(max_examples=60, deadline=None)
@given(STRATA, st.integers(0, 1000), st.integers(2, 5))
def test_folds_hold_every_stratum_in_proportion(strata: dict[str, str], seed: int, k: int) -> None:
    folds = make_split("x", stratified(strata), SplitSettings(seed=seed, folds=k))["folds"]
    assert sorted(patient for fold in folds for patient in fold["test"]) == sorted(strata)
    sizes = [len(fold["test"]) for fold in folds]
    assert max(sizes) - min(sizes) <= 1
    everybody = Counter(strata.values())
    for fold in folds:
        assert sorted(fold["train"] + fold["val"] + fold["test"]) == sorted(strata)
        tested = counts(strata, fold["test"])
        for stratum, size in everybody.items():
            assert size // k <= tested[stratum] <= -(-size // k)
        rest = fold["train"] + fold["val"]
        left, validated = counts(strata, rest), counts(strata, fold["val"])
        for stratum in everybody:
            assert abs(validated[stratum] - left[stratum] * len(fold["val"]) / len(rest)) <= 1


@settings(max_examples=40, deadline=None)
@given(STRATA, st.integers(0, 100), st.integers(1, 3), st.randoms(use_true_random=False))
def test_the_order_of_files_and_patients_is_irrelevant(strata: dict[str, str], seed: int, k: int, random: Any) -> None:
    chosen, cases = SplitSettings(seed=seed, folds=k), list(stratified(strata).cases)
    first = make_split("x", Cohort(tuple(cases)), chosen)
    random.shuffle(cases)
    assert make_split("x", Cohort(tuple(cases)), chosen) == first


@settings(max_examples=40, deadline=None)
@given(STRATA, st.integers(0, 100), st.lists(st.integers(1, 100), min_size=2, max_size=6))
def test_subsets_are_nested_whatever_the_ratios(strata: dict[str, str], seed: int, percents: list[int]) -> None:
    split = opened(make_split("x", stratified(strata), SplitSettings(seed=seed, draws=3)))
    for draw in range(3):
        budgets = [set(split.labelled(f"r{percent / 100:.2f}", draw)) for percent in sorted(percents)]
        assert all(smaller <= larger for smaller, larger in pairwise(budgets))
        assert budgets[-1] <= set(split.train())


@settings(max_examples=30, deadline=None)
@given(st.sets(NAMES, min_size=30, max_size=50), st.integers(0, 100))
def test_draws_of_enough_patients_differ(patients: set[str], seed: int) -> None:
    orders = make_split("x", stratified(dict.fromkeys(patients, "")), SplitSettings(seed=seed))["orders"]["0"]
    assert len({tuple(order) for order in orders.values()}) == len(orders) == 5


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=8), st.data())
def test_apportioning_adds_up_and_stays_within_one(sizes: list[int], data: st.DataObject) -> None:
    everybody = sum(sizes)
    cuts = sorted(data.draw(st.lists(st.integers(0, everybody), min_size=2, max_size=2)))
    totals = [cuts[0], cuts[1] - cuts[0], everybody - cuts[1]]
    table = apportion(sizes, totals)
    assert [sum(row) for row in table] == sizes
    assert [sum(column) for column in zip(*table, strict=True)] == totals
    for size, row in zip(sizes, table, strict=True):
        for total, count in zip(totals, row, strict=True):
            assert count >= 0
            assert not everybody or abs(count - size * total / everybody) <= 1


def test_a_patient_of_two_strata_is_refused_where_strata_count() -> None:
    cohort = Cohort((("a_1", "a", "train", "sick"), ("a_2", "a", "train", "well"), ("b", "b", "test", "well")))
    with pytest.raises(SplitError, match="patient a is in two strata: 'sick' and 'well'") as caught:
        make_split("x", cohort, SplitSettings())
    assert caught.value.case == "a_2"
    assert make_split("x", cohort, OFFICIAL)["folds"] == [{"train": ["a"], "val": [], "test": ["b"]}]


def test_the_publisher_s_parts() -> None:
    value = make_split("isic", published(parts_of(20, 4, 6)), OFFICIAL)
    split = opened(value)
    assert (split.name, split.source) == ("official", "the publisher's parts")
    assert sorted(split.train()) == sorted(f"train{n}" for n in range(20))
    assert (len(split.val()), len(split.test())) == (4, 6)
    assert split.complete_counts == {"train": 20, "val": 4, "test": 6}
    assert (split.subset, split.unused) == (False, [])
    assert split.labelled("n3", draw=0) != split.train()[:3], "no order is published, so none is made of the names"
    assert len({tuple(order) for order in split.orders["0"].values()}) == 5


def test_a_publisher_without_validation_leaves_it_empty_unless_it_is_asked_for() -> None:
    cohort = published(parts_of(20, 0, 6))
    assert opened(make_split("x", cohort, OFFICIAL)).val() == []
    asked = SplitSettings(name="official", val=0.2)
    split = opened(make_split("x", cohort, asked))
    assert (len(split.train()), len(split.val()), len(split.test())) == (16, 4, 6)
    assert split.source == "the publisher's parts; validation is 0.2 of its training patients, seed 0"
    assert make_split("x", cohort, asked) == make_split("x", Cohort(cohort.cases[::-1]), asked)
    other = opened(make_split("x", cohort, SplitSettings(name="official", val=0.2, seed=1)))
    assert sorted(other.val()) != sorted(split.val())


def test_validation_taken_from_the_training_part_keeps_strata() -> None:
    cases = [(f"p{n}", f"p{n}", "train", "sick" if n < 30 else "well") for n in range(40)]
    split = opened(make_split("x", Cohort(tuple(cases)), SplitSettings(name="official", val=0.1)))
    assert Counter("sick" if int(patient[1:]) < 30 else "well" for patient in split.val()) == {"sick": 3, "well": 1}


@pytest.mark.parametrize(
    ("parts", "words"),
    [(parts_of(20, 2, 3), "names 2 validation patients"), (parts_of(1, 0, 3), "1 training patients leave no one")],
)
def test_validation_that_cannot_be_taken(parts: dict[str, str], words: str) -> None:
    with pytest.raises(SplitError, match=words) as caught:
        make_split("x", published(parts), SplitSettings(name="official", val=0.1))
    assert caught.value.remedy


def test_a_test_only_data_set_trains_nobody(tmp_path: Path) -> None:
    value = make_split("ph2", published(parts_of(0, 0, 5)), OFFICIAL)
    assert value["orders"] == {"0": {}}
    split = opened(value)
    assert (split.train(), len(split.test())) == ([], 5)
    with pytest.raises(SplitError, match="ph2 has no training patients"):
        split.labelled("r1")
    assert train_patients(OFFICIAL, published(parts_of(0, 0, 5))) == 0


@pytest.mark.parametrize(
    ("case", "words"),
    [
        (("a_2", "a", "test", ""), "patient a is in two parts: 'train' and 'test'"),
        (("a_2", "a", "", ""), "this case"),
    ],
)
def test_official_needs_one_part_a_patient(case: tuple[str, str, str, str], words: str) -> None:
    with pytest.raises(SplitError, match=words) as caught:
        make_split("x", Cohort((("a_1", "a", "train", ""), case)), OFFICIAL)
    assert caught.value.case == "a_2"
    assert caught.value.remedy


def test_counts_known_before_preparation() -> None:
    assert train_patients(OFFICIAL, None) is None
    assert train_patients(OFFICIAL, published(parts_of(20, 0, 6))) == 20
    assert train_patients(SplitSettings(name="official", val=0.2), published(parts_of(20, 0, 6))) == 16
    assert train_patients(SplitSettings(), stratified({f"p{n}": str(n % 3) for n in range(30)})) == 21


@pytest.mark.parametrize("given", [{"val": 0.1}, {"name": "acdc_70_10_20", "folds": 2}, {"name": "official", "val": 1}])
def test_settings_that_contradict_each_other(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SplitSettings.model_validate(given)


def test_a_suite_s_split_lies_over_the_data_set_s_own() -> None:
    own = SplitSettings(name="official", val=0.1, draws=2)
    assert SplitSettings.model_validate(own.under({"draws": 7})) == SplitSettings(name="official", val=0.1, draws=7)
    assert SplitSettings.model_validate(own.under({"name": "random", "seed": 1})) == SplitSettings(seed=1)
    assert SplitSettings.model_validate(own.under({})) == own


@pytest.mark.parametrize("count", [5, 7, 20, 32])
def test_nnunet_s_own_folds(count: int) -> None:
    from sklearn.model_selection import KFold

    names = sorted(f"case_{n}" for n in range(count))
    expected = [
        ([names[i] for i in train], [names[i] for i in test])
        for train, test in KFold(5, shuffle=True, random_state=12345).split(names)
    ]
    folds = nnunet_folds(reversed(names))
    assert [(fold["train"], fold["test"]) for fold in folds] == expected
    assert all(fold["val"] == [] for fold in folds)


def test_nnunet_s_folds_in_a_split_file() -> None:
    cohort = stratified({f"p{n:02}": "" for n in range(9)})
    settings = SplitSettings(name="nnunet", draws=2)
    made = make_split("entry", cohort, settings)
    assert made["folds"] == nnunet_folds(cohort.patients)
    assert set(made["orders"]) == set("01234")
    assert train_patients(settings, cohort) == len(made["folds"][0]["train"])
    assert train_patients(settings, None) is None
    with pytest.raises(SplitError, match="4 patients"):
        make_split("entry", stratified({f"p{n}": "" for n in range(4)}), settings)
    with pytest.raises(ValidationError, match="folds"):
        SplitSettings(name="nnunet", folds=5)
