"""The evaluation policy in words, written from the convention that scored."""

from __future__ import annotations

from contrastseg.evaluation.metrics.conventions import Convention, Empty, get_convention
from contrastseg.evaluation.metrics.empty_references import EmptyReference
from contrastseg.report.tables.wording import EMPTY_REFERENCES


def policy_paragraphs(name: str, empty_reference: EmptyReference = "best_or_worst") -> list[str]:
    """How predictions are scored under the convention of this name, and how comparisons count an empty reference.

    Raises:
        ScoringError: There is no such convention.
    """
    convention = get_convention(name)
    unit = "the unit of the image's spacing" if convention.spacing else "voxels, whatever their size"
    outcomes = ". ".join(
        f"{title}: {_scores(empty)}"
        for title, empty in (
            ("A missed structure (in the reference, not predicted)", convention.missed),
            ("A false positive (predicted, not in the reference)", convention.invented),
            ("A structure absent from both", convention.absent),
        )
    )
    return [
        f"Predictions are scored as files on the native grid. Distances are in {unit}. Borders and distances ignore "
        "axes of one voxel: a volume of one slice is scored as a 2D image. NSD counts a border exactly at the "
        f"tolerance as within. Convention “{name}”: {convention.source}.",
        f"{outcomes}. The counts stand beside every mean.{_definitions(convention)}",
        "Statistics are over patients. Frames, then classes, are averaged inside each patient. Seeds and draws are "
        "averaged per patient, and their spread is kept apart from the spread over patients. Intervals count both "
        "patients and runs. Their coverage was measured and stands under every table. A test over patients is about "
        "these trained models; it does not say how training again would turn out. Variance components separate "
        "patients, draws of labelled patients and seeds as far as the runs allow, and say which part they cannot tell. "
        "Beside every verdict stands how often one seed alone and one draw alone give it. Verdicts, ranks and means "
        "are of the draws that all methods have. Methods with further draws are also compared over all draws, as a "
        "family of their own.",
        "Each method is compared with the baseline by a two-sided paired Wilcoxon signed-rank test over patients, "
        "with Holm's correction over the declared family. Zero differences are dropped and counted. The smallest "
        "corrected p that the comparison can reach stands beside every p. If it is above the level, the verdict "
        "is “n too small”. “Not significant” does not show equality.",
        "Two methods are compared on the structures that every run of both has a value for. A method with missing "
        "predictions is neither tested nor ranked there; its difference on the common structures is described. If "
        f"the reference mask is empty, {EMPTY_REFERENCES[empty_reference]}. This holds for comparisons and rankings. "
        "The same comparison on non-empty references, and the false positives, stand beside them. Tables of scores "
        "follow the convention.",
        "The marks of the best and the second compare rounded means. They leave out cells with missing predictions or "
        "fewer patients, and means over unlike structures.",
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
