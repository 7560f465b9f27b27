"""The metrics there are: what each is called, which way is better, and what it is measured in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from contrastseg.errors import ScoringError, unknown_name

Kind = Literal["overlap", "surface_overlap", "rate", "share", "distance", "volume", "count"]
Direction = Literal["higher", "lower"]
OUTCOMES = ("scored", "missed", "invented", "absent", "hole")


@dataclass(frozen=True)
class Metric:
    """One metric: its name, a title for tables, its kind (which decides the unit) and the better direction."""

    name: str
    title: str
    kind: Kind
    direction: Direction


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("dice", "Dice", "overlap", "higher"),
        Metric("iou", "IoU", "overlap", "higher"),
        Metric("hd95", "HD95", "distance", "lower"),
        Metric("hd95_pooled", "HD95 (pooled)", "distance", "lower"),
        Metric("hd", "HD", "distance", "lower"),
        Metric("assd", "ASSD", "distance", "lower"),
        Metric("asd", "ASD (prediction to reference)", "distance", "lower"),
        Metric("nsd", "NSD", "surface_overlap", "higher"),
        Metric("precision", "Precision", "rate", "higher"),
        Metric("recall", "Recall", "rate", "higher"),
        Metric("accuracy", "Pixel accuracy", "share", "higher"),
        Metric("background_iou", "IoU of the background", "share", "higher"),
        Metric("volume_error_ml", "Volume error", "volume", "lower"),
        Metric("intersection", "Intersection", "count", "higher"),
        Metric("union", "Union", "count", "lower"),
        Metric("background_intersection", "Intersection of the background", "count", "higher"),
        Metric("background_union", "Union of the background", "count", "lower"),
    )
}
SURFACE_METRICS = frozenset(m.name for m in METRICS.values() if m.kind in ("distance", "surface_overlap"))
DEFAULT_METRICS = ("dice", "iou", "hd95", "hd95_pooled", "assd")
# Made from other metrics' rows when results are summarised, never scored case by case.
DERIVED: dict[str, tuple[str, ...]] = {
    "miou": ("iou",),
    "miou_pooled": ("intersection", "union"),
    "miou_background": ("iou", "background_iou"),
    "miou_pooled_background": ("intersection", "union", "background_intersection", "background_union"),
}
DERIVED_TITLES = {
    "miou": "mIoU",
    "miou_pooled": "mIoU (pooled)",
    "miou_background": "mIoU (background counted)",
    "miou_pooled_background": "mIoU (pooled, background counted)",
}


def resolve_metrics(names: Iterable[str]) -> tuple[str, ...]:
    """The scored metrics that `names` need, in order, derived ones replaced by what they are made from.

    Raises:
        ScoringError: A name is unknown; the message lists the known ones.

    Example:
        >>> resolve_metrics(["dice", "miou"])
        ('dice', 'iou')
    """
    resolved: list[str] = []
    for name in names:
        if name not in METRICS and name not in DERIVED:
            raise ScoringError(unknown_name("metric", name, [*METRICS, *DERIVED]), remedy="correct the list of metrics")
        resolved += DERIVED.get(name, (name,))
    return tuple(dict.fromkeys(resolved))


def by_conventions(metrics: Iterable[str]) -> list[str]:
    """Those of some scored metrics that conventions are about: overlaps and distances.

    Example:
        >>> by_conventions(["dice", "hd95", "precision"])
        ['dice', 'hd95']
    """
    return [metric for metric in metrics if METRICS[metric].kind in ("overlap", "distance")]


def direction(metric: str) -> Direction:
    """Which way is better for a metric, scored or derived.

    Example:
        >>> direction("dice"), direction("hd95")
        ('higher', 'lower')
    """
    return "higher" if metric in DERIVED else METRICS[metric].direction


def title(metric: str) -> str:
    """The name of a metric, scored or derived, as a table prints it.

    Example:
        >>> title("hd95"), title("miou")
        ('HD95', 'mIoU')
    """
    return DERIVED_TITLES[metric] if metric in DERIVED else METRICS[metric].title


def unit_of(metric: str, length_unit: str, spatial_dims: int) -> str:
    """The unit a metric is stored in: `1`, `ml`, or the image's own `mm`, `voxel`, `pixel`.

    Args:
        metric: A name in METRICS.
        length_unit: The unit of the image's spacing, `mm`, `voxel` or `pixel`.
        spatial_dims: 2 or 3; an area has no millilitres and is counted in pixels.

    Example:
        >>> unit_of("dice", "mm", 3), unit_of("hd95", "mm", 3), unit_of("volume_error_ml", "pixel", 2)
        ('1', 'mm', 'pixel')
    """
    kind = METRICS[metric].kind
    if kind == "distance":
        return length_unit
    if kind == "volume" and length_unit == "mm" and spatial_dims == 3:
        return "ml"
    if kind in ("volume", "count"):
        return "voxel" if spatial_dims == 3 else "pixel"
    return "1"


def bounds(metric: str) -> tuple[float, float]:
    """The smallest and the largest value a scored metric can have.

    Example:
        >>> bounds("dice"), bounds("hd95")
        ((0.0, 1.0), (0.0, inf))
    """
    return (
        (0.0, 1.0) if METRICS[metric].kind in ("overlap", "surface_overlap", "rate", "share") else (0.0, float("inf"))
    )
