"""What `collect` writes beside the table of scores: ranks by convention, and the selection of snapshots."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import typer

from contrastseg.checkpoint_names import SELECTED_BY, SNAPSHOTS

SNAPSHOT_SCORES = f"{SNAPSHOTS}.parquet"


def write_conventions(
    results: Path, rows: Sequence[tuple[dict[str, Any], Path]], base: str, draws: Collection[int]
) -> None:
    """Write the scores by convention, and the ranks under each.

    Args:
        results: The folder.
        rows: Axes and file of scores of each evaluation.
        base: The suite's convention, which the others are compared with.
        draws: Draws that all methods have; the ranks are of these.
    """
    from contrastseg.evaluation.scoring.collect import CONVENTION_COLUMNS, write_table
    from contrastseg.evaluation.scoring.collect import collect as collect_scores
    from contrastseg.evaluation.statistics.convention_ranks import convention_ranks
    from contrastseg.evaluation.statistics.draws import common_draws
    from contrastseg.files import write_text

    scores = collect_scores(rows, CONVENTION_COLUMNS)
    write_table(scores, results / "conventions.parquet")
    ranks = convention_ranks(common_draws(scores, draws), base)
    write_text(results / "conventions.csv", ranks.to_csv(index=False))
    typer.echo(str(results / "conventions.csv"))


def write_snapshots(
    results: Path, rows: Sequence[tuple[dict[str, Any], Path]], alpha: float, draws: Collection[int]
) -> None:
    """Write the selecting scores of all snapshots, and the table of selection.

    Args:
        results: The folder.
        rows: Axes and file of scores of each evaluation.
        alpha: One minus the coverage of the intervals.
        draws: Draws that all methods have; the table is of these.
    """
    from contrastseg.evaluation.scoring.collect import collect as collect_scores
    from contrastseg.evaluation.scoring.collect import write_table

    scores = collect_scores(rows)
    write_table(scores[scores["metric"] == SELECTED_BY].reset_index(drop=True), results / SNAPSHOT_SCORES)
    write_selection(results, alpha, draws)
    typer.echo(str(results / "selection.csv"))


def write_selection(results: Path, alpha: float, draws: Collection[int]) -> None:
    """Write the table of selection from the stored scores of the snapshots, of the draws that all methods have."""
    from contrastseg.evaluation.scoring.collect import read_table
    from contrastseg.evaluation.statistics.draws import common_draws
    from contrastseg.evaluation.statistics.selection import selection_table
    from contrastseg.files import write_text

    table = selection_table(common_draws(read_table(results / SNAPSHOT_SCORES), draws), alpha)
    write_text(results / "selection.csv", table.to_csv(index=False))
