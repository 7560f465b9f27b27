"""Folders of published files behind a suite's entries, each listed once: their cohorts and edits since preparation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from contrastseg.data.download.download import locate
from contrastseg.data.faults import Faults
from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.prepare.inputs import Inputs, Published
from contrastseg.data.splits.cohort import Cohort
from contrastseg.errors import DataError
from contrastseg.paths import MANIFEST, RESOURCES
from contrastseg.planning.data_paths import prepared_of
from contrastseg.suite import DatasetEntry

_SHOWN = 3


def summary_of_edits(edits: Sequence[str]) -> str:
    """The first few edits of a folder, and how many more there are."""
    more = f" and {len(edits) - _SHOWN} more" if len(edits) > _SHOWN else ""
    return f"{'; '.join(edits[:_SHOWN])}{more}"


class DataFolders:
    """The published files of entries. Each folder is listed once.

    Args:
        data_root: The user's folder of data sets.
        resources: The project's resources folder.
        look: Whether folders are listed. Jobs on a cluster read the cohort from prepared data instead.
    """

    def __init__(self, data_root: Path | None = None, resources: Path = RESOURCES, *, look: bool = True) -> None:
        self.data_root = data_root
        self.resources = resources
        self.look = look
        self._published: dict[str, Published | None] = {}
        self._touched: dict[Path, Inputs] = {}

    def published(self, entry: DatasetEntry) -> Published | None:
        """The files in an entry's folder; None where data is generated or not on this machine."""
        if entry.name not in self._published:
            self._published[entry.name] = self._look(entry)
        return self._published[entry.name]

    def _look(self, entry: DatasetEntry) -> Published | None:
        spec = entry.spec
        try:
            folder = locate(spec, self.data_root, self.resources)
        except DataError:
            return None
        return None if folder is None else Published.look(spec, spec.parse_options(entry.options), folder)

    def cohort(self, entry: DatasetEntry) -> Cohort | None:
        """The cohort of the published files, else of the prepared data; None before a download."""
        spec, prepared = entry.spec, prepared_of(entry, self.resources)
        if spec.generated:
            return Cohort.of_raw(spec.discover(None, spec.parse_options(entry.options), Faults()))
        is_prepared = (prepared / MANIFEST).is_file()
        if is_prepared and not self.look:
            return Cohort.of_prepared(PreparedDataset(prepared))
        published = self.published(entry)
        if published is not None and published.cases:
            return Cohort.of_raw(published.cases)
        return Cohort.of_prepared(PreparedDataset(prepared)) if is_prepared else None

    def edits(self, entry: DatasetEntry) -> list[str]:
        """Edits, in words, that make an entry be prepared again; empty where prepared data is up to date."""
        prepared = prepared_of(entry, self.resources)
        if not self.look or not (prepared / MANIFEST).is_file():
            return []
        published = self.published(entry)
        if published is None:
            return []
        record = Inputs.of_prepared(prepared)
        if record is None:
            return ["the record of what it was made from is missing"]
        edits, now = record.compare(published)
        if now.files != record.files:
            self._touched[prepared] = now
        return edits

    def remember(self) -> None:
        """Store the times of files that were touched but not edited, so that they are not read again."""
        while self._touched:
            prepared, record = self._touched.popitem()
            record.write(prepared)
