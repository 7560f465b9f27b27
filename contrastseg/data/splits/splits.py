"""Splits by patient with nested labelled subsets; a split is a file, and can be cited by its hash."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.settings import SplitSettings
from contrastseg.data.splits.cohort import Cohort
from contrastseg.data.splits.folds import (
    BUILT_IN,
    SPLITS_FOLDER,
    nnunet_folds,
    official_fold,
    random_folds,
    read_published,
    restrict,
    shuffled,
)
from contrastseg.data.splits.split_files import PARTS, split_hash
from contrastseg.files import write_if_changed


def split_dataset(
    entry: str,
    prepared_folder: str | Path,
    settings: SplitSettings | Mapping[str, Any],
    output_file: str | Path,
    splits_folder: str | Path | None = None,
    *,
    subset: bool = False,
) -> Path:
    """Write the split of a prepared data set; an unchanged one keeps its file.

    Args:
        entry: The suite's name for the data set.
        prepared_folder: The prepared data set.
        settings: Which split, and how many draws.
        output_file: The split's file.
        splits_folder: Where the published splits lie; None for the project's own.
        subset: Restrict a published split to the patients present, instead of failing when some are absent.

    Returns:
        `output_file`.

    Raises:
        SplitError: Patients of a published split are absent (all are named) and no subset is declared; a patient in
            two parts or of two strata; a part without patients.
    """
    chosen = SplitSettings.model_validate(settings)
    cohort = Cohort.of_prepared(PreparedDataset(prepared_folder))
    folder = SPLITS_FOLDER if splits_folder is None else Path(splits_folder)
    value = make_split(entry, cohort, chosen, folder, subset=subset)
    write_if_changed(output_file, json.dumps(value, indent=1, ensure_ascii=False) + "\n")
    return Path(output_file)


def make_split(
    entry: str,
    cohort: Cohort,
    settings: SplitSettings,
    splits_folder: Path = SPLITS_FOLDER,
    *,
    subset: bool = False,
) -> dict[str, Any]:
    """The contents of a split file; see `split_dataset`."""
    complete, source, known = _complete_folds(cohort, settings, splits_folder)
    published = settings.name not in BUILT_IN
    folds = [restrict(fold, cohort.patients, settings.name, subset) for fold in complete] if published else complete
    orders: dict[str, dict[str, list[str]]] = {str(fold): {} for fold in range(len(folds))}
    for fold, parts in enumerate(folds):
        if parts["train"]:
            orders[str(fold)] = {
                str(draw): _draw_order(parts["train"], known, settings, fold, draw) for draw in range(settings.draws)
            }
    named = {patient for parts in complete for part in PARTS for patient in parts[part]}
    return {
        "entry": entry,
        "name": settings.name,
        "source": source,
        "unit": "patient",
        "folds": folds,
        "orders": orders,
        "hash": split_hash(folds, orders),
        "complete_counts": {part: len(complete[0][part]) for part in PARTS},
        "subset": any(
            len(fold[part]) < len(whole[part]) for fold, whole in zip(folds, complete, strict=True) for part in PARTS
        ),
        "unused": [patient for patient in cohort.patients if patient not in named],
        # Not in files of data sets that are labelled throughout: those stay as they are.
        **({"unlabelled": cohort.unlabelled} if cohort.unlabelled else {}),
    }


def _complete_folds(
    cohort: Cohort, settings: SplitSettings, splits_folder: Path
) -> tuple[list[dict[str, list[str]]], str, Mapping[str, Any]]:
    """Folds, present or not, where they come from, and the published orders."""
    if cohort.bare and not cohort.cases:
        return [{part: [] for part in PARTS} for _ in range(settings.folds)], "no case has a label", {}
    if settings.name == "random":
        strata = cohort.strata()
        keeping = ", every stratum in proportion" if len(set(strata.values())) > 1 else ""
        return random_folds(strata, settings), f"random by patient, seed {settings.seed}{keeping}", {}
    if settings.name == "official":
        fold = official_fold(cohort.parts(), cohort.strata() if settings.val else {}, settings)
        taken = f"; validation is {settings.val:g} of its training patients, seed {settings.seed}"
        return [fold], f"the publisher's parts{taken if settings.val else ''}", {}
    if settings.name == "nnunet":
        return (
            nnunet_folds(cohort.patients),
            "nnU-Net's own five folds (seed 12345), each fold's held-out part as test",
            {},
        )
    published = read_published(settings.name, splits_folder)
    return published["folds"], published["source"], published.get("orders", {})


def _draw_order(
    train: Sequence[str],
    known: Mapping[str, Mapping[str, Sequence[str]]],
    settings: SplitSettings,
    fold: int,
    draw: int,
) -> list[str]:
    """Published order where there is one (draw 0: else the list itself, if published), the rest by hash."""
    first = known.get(str(fold), {}).get(str(draw), ())
    if draw == 0 and settings.name not in BUILT_IN and not first:
        return list(train)
    head = [patient for patient in first if patient in set(train)]
    return head + shuffled(set(train) - set(head), "draw", settings.seed, fold, draw)


@dataclasses.dataclass(frozen=True)
class Population:
    """What there is to train on, as far as it is known before anything is prepared.

    Attributes:
        train: Training patients of the first fold, all of whom have labels; None where it is not known.
        labelled: Cases with a label.
        unlabelled: Cases without one.
        usable: Of these, the cases that the first fold may train on: not those of patients who validate or test.
        each: Cases with a label of every training patient; None where not all have as many.
    """

    train: int | None = None
    labelled: int = 0
    unlabelled: int = 0
    usable: int = 0
    each: int | None = None

    @classmethod
    def of(cls, cohort: Cohort, train: Iterable[str]) -> Population:
        """Of a data set whose first fold trains on these patients."""
        patients = list(train)
        cases = Counter(patient for _, patient, _, _ in cohort.cases)
        each = {cases[patient] for patient in patients}
        return cls(
            train=len(patients),
            labelled=len(cohort.cases),
            unlabelled=len(cohort.bare),
            usable=len(cohort.unlabelled_cases(patients)),
            each=each.pop() if len(each) == 1 else None,
        )


def train_patients(
    settings: SplitSettings,
    cohort: Cohort | None,
    splits_folder: Path = SPLITS_FOLDER,
    *,
    subset: bool = False,
) -> int | None:
    """How many training patients the first fold will have, without any prepared file.

    Args:
        settings: The split.
        cohort: Who is there, None where nobody knows yet.
        splits_folder: Where the published splits lie.
        subset: Whether a published split may be restricted to the patients present.

    Returns:
        The count, None where it depends on patients nobody knows yet.
    """
    if cohort is not None:
        return len(make_split("", cohort, settings, splits_folder, subset=subset)["folds"][0]["train"])
    if settings.name in BUILT_IN or subset:
        return None
    return len(read_published(settings.name, splits_folder)["folds"][0]["train"])


def population_of(
    settings: SplitSettings,
    cohort: Cohort | None,
    splits_folder: Path = SPLITS_FOLDER,
    *,
    subset: bool = False,
) -> Population:
    """What a data set has to train on, without any prepared file; the arguments are those of `train_patients`.

    Returns:
        Where it is not known who is there, the training patients alone, if the split says how many they are.
    """
    if cohort is None:
        return Population(train_patients(settings, None, splits_folder, subset=subset))
    return Population.of(cohort, make_split("", cohort, settings, splits_folder, subset=subset)["folds"][0]["train"])
