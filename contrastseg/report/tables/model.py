"""A table before it has a format: blocks of rows of cells, with their footnotes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import pandas as pd

from contrastseg.report.content.labels import MethodLabel

Emphasis = Literal["", "best", "second"]


@dataclass(frozen=True)
class Cell:
    """One cell: its text, what stands smaller behind it, and the value it sorts by."""

    text: str
    small: str = ""
    star: str = ""
    emphasis: Emphasis = ""
    sort: float | None = None
    kind: str = ""


@dataclass(frozen=True)
class Column:
    """One column; neighbours of the same group share a heading above."""

    title: str
    group: str = ""


@dataclass(frozen=True)
class Row:
    """One method's cells."""

    label: MethodLabel
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Block:
    """One data set's part of a table, with columns and footnotes of its own; `head` names its rows."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    footnotes: tuple[str, ...] = ()
    head: str = "Method"

    def groups(self) -> list[tuple[str, int]]:
        """The headings above the columns with the number of columns each spans; empty when there are none."""
        spans: list[tuple[str, int]] = []
        for column in self.columns:
            if spans and spans[-1][0] == column.group:
                spans[-1] = (column.group, spans[-1][1] + 1)
            else:
                spans.append((column.group, 1))
        return spans if any(group for group, _ in spans) else []


@dataclass(frozen=True)
class Table:
    """A table ready to be written; `tidy` is what the CSV holds, unrounded."""

    name: str
    caption: str
    blocks: tuple[Block, ...]
    footnotes: tuple[str, ...]
    tidy: pd.DataFrame = field(default_factory=pd.DataFrame)
