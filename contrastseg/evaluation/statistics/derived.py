"""Mean IoU in its two definitions, which papers print under one name: both sum over a data set, not over a patient."""

from __future__ import annotations

import numpy as np
import pandas as pd

from contrastseg.evaluation.statistics.aggregation import GROUP, MEAN

_RUN = ["draw", "seed"]
_CLASS = [*GROUP, "class", *_RUN]
_NOTHING = pd.DataFrame(columns=[*_CLASS, "value", "metric"])


def derived_metrics(scores: pd.DataFrame) -> pd.DataFrame:
    """Per run (draw and seed, all folds together) the metrics that are made from others.

    `miou`: mean over cases, then over foreground classes. `miou_pooled`: intersections and unions summed over the data
    set first (VOC, mmsegmentation), per class and as their mean. `…_background` counts the background as a class, too,
    as VOC does. Whichever of them the scores have the ingredients for.

    Args:
        scores: The collected table.

    Returns:
        Rows [*GROUP, metric, class, draw, seed, value].

    Example:
        >>> from contrastseg.evaluation.statistics.example import example_scores
        >>> derived_metrics(example_scores(metric="iou"))["metric"].unique().tolist()
        ['miou']
    """
    parts = [_miou(scores), _miou_pooled(scores), _miou_background(scores), _miou_pooled_background(scores)]
    return pd.concat([part for part in parts if len(part)] or [_NOTHING], ignore_index=True)


def _miou(scores: pd.DataFrame) -> pd.DataFrame:
    classes = _class_means(scores, "iou")
    return _NOTHING if classes.empty else _over_classes(classes).assign(metric="miou")


def _miou_background(scores: pd.DataFrame) -> pd.DataFrame:
    classes = _with_background(_class_means(scores, "iou"), _class_means(scores, "background_iou"))
    return _NOTHING if classes.empty else _over_classes(classes).assign(metric="miou_background")


def _miou_pooled(scores: pd.DataFrame) -> pd.DataFrame:
    classes = _pooled_ratios(scores, "intersection", "union")
    if classes.empty:
        return _NOTHING
    return pd.concat([classes, _over_classes(classes)], ignore_index=True).assign(metric="miou_pooled")


def _miou_pooled_background(scores: pd.DataFrame) -> pd.DataFrame:
    background = _pooled_ratios(scores, "background_intersection", "background_union")
    classes = _with_background(_pooled_ratios(scores, "intersection", "union"), background)
    return _NOTHING if classes.empty else _over_classes(classes).assign(metric="miou_pooled_background")


def _class_means(scores: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Means over cases, [*_CLASS, value]."""
    rows = scores[(scores["metric"] == metric) & scores["value"].notna()]
    return rows.groupby(_CLASS)["value"].mean().reset_index()


def _pooled_ratios(scores: pd.DataFrame, above: str, below: str) -> pd.DataFrame:
    """Sums over cases of one metric by those of another, [*_CLASS, value]."""
    areas = scores[scores["metric"].isin([above, below]) & scores["value"].notna()]
    if areas.empty:
        return areas.reindex(columns=[*_CLASS, "value"])
    sums = areas.groupby([*_CLASS, "metric"])["value"].sum().unstack("metric")
    return (sums[above] / sums[below].replace(0, np.nan)).dropna().rename("value").reset_index()


def _with_background(classes: pd.DataFrame, background: pd.DataFrame) -> pd.DataFrame:
    """The classes and the background, whose value stands in the rows of every class; nothing without it."""
    if background.empty:
        return background
    once = background.groupby([*GROUP, *_RUN])["value"].mean().reset_index().assign(**{"class": "background"})
    return pd.concat([classes, once], ignore_index=True)


def _over_classes(classes: pd.DataFrame) -> pd.DataFrame:
    return classes.groupby([*GROUP, *_RUN])["value"].mean().reset_index().assign(**{"class": MEAN})
