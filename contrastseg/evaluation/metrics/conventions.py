"""What a score is when a structure is missing: the project's own policy, and those of published codes, by name.

A convention fixes four things: whether distances are in the image's unit or in voxels, which definition stands behind
a metric's name, and what a missed, an invented and an absent structure score. Scoring the same predictions under
another convention shows how far the convention alone moves a published number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from contrastseg.errors import ScoringError, unknown_name
from contrastseg.evaluation.metrics.catalogue import METRICS

Fallback = float | Literal["diagonal", "error"]
NAN = math.nan


@dataclass(frozen=True)
class Empty:
    """Scores where one mask or both are empty: of overlaps (Dice, IoU), of NSD and of distances.

    `diagonal` is the image's diagonal, `error` refuses to score, NaN leaves the case out of means.
    """

    overlap: Fallback
    distance: Fallback
    surface_overlap: Fallback = NAN


@dataclass(frozen=True)
class Convention:
    """How a body of work scores.

    Attributes:
        name: What `--convention` calls it.
        source: Where the behaviour is from.
        spacing: Distances are in the image's unit; False counts voxels whatever their size.
        missed: Reference there, prediction empty.
        invented: Prediction there, reference empty.
        absent: Both empty.
        definitions: Metrics whose name means another definition here.
        backend: `medpy` calls that library instead of this one.
    """

    name: str
    source: str
    spacing: bool
    missed: Empty
    invented: Empty
    absent: Empty
    definitions: Mapping[str, str] = field(default_factory=dict)
    backend: Literal["own", "medpy"] = "own"

    def empty_score(self, metric: str, outcome: str, diagonal: float) -> float:
        """The score of a metric for a `missed`, `invented` or `absent` structure.

        Precision is 0 for an invented structure, recall 0 for a missed one, the other is undefined, everywhere.

        Raises:
            ScoringError: The convention refuses to score empty masks.
        """
        kind = METRICS[metric].kind
        if kind == "rate":
            return 0.0 if (metric, outcome) in (("precision", "invented"), ("recall", "missed")) else NAN
        empty: Empty = getattr(self, outcome)
        value: Fallback = getattr(empty, kind)
        if value == "error":
            raise ScoringError(
                f"{self.name} does not define {metric} for a structure that is {outcome}",
                remedy="score with the default convention, or leave this metric out",
            )
        return diagonal if value == "diagonal" else float(value)


_WORST = Empty(overlap=0.0, surface_overlap=0.0, distance="diagonal")
_UNDEFINED = Empty(overlap=NAN, surface_overlap=NAN, distance=NAN)
_ZERO = Empty(overlap=0.0, surface_overlap=0.0, distance=0.0)
_POOLED = {"hd95": "hd95_pooled"}

CONVENTIONS: dict[str, Convention] = {
    convention.name: convention
    for convention in (
        Convention(
            "default",
            "this project: worst score for missed and invented, absent left out and counted",
            spacing=True,
            missed=_WORST,
            invented=_WORST,
            absent=_UNDEFINED,
        ),
        Convention(
            "medpy",
            "medpy.metric.binary: distances of empty masks raise; beside other conventions they have no value",
            spacing=True,
            missed=Empty(overlap=0.0, distance="error", surface_overlap="error"),
            invented=Empty(overlap=0.0, distance="error", surface_overlap="error"),
            # 1 by medpy's source; under numpy 2.4 its `dc` gives NaN instead, for it waits for a ZeroDivisionError.
            absent=Empty(overlap=1.0, distance="error", surface_overlap="error"),
            definitions=_POOLED,
            backend="medpy",
        ),
        Convention(
            # MONAI 1.6 gives NaN for HD95 and inf for HD and ASSD of an empty mask; neither enters a mean here.
            "monai",
            "MONAI DiceMetric(ignore_empty=True), HausdorffDistanceMetric: NaN, dropped from means",
            spacing=True,
            missed=Empty(overlap=0.0, surface_overlap=0.0, distance=NAN),
            invented=Empty(overlap=NAN, surface_overlap=0.0, distance=NAN),
            absent=_UNDEFINED,
        ),
        Convention(
            "transunet",
            "Beckschen/TransUNet utils.py calculate_metric_percase: invented is Dice 1, HD95 0",
            spacing=False,
            missed=_ZERO,
            invented=Empty(overlap=1.0, surface_overlap=1.0, distance=0.0),
            absent=_ZERO,
            definitions=_POOLED,
        ),
        Convention(
            "nnformer",
            "282857341/nnFormer inference_synapse.py: HD95 0 when either is empty, Dice 1 when both are",
            spacing=False,
            missed=_ZERO,
            invented=_ZERO,
            absent=Empty(overlap=1.0, surface_overlap=1.0, distance=0.0),
            definitions=_POOLED,
        ),
        Convention(
            "ssl4mis",
            "HiLab-git/SSL4MIS code/val_3D.py cal_metric: Dice 0 and HD95 0 when either is empty; in 2D val_2D.py"
            " does so where nothing is predicted, and test_2D_fully.py refuses empty masks",
            spacing=False,
            missed=_ZERO,
            invented=_ZERO,
            absent=_ZERO,
            definitions=_POOLED,
        ),
    )
}


def get_convention(name: str) -> Convention:
    """A convention by name.

    Raises:
        ScoringError: There is none of that name; the message lists the known ones.

    Example:
        >>> get_convention("ssl4mis").spacing  # distances in voxels
        False
    """
    if name not in CONVENTIONS:
        raise ScoringError(unknown_name("convention", name, list(CONVENTIONS)), remedy="choose one of these")
    return CONVENTIONS[name]


def replayable(convention: Convention) -> Convention:
    """The convention for scoring whole folders under several: computed here, NaN where it refuses.

    What medpy would compute is computed by this library, which gives the same numbers (a test compares thousands of
    pairs) without medpy, and a structure that it raises on has no value instead of ending everything; whoever shows
    the scores counts those.

    Example:
        >>> replayable(get_convention("medpy")).name
        'medpy'
    """

    def answering(empty: Empty) -> Empty:
        return Empty(**{name: NAN if value == "error" else value for name, value in vars(empty).items()})

    missed, invented, absent = map(answering, (convention.missed, convention.invented, convention.absent))
    return replace(convention, backend="own", missed=missed, invented=invented, absent=absent)
