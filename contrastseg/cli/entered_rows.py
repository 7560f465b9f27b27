"""Entered runs where results are collected: what is known of them now, and which are outdated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer

from contrastseg.report.content.results_folder import ResultsFolder


def comparable_evaluations(folder: ResultsFolder, records: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The evaluations of a plan without those of outdated entered runs, which are named.

    Args:
        folder: The results, with their plan.
        records: `run.json` by folder. Those of entered runs get the number of maps that were brought to another grid
            (`moved_maps`), and `outdated`: a reason by `evaluated on/checkpoint`.
    """
    evaluations: list[dict[str, Any]] = folder.plan["evaluations"]
    if not any(run.get("entered") for run in folder.plan["runs"]):
        return evaluations  # without the import of what looks at them
    from contrastseg.planning.entered import entered_states

    states = entered_states(folder)
    for (place, other, checkpoint), state in states.items():
        record = records.get(place, {})
        record["moved_maps"] = record.get("moved_maps", 0) + state.moved
        if state.outdated:
            record.setdefault("outdated", {})[f"{other}/{checkpoint}"] = state.outdated
            typer.secho(f"{place} is outdated and not compared: {state.outdated}", fg=typer.colors.YELLOW, err=True)
    outdated = {key for key, state in states.items() if state.outdated}
    return [item for item in evaluations if _key(item) not in outdated]


def _key(item: Mapping[str, Any]) -> tuple[str, str, str]:
    return item["folder"], item["evaluated_on"], item["checkpoint"]
