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
    set first (VOC, mmsegmentation), per class and as their mean. Whichever of them the scores have the ingredients for.

    Args:
        scores: The collected table.

    Returns:
        Rows [*GROUP, metric, class, draw, seed, value].
    """
    parts = [_miou(scores), _miou_pooled(scores)]
    return pd.concat([part for part in parts if len(part)] or [_NOTHING], ignore_index=True)


def _miou(scores: pd.DataFrame) -> pd.DataFrame:
    iou = scores[(scores["metric"] == "iou") & scores["value"].notna()]
    if iou.empty:
        return _NOTHING
    classes = iou.groupby(_CLASS)["value"].mean().reset_index()
    return _over_classes(classes).assign(metric="miou")


def _miou_pooled(scores: pd.DataFrame) -> pd.DataFrame:
    areas = scores[scores["metric"].isin(["intersection", "union"]) & scores["value"].notna()]
    if areas.empty:
        return _NOTHING
    sums = areas.groupby([*_CLASS, "metric"])["value"].sum().unstack("metric")
    ratio = (sums["intersection"] / sums["union"].replace(0, np.nan)).dropna()
    classes = ratio.rename("value").reset_index()
    return pd.concat([classes, _over_classes(classes)], ignore_index=True).assign(metric="miou_pooled")


def _over_classes(classes: pd.DataFrame) -> pd.DataFrame:
    return classes.groupby([*GROUP, *_RUN])["value"].mean().reset_index().assign(**{"class": MEAN})
