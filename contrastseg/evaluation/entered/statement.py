"""What is stated of predictions from elsewhere by the person who enters them. Nothing of it is verified."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from contrastseg.data.splits.split_files import PARTS, Split
from contrastseg.errors import EnterError

STATED = {
    "labelled_patients": "labelled patients",
    "checkpoint": "checkpoint",
    "training_data": "training data",
    "code": "code",
}
"""What is printed under the tables, stated or not: key of the file, and its words."""


class Statement(BaseModel):
    """The file of `enter --stated`.

    Attributes:
        labelled_patients: The patients whose labels were used for training, as the exported protocol names them.
        checkpoint: Which checkpoint predicted, and by what rule it was chosen.
        training_data: Images that were used, pre-training included.
        code: The code and its version.
        title: Full name of the method.
        source: Citation or address.
        summary: What the method does, in a sentence or two.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    labelled_patients: tuple[str, ...] | None = Field(None, min_length=1)
    checkpoint: str | None = None
    training_data: str | None = None
    code: str | None = None
    title: str = ""
    source: str = ""
    summary: str = ""


def check_labelled(statement: Statement, split: Split, *, labelled: Sequence[str], fold: int) -> None:
    """Check the stated patients against the budget.

    Args:
        statement: What is stated.
        split: The split of the entry.
        labelled: The patients that the protocol gives labels.
        fold: The fold of the split.

    Raises:
        EnterError: They are not as many as the budget has, one repeats, one is not in the split, or one is a test or
            validation patient.
    """
    stated = statement.labelled_patients
    if stated is None:
        return
    twice = sorted({patient for patient in stated if stated.count(patient) > 1})
    if twice:
        raise EnterError(
            f"stated labelled patients name {', '.join(twice)} more than once", remedy="name each patient once"
        )
    parts = {patient: part for part in PARTS for patient in getattr(split, part)(fold)}
    if wrong := [patient for patient in stated if parts.get(patient) != "train"]:
        of_part = {"test": "a test patient", "val": "a validation patient"}
        named = ", ".join(f"{patient} ({of_part.get(parts.get(patient, ''), 'not in the split')})" for patient in wrong)
        raise EnterError(
            f"stated labelled patients: found {named}, expected training patients of fold {fold}",
            case=wrong[0],
            remedy="name them as `contrastseg export-protocol` does, or train without their labels",
        )
    if len(stated) != len(labelled):
        raise EnterError(
            f"stated labelled patients: found {len(stated)}, expected {len(labelled)} for this budget",
            remedy="give --labels the budget that was trained with",
        )


def stated_lines(statement: Mapping[str, Any], labelled: Sequence[str]) -> dict[str, str]:
    """What a table prints of a statement, by the words of STATED; empty text where it is not stated.

    Args:
        statement: A `Statement` as a mapping.
        labelled: The patients that the protocol gives labels.
    """
    lines = {words: str(statement.get(key) or "") for key, words in STATED.items()}
    stated = statement.get("labelled_patients")
    if stated:
        others = sorted(set(stated) - set(labelled))
        lines[STATED["labelled_patients"]] = (
            f"{len(others)} of {len(stated)} not those of the protocol ({', '.join(others)})"
            if others
            else "those of the protocol"
        )
    return lines
