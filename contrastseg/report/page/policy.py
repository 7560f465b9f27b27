"""The evaluation policy in words, written from the convention that scored."""

from __future__ import annotations

from contrastseg.evaluation.metrics.conventions import Convention, Empty, get_convention
from contrastseg.evaluation.metrics.empty_references import EmptyReference
from contrastseg.report.tables.footnotes import EMPTY_REFERENCES


def policy_paragraphs(name: str, empty_reference: EmptyReference = "best_or_worst") -> list[str]:
    """What was scored how, for the convention of this name, and what an empty reference counts in comparisons.

    Raises:
        ScoringError: There is no such convention.
    """
    convention = get_convention(name)
    grid = "in the unit of the image's spacing" if convention.spacing else "in voxels, whatever their size"
    outcomes = ". ".join(
        f"{title}: {_scores(empty)}"
        for title, empty in (
            ("A missed structure (in the reference, not predicted)", convention.missed),
            ("An invented one (predicted, not in the reference)", convention.invented),
            ("One absent from both", convention.absent),
        )
    )
    return [
        f"Predictions are scored as files on the native grid, distances {grid}. Borders and distances ignore axes of "
        "one voxel: a volume of one slice is scored as a 2D image. NSD counts a border exactly at the tolerance as "
        "within. "
        f"Convention “{name}”: {convention.source}.",
        f"{outcomes}. The counts stand beside every mean.{_definitions(convention)}",
        "The unit of statistics is the patient: frames, then classes, are averaged inside each patient; seeds and "
        "draws are averaged per patient, and their spread is kept apart from that over patients. Intervals "
        "count both patients and runs, and how often such intervals hold the truth was measured and stands under every "
        "table. A test over patients is about these trained models, not about training again.",
        "Methods are compared with the reference by a two-sided paired Wilcoxon signed-rank test per patient, with "
        "Holm's correction over the declared family. Zeros are dropped and counted. Beside every p stands the smallest "
        "corrected p the comparison could have reached; where that is above the level, the verdict is “n too small”. "
        "“No difference found” is not evidence of equality.",
        "Two methods are compared on the structures that every run of both has a value for. A method with missing "
        "predictions gets no test, mark or rank there: its difference on the common structures is described. Where the "
        f"reference is empty, in comparisons and rankings {EMPTY_REFERENCES[empty_reference]}; beside them stand the "
        "same comparison on non-empty references alone and the false positives. Tables of scores keep what the "
        "convention scores.",
        "The best and second mark compares printed means only; cells with missing predictions or fewer patients take "
        "no part in it, and means over unlike structures have none.",
    ]


def _scores(empty: Empty) -> str:
    def words(value: float | str) -> str:
        if value == "diagonal":
            return "the image's diagonal (between its farthest voxel centres)"
        if value == "error":
            return "refused"
        return f"{value:g}" if value == value else "left out"

    overlap, distance = words(empty.overlap), words(empty.distance)
    return f"overlaps and distances {overlap}" if overlap == distance else f"overlaps {overlap}, distances {distance}"


def _definitions(convention: Convention) -> str:
    if not convention.definitions:
        return ""
    names = ", ".join(f"{name} is {other}" for name, other in convention.definitions.items())
    return f" In this convention {names}."
