"""Planned runs without scores: they wait, they failed, or they were entered for a protocol that has changed since."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from contrastseg.report.content.run_keys import run_key

NOT_RUN = "not run"
PARTLY_RUN = "partly run"
OUTDATED = "outdated"
_AXES = ("draw", "fold", "seed")
_SCORED = ("dataset", "method", "variant", "labels", *_AXES, "evaluated_on", "checkpoint")


def pending_runs(
    plan: Mapping[str, Any], scores: pd.DataFrame, records: Sequence[Mapping[str, Any]] = ()
) -> list[dict[str, Any]]:
    """The cells of a plan without scores, and those with scores of a part of their runs.

    Args:
        plan: A `plan.json`: its `runs` and `evaluations`.
        scores: `scores.parquet`.
        records: The `run.json` of the runs. `collect` marks entered runs of another protocol with `outdated`, a reason
            by `evaluated on/checkpoint`.

    Returns:
        `{dataset, method, variant, labels, state, reason}` in the plan's order; `state` is NOT_RUN, PARTLY_RUN, or
        OUTDATED where every run of the cell is.
    """
    runs = {run["folder"]: run for run in plan["runs"]}
    outdated = {run_key(record): record["outdated"] for record in records if record.get("outdated")}
    done = set(scores[list(_SCORED)].drop_duplicates().itertuples(index=False, name=None))
    planned: dict[tuple[Any, ...], list[tuple[str, bool]]] = {}
    reasons: dict[tuple[Any, ...], list[str]] = {}
    for item in plan["evaluations"]:
        axes = {**runs[item["folder"]], **item}
        cell = tuple(axes[name] for name in ("dataset", "method", "variant", "labels"))
        run = ", ".join(f"{name} {axes[name]}" for name in _AXES)
        if reason := outdated.get(run_key(axes), {}).get(f"{axes['evaluated_on']}/{axes['checkpoint']}"):
            reasons.setdefault(cell, []).append(reason)
            run = f"{run}: outdated"
        planned.setdefault(cell, []).append((run, tuple(axes[name] for name in _SCORED) in done))
    pending: list[dict[str, Any]] = []
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
        cell = (dataset, method, variant, labels)
        if len(reasons.get(cell, ())) == len(scored_runs):
            state, reason = OUTDATED, "; ".join(dict.fromkeys(reasons[cell]))
        cell_axes = {"dataset": dataset, "method": method, "variant": variant, "labels": labels}
        pending.append({**cell_axes, "state": state, "reason": reason})
    return pending
