"""Tables of pages in Markdown, whose cells may themselves be Markdown. Tables of scores: `report.tables.formats`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence


def line(*cells: str) -> str:
    """One line of a table. Whitespace in a cell is flattened, and its bars are escaped."""
    return f"| {' | '.join(' '.join(cell.split()).replace('|', chr(92) + '|') for cell in cells)} |"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], left: int | None = None) -> Iterator[str]:
    """The lines of a table.

    Args:
        heads: The titles of its columns.
        rows: A cell for each of them.
        left: How many columns are flush left, the others right; all if left out.
    """
    left = len(heads) if left is None else left
    yield line(*heads)
    yield line(*["---"] * left, *["---:"] * (len(heads) - left))
    yield from (line(*row) for row in rows)
