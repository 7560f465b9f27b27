"""A kind of table: what a new file in this package defines and `settings.kinds` registers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from contrastseg.report.content.report_data import ReportData
from contrastseg.report.settings import TableSettings
from contrastseg.report.settings.kinds import TABLE_KINDS
from contrastseg.report.tables.model import Block


@dataclass(frozen=True)
class TableKind:
    """One kind of table.

    Attributes:
        caption: The caption where the suite names none.
        blocks: The blocks of rows, from the part of the data that the settings ask for.
        tidy: The unrounded rows of the CSV, one number or test per row.
        footnotes: The footnotes under the whole table; those of a block belong to the block.
        reads: Tables of the results folder that it needs beside summary and comparisons, without suffix.
        tested: Whether it shows results of the tests of comparisons.csv. A footnote declares their family, or that
            there is no test; None declares nothing.
    """

    caption: str
    blocks: Callable[[ReportData, TableSettings], list[Block]]
    tidy: Callable[[ReportData, TableSettings], pd.DataFrame]
    footnotes: Callable[[ReportData, Sequence[Block]], list[str]]
    reads: tuple[str, ...] = ()
    tested: bool | None = None


def table_kind(name: str) -> TableKind:
    """The kind of this name.

    Raises:
        TypeError: What is registered under it is no `TableKind`.
    """
    kind = TABLE_KINDS[name].definition()
    if not isinstance(kind, TableKind):
        raise TypeError(f"{TABLE_KINDS[name].defined_in} is {kind!r:.100}; expected a TableKind")
    return kind


def frames_read(settings: Sequence[TableSettings]) -> list[str]:
    """The tables of the results folder, without suffix, that these tables need beside summary and comparisons."""
    return sorted({name for table in settings for name in table_kind(table.kind).reads})
