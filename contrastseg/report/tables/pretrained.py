"""The footnotes of rows whose networks started from a file of weights: which file, and what is stated of it."""

from __future__ import annotations

from collections.abc import Collection

from contrastseg.report.content.labels import Pair
from contrastseg.report.content.report_data import ReportData
from contrastseg.report.tables import wording


def weight_footnotes(data: ReportData, dataset: str, pairs: Collection[Pair]) -> list[str]:
    """One line for each method of a block and each file that its networks started from.

    Args:
        data: What the table is made from.
        dataset: The block's entry.
        pairs: The methods and variants of the block.
    """
    said: dict[str, None] = {}
    for run in data.runs:
        pair = str(run["method"]), str(run["variant"])
        file = run.get("network_weights")
        if file and run["dataset"] == dataset and pair in pairs:
            said.setdefault(wording.starting_weights(data.label(*pair).name, file))
    return list(said)
