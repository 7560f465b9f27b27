"""Beside a comparison where references are empty: the same comparison without them, and the false positives in them."""

from __future__ import annotations

from typing import Any

from contrastseg.evaluation.statistics.paired import signed_rank
from contrastseg.evaluation.statistics.score_matrix import ScoreMatrix

BESIDE_COLUMNS = (
    "empty_references",
    "nonempty_n",
    "nonempty_zeros",
    "nonempty_mean",
    "nonempty_reference_mean",
    "nonempty_mean_difference",
    "nonempty_p",
    "nonempty_p_holm",
    "nonempty_p_smallest",
    "nonempty_verdict",
    "false_positives",
    "reference_false_positives",
    "false_positives_n",
    "false_positives_zeros",
    "false_positives_p",
    "false_positives_p_holm",
    "false_positives_p_smallest",
    "false_positives_verdict",
    "disagreement",
)
BESIDE_COUNTS = {"empty_references", "nonempty_n", "nonempty_zeros", "false_positives_n", "false_positives_zeros"}
BESIDE_WORDS = {"nonempty_verdict", "false_positives_verdict", "disagreement"}
BESIDE_TESTS = {
    prefix: (f"{prefix}n", f"{prefix}zeros", f"{prefix}balance", direction)
    for prefix, direction in (("nonempty_", ""), ("false_positives_", "lower"))
}
"""Prefix of a test's columns -> where its pairs, zeros and balance are, and which way is better (else the metric's)."""


def beside(matrix: ScoreMatrix, own: int, other: int, tested: bool) -> dict[str, Any]:
    """The columns of one pair of methods that do not depend on its family; none of them without empty references.

    Both tests are of patients: the difference of the means over a patient's non-empty references, and the difference of
    the shares of a patient's empty references in which something was found. The signed-rank test counts the
    distribution out, so with one empty reference per patient and one run the second is McNemar's exact test.

    Args:
        matrix: Where the two meet.
        own: The index of the method.
        other: The index of the baseline.
        tested: Whether both have all predictions; else the numbers describe.

    Example:
        >>> from contrastseg.evaluation.statistics.example import example_scores
        >>> from contrastseg.evaluation.statistics.score_matrix import score_matrices
        >>> (matrix,) = score_matrices(example_scores())
        >>> beside(matrix, 0, 1, tested=True)  # the example has no empty references
        {}
    """
    each, shares = matrix.false_positives([own, other])
    if not len(each):
        return {}
    row: dict[str, Any] = {
        "empty_references": len(each),
        "false_positives": float(each[:, 0].mean()),
        "reference_false_positives": float(each[:, 1].mean()),
    }
    patients = matrix.patients([own, other], ~matrix.empty)
    if len(patients):
        row |= {
            "nonempty_n": len(patients),
            "nonempty_mean": float(patients[:, 0].mean()),
            "nonempty_reference_mean": float(patients[:, 1].mean()),
            "nonempty_mean_difference": float((patients[:, 0] - patients[:, 1]).mean()),
        }
    if not tested:
        return row
    for prefix, pairs in (("nonempty_", patients), ("false_positives_", shares)):
        if len(pairs):
            test = signed_rank(pairs[:, 0] - pairs[:, 1])
            row |= {f"{prefix}{name}": getattr(test, name) for name in ("n", "zeros", "p", "balance")}
    return row


def disagreement(verdict: str, nonempty: str, false_positives: str) -> str:
    """What the comparisons beside a verdict say that it does not, in words; empty where they agree.

    They disagree where one finds a difference that the other does not find, or finds the opposite one. Finding no
    difference in false positives contradicts nothing.

    Example:
        >>> disagreement("n.s.", "better", "n.s.")
        'non-empty references alone: better'
    """
    verdicts = [verdict, nonempty, false_positives]
    overall, alone, false = (each if each in ("better", "worse") else "" for each in verdicts)
    parts = [f"non-empty references alone: {nonempty}"] if nonempty and alone != overall else []
    parts += [f"false positives: {false_positives}"] if false and false != overall else []
    return "; ".join(parts)
