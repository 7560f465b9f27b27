"""Folds of labelled patients: each validates once, and is no training patient of its fold."""

from __future__ import annotations

import pytest

from contrastseg.data.splits.cross_fitting import fold_count, inner_split, validating_patients, validation_count
from contrastseg.data.splits.split_files import Split, split_hash
from contrastseg.errors import SplitError

PATIENTS = [f"p{number:02}" for number in range(12)]
ORDER = PATIENTS[::-1]


def split() -> Split:
    folds = (
        {"train": PATIENTS, "val": ["v"], "test": ["t"]},
        {"train": [*PATIENTS[:-1], "t"], "val": [], "test": ["p11", "v"]},
    )
    orders = {"0": {"0": PATIENTS, "1": ORDER}, "1": {"0": list(folds[1]["train"]), "1": list(folds[1]["train"])}}
    return Split("e", "random", "", folds, orders, {}, False, (), split_hash(folds, orders), ("bare",))


def test_sizes_are_those_of_the_protocol() -> None:
    assert [validation_count(n) for n in range(4, 15)] == [1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4]
    assert [len(held_out) for held_out in validating_patients(PATIENTS[:7])] == [2, 2, 2, 1]
    for n in range(4, 40):
        held_out = validating_patients([str(number) for number in range(n)])
        assert len(held_out) == fold_count(n)
        assert [patient for fold in held_out for patient in fold] == [str(number) for number in range(n)]


@pytest.mark.parametrize("inner", range(4))
def test_a_validating_patient_trains_nothing(inner: int) -> None:
    whole = split()
    inside, labels = inner_split(whole, "n7", 1, 0, inner)
    validating = ORDER[2 * inner : min(2 * inner + 2, 7)]
    assert inside.val(0) == validating
    assert inside.labelled(labels, 1, 0) == [patient for patient in ORDER[:7] if patient not in validating]
    assert set(inside.train(0)) == set(PATIENTS) - set(validating)
    assert inside.test(0) == ["t"]
    assert inside.unlabelled == ("bare",)
    assert list(inside.orders["0"]) == ["1"]
    assert inside.folds[1] == whole.folds[1]
    assert inside.hash != whole.hash
    assert "v" not in {patient for part in inside.folds[0].values() for patient in part}, "free validation is unused"


def test_every_budget_in_full_validates_too() -> None:
    inside, labels = inner_split(split(), "n12", 0, 0, 3)
    assert (labels, len(inside.train(0)), inside.val(0)) == ("n9", 9, PATIENTS[9:12])


@pytest.mark.parametrize(("labels", "inner"), [("n3", 0), ("n7", 4), ("n7", -1)])
def test_what_cannot_be_divided_is_an_error_with_a_remedy(labels: str, inner: int) -> None:
    with pytest.raises(SplitError) as caught:
        inner_split(split(), labels, 0, 0, inner)
    assert caught.value.remedy
