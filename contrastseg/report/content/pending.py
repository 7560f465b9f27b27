"""Planned runs without scores: they wait, or they failed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

NOT_RUN = "not run"
PARTLY_RUN = "partly run"
_AXES = ("draw", "fold", "seed")
_SCORED = ("dataset", "method", "variant", "labels", *_AXES, "evaluated_on", "checkpoint")


def pending_runs(plan: Mapping[str, Any], scores: pd.DataFrame) -> list[dict[str, Any]]:
    """The cells of a plan without scores, and those with scores of a part of their runs.

    Args:
        plan: A `plan.json`: its `runs` and `evaluations`.
        scores: `scores.parquet`.

    Returns:
        `{dataset, method, variant, labels, state, reason}` in the plan's order; `state` is NOT_RUN or PARTLY_RUN.
    """
    runs = {run["folder"]: run for run in plan["runs"]}
    done = set(scores[list(_SCORED)].drop_duplicates().itertuples(index=False, name=None))
    planned: dict[tuple[Any, ...], list[tuple[str, bool]]] = {}
    for item in plan["evaluations"]:
        axes = {**runs[item["folder"]], **item}
        cell = tuple(axes[name] for name in ("dataset", "method", "variant", "labels"))
        run = ", ".join(f"{name} {axes[name]}" for name in _AXES)
        planned.setdefault(cell, []).append((run, tuple(axes[name] for name in _SCORED) in done))
    pending = []
    for (dataset, method, variant, labels), scored_runs in planned.items():
        waiting = list(dict.fromkeys(run for run, scored in scored_runs if not scored))
        if not waiting:
            continue
        nothing = not any(scored for _, scored in scored_runs)
        total = len({run for run, _ in scored_runs})
        state, reason = (
            (NOT_RUN, "planned, without scores")
            if nothing
            else (PARTLY_RUN, f"{len(waiting)} of {total} runs without scores ({'; '.join(waiting)})")
        )
        cell_axes = {"dataset": dataset, "method": method, "variant": variant, "labels": labels}
        pending.append({**cell_axes, "state": state, "reason": reason})
    return pending
