"""Printed numbers with ours beside them: which of our rows belongs to which printed one, and what may be subtracted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from contrastseg.evaluation.published.audit import marked_published
from contrastseg.evaluation.published.audit_rows import AuditRow, rows_of
from contrastseg.report.content.labels import split_reference
from contrastseg.report.content.report_data import Material, Place, keep, records
from contrastseg.report.settings.published import PaperSettings
from contrastseg.report.tables.published.protocol import Protocols, comparable, compare_protocols
from contrastseg.report.tables.scores import star_of

_KEYS = ("dataset", "evaluated_on", "checkpoint", "labels", "method", "variant", "class", "metric")
_NOTHING_PRINTED = {"printed": "", "value": math.nan, "mark": "", "why": ""}


@dataclass(frozen=True)
class Pair:
    """A printed number and what stands beside it.

    Attributes:
        printed: The row of the published number, with `mark` and `why`; without them where nothing is printed.
        place: Entry, evaluated on, checkpoint.
        labels: Our label budget; empty where the suite has none for it.
        method: Our method and variant; empty where none is mapped.
        metric: Our metric; empty where there is none.
        row: Our row of the summary; None where there is none.
        protocols: Both protocols; None where nothing of ours belongs here.
    """

    printed: AuditRow
    place: Place
    labels: str
    method: tuple[str, str]
    metric: str
    row: Any
    protocols: Protocols | None

    @property
    def scale(self) -> float:
        """What ours is multiplied by to stand in the printed unit."""
        return 100.0 if self.printed["unit"] == "%" else 1.0

    @property
    def ours(self) -> float:
        """Our mean in the printed unit; NaN without one."""
        return math.nan if self.row is None else self.scale * float(self.row.mean)

    @property
    def difference(self) -> float:
        """Ours minus theirs, in the printed unit; NaN where the units do not allow it."""
        if self.row is None or not comparable(str(self.printed["unit"]), str(self.row.unit)):
            return math.nan
        return self.ours - float(self.printed["value"])


@dataclass(frozen=True)
class Pairing:
    """The mapping of one paper's table, with our rows by all their axes (a metric may come in several units)."""

    material: Material
    paper: PaperSettings
    index: Mapping[tuple[str, ...], Sequence[Any]]

    def printed(self) -> list[Pair]:
        """Every number of the printed table, in the source's order."""
        paper = self.paper
        return [
            self.pair(row)
            for row in _published()
            if row["file"] == paper.source
            and paper.where in (None, row["where"])
            and (paper.papers is None or row["paper"] in paper.papers)
            and row["dataset"] in paper.datasets
            and (paper.metrics is None or row["metric"] in paper.metrics)
        ]

    def beside(self, pair: Pair, values: Mapping[str, str], own: tuple[str, str] | None = None) -> Pair:
        """The pair of a cell where the source prints nothing.

        Args:
            pair: Another pair of the same column.
            values: What the cell's row has in place of that pair's values.
            own: Our method and variant, for a row that the source does not have.
        """
        return self.pair({**pair.printed, **values, **_NOTHING_PRINTED}, own)

    def pair(self, printed: AuditRow, own: tuple[str, str] | None = None) -> Pair:
        """A printed number with ours, by the mapping (or with our method `own`)."""
        paper = self.paper
        data = paper.datasets[str(printed["dataset"])]
        place = (data.entry, data.evaluated_on, self.checkpoint)
        labels = paper.budget(str(printed["dataset"]), str(printed["labelled"]))
        mapped = paper.methods.get(str(printed["method"]), "")
        method = own or (split_reference(mapped) if mapped else ("", ""))
        metric = paper.metric_here(str(printed["metric"]))
        row, protocols = None, None
        if labels and method[0] and metric:
            name = paper.classes.get(str(printed["class"]), str(printed["class"]))
            found = self.index.get((*place, labels, *method, name, metric), ())
            usable = [one for one in found if comparable(str(printed["unit"]), str(one.unit))]
            row = next(iter(usable or found), None)
            unit = "" if row is None else str(row.unit)
            protocols = compare_protocols(self.material, paper, printed, place, method[0], unit)
        return Pair(printed, place, labels, method, metric, row, protocols)

    @cached_property
    def metrics(self) -> set[str]:
        """The metrics that were scored."""
        return set(self.material.summary["metric"].astype(str).unique())

    @cached_property
    def stars(self) -> dict[tuple[str, ...], str]:
        """A row's axes and unit -> its mark from the corrected tests."""
        tested = self.material.comparisons
        if not len(tested):
            return {}
        axes = [name for name in (*_KEYS, "unit") if name != "class"]
        keys = zip(*(tested[name].astype(str).tolist() for name in axes), strict=True)
        return {key: star_of(row) for key, row in zip(keys, records(tested), strict=True)}

    def star(self, pair: Pair) -> str:
        """The mark of one of our numbers; tests are on the mean over classes."""
        if pair.row is None or self.paper.classes.get(str(pair.printed["class"]), pair.printed["class"]) != "mean":
            return ""
        return self.stars.get((*pair.place, pair.labels, *pair.method, pair.metric, str(pair.row.unit)), "")

    @cached_property
    def checkpoint(self) -> str:
        """The source's checkpoint where we have it, else the last, else what there is."""
        there = list(self.material.summary["checkpoint"].astype(str).unique())
        wanted = (str(self.paper.protocol.checkpoint), "last")
        return next((name for name in wanted if name in there), there[0] if there else "last")

    @cached_property
    def _ran(self) -> dict[tuple[str, ...], set[tuple[str, str]]]:
        """Place and label budget -> methods and variants with scores."""
        found: dict[tuple[str, ...], set[tuple[str, str]]] = {}
        for key in self.index:
            found.setdefault(key[:4], set()).add((key[4], key[5]))
        return found

    def own_methods(self, pairs: Iterable[Pair]) -> list[tuple[str, str]]:
        """Methods and variants with scores at these places and budgets that the source does not have, in our order."""
        pairs = list(pairs)
        known = {pair.method for pair in pairs}
        found = set().union(*(self._ran.get((*pair.place, pair.labels), set()) for pair in pairs))
        return self.material.pair_order(found - known)


@cache
def _published() -> tuple[AuditRow, ...]:
    return tuple(rows_of(marked_published()))


def pairing(material: Material, paper: PaperSettings) -> Pairing:
    """The pairing of one paper's table, its look-up made once."""
    index: dict[tuple[str, ...], list[Any]] = {}
    summary = keep(material.summary, {"dataset": [data.entry for data in paper.datasets.values()]})
    keys = zip(*(summary[name].astype(str).tolist() for name in _KEYS), strict=True)
    for key, row in zip(keys, records(summary), strict=True):
        index.setdefault(key, []).append(row)
    return Pairing(material, paper, index)
