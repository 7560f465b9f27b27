"""Published numbers matched with ours: which of our rows belongs to which number, and what may be subtracted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from contrastseg.evaluation.published.audit import marked_published
from contrastseg.evaluation.published.audit_rows import AuditRow as PublishedNumber
from contrastseg.evaluation.published.audit_rows import rows_of
from contrastseg.report.content.labels import Pair, split_baseline
from contrastseg.report.content.report_data import Place, ReportData, keep, records
from contrastseg.report.settings.published import PublishedSettings
from contrastseg.report.tables.published.protocol import Protocols, comparable, compare_protocols
from contrastseg.report.tables.scores import star_of

_KEYS = ("dataset", "evaluated_on", "checkpoint", "labels", "method", "variant", "class", "metric")
_NOT_PUBLISHED = {"printed": "", "value": math.nan, "mark": "", "why": ""}


@dataclass(frozen=True, kw_only=True)
class Match:
    """A published number and our number beside it.

    Attributes:
        published: The published number, with `mark` and `why` of the audit; without them where the source has none.
        place: Entry, evaluated on, checkpoint.
        labels: Our label budget; empty where the suite has none for it.
        method: Our method and variant; empty where none is mapped.
        metric: Our metric; empty where there is none.
        row: Our row of the summary; None where there is none.
        protocols: Both protocols compared; None where nothing of ours belongs here.
    """

    published: PublishedNumber
    place: Place
    labels: str
    method: Pair
    metric: str
    row: Any = None
    protocols: Protocols | None = None

    @property
    def scale(self) -> float:
        """The factor from our unit to the published one."""
        return 100.0 if self.published["unit"] == "%" else 1.0

    @property
    def ours(self) -> float:
        """Our mean in the published unit; NaN without one."""
        return math.nan if self.row is None else self.scale * float(self.row.mean)

    @property
    def difference(self) -> float:
        """Ours minus published, in the published unit; NaN where the units do not allow it."""
        if self.row is None or not comparable(str(self.published["unit"]), str(self.row.unit)):
            return math.nan
        return self.ours - float(self.published["value"])


@dataclass(frozen=True)
class Matching:
    """The mapping of one published table, with our rows by all their axes (a metric may come in several units)."""

    data: ReportData
    settings: PublishedSettings
    index: Mapping[tuple[str, ...], Sequence[Any]]

    def matches(self) -> list[Match]:
        """Every number of the published table, in the source's order."""
        wanted = self.settings
        return [
            self.match(number)
            for number in _published()
            if number["file"] == wanted.source
            and wanted.where in (None, number["where"])
            and (wanted.papers is None or number["paper"] in wanted.papers)
            and number["dataset"] in wanted.datasets
            and (wanted.metrics is None or number["metric"] in wanted.metrics)
        ]

    def unpublished(self, match: Match, values: Mapping[str, str], own: Pair | None = None) -> Match:
        """The match of a cell where the source has no number.

        Args:
            match: Another match of the same column.
            values: What the cell's row has in place of that match's values.
            own: Our method and variant, for a row that the source does not have.
        """
        return self.match({**match.published, **values, **_NOT_PUBLISHED}, own)

    def match(self, number: PublishedNumber, own: Pair | None = None) -> Match:
        """A published number with ours, by the mapping (or with our method `own`)."""
        settings = self.settings
        mapped = settings.datasets[str(number["dataset"])]
        place = (mapped.entry, mapped.evaluated_on, self.checkpoint)
        labels = settings.budget(str(number["dataset"]), str(number["labelled"]))
        ours = settings.methods.get(str(number["method"]), "")
        method = own or (split_baseline(ours) if ours else ("", ""))
        metric = settings.metric_here(str(number["metric"]))
        row, protocols = None, None
        if labels and method[0] and metric:
            rows = self.index.get((*place, labels, *method, self._class_of(number), metric), ())
            same_unit = [row for row in rows if comparable(str(number["unit"]), str(row.unit))]
            row = next(iter(same_unit or rows), None)
            unit = "" if row is None else str(row.unit)
            protocols = compare_protocols(self.data, settings, number, place=place, method=method[0], unit=unit)
        return Match(
            published=number,
            place=place,
            labels=labels,
            method=method,
            metric=metric,
            row=row,
            protocols=protocols,
        )

    def _class_of(self, number: PublishedNumber) -> str:
        """Our class for that of a published number."""
        name = str(number["class"])
        return self.settings.classes.get(name, name)

    @cached_property
    def metrics(self) -> set[str]:
        """The metrics that were scored."""
        return set(self.data.summary["metric"].astype(str).unique())

    @cached_property
    def _stars(self) -> dict[tuple[str, ...], str]:
        """A row's axes and unit -> its mark from the corrected tests."""
        comparisons = self.data.comparisons
        if not len(comparisons):
            return {}
        axes = [name for name in (*_KEYS, "unit") if name != "class"]
        keys = zip(*(comparisons[name].astype(str).tolist() for name in axes), strict=True)
        return {key: star_of(row) for key, row in zip(keys, records(comparisons), strict=True)}

    def star(self, match: Match) -> str:
        """The mark of one of our numbers; tests are on the mean over classes."""
        if match.row is None or self._class_of(match.published) != "mean":
            return ""
        return self._stars.get((*match.place, match.labels, *match.method, match.metric, str(match.row.unit)), "")

    @cached_property
    def checkpoint(self) -> str:
        """The source's checkpoint where we have it, else the last, else the first that was scored."""
        present = list(self.data.summary["checkpoint"].astype(str).unique())
        wanted = (str(self.settings.protocol.checkpoint), "last")
        return next((name for name in wanted if name in present), present[0] if present else "last")

    @cached_property
    def _scored(self) -> dict[tuple[str, ...], set[Pair]]:
        """Place and label budget -> methods and variants with scores."""
        pairs: dict[tuple[str, ...], set[Pair]] = {}
        for key in self.index:
            pairs.setdefault(key[:4], set()).add((key[4], key[5]))
        return pairs

    def own_methods(self, matches: Iterable[Match]) -> list[Pair]:
        """Methods and variants with scores at these places and budgets that the source does not have, in our order."""
        matches = list(matches)
        scored = set[Pair]().union(*(self._scored.get((*match.place, match.labels), set()) for match in matches))
        return self.data.pair_order(scored - {match.method for match in matches})


@cache
def _published() -> tuple[PublishedNumber, ...]:
    return tuple(rows_of(marked_published()))


def matching(data: ReportData, settings: PublishedSettings) -> Matching:
    """The matching of one published table, its look-up made once."""
    index: dict[tuple[str, ...], list[Any]] = {}
    summary = keep(data.summary, {"dataset": [mapped.entry for mapped in settings.datasets.values()]})
    keys = zip(*(summary[name].astype(str).tolist() for name in _KEYS), strict=True)
    for key, row in zip(keys, records(summary), strict=True):
        index.setdefault(key, []).append(row)
    return Matching(data, settings, index)
