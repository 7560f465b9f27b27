"""The footnotes of entered rows: what is stated of them, and what was done to their maps."""

from __future__ import annotations

from collections.abc import Collection

from contrastseg.evaluation.entered.statement import stated_lines
from contrastseg.report.content.labels import Pair, is_external
from contrastseg.report.content.report_data import ReportData
from contrastseg.report.tables import wording


def external_footnotes(data: ReportData, dataset: str, pairs: Collection[Pair]) -> list[str]:
    """One line for each entered method of a block: what is stated, and which maps were brought to another grid.

    Args:
        data: What the table is made from.
        dataset: The block's entry.
        pairs: The methods and variants of the block.
    """
    stated: dict[str, dict[str, None]] = {}
    for run in data.runs:
        method = str(run["method"])
        if is_external(run) and run["dataset"] == dataset and (method, str(run["variant"])) in pairs:
            lines = stated_lines(run.get("stated") or {}, run.get("labelled_patients") or ())
            said = wording.statement(lines, int(run.get("moved_maps") or 0))
            stated.setdefault(data.label(method, str(run["variant"])).name, {}).setdefault(said)
    return [wording.external(name, list(statements)) for name, statements in stated.items()]
