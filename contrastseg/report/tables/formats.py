"""A table as CSV, Markdown and HTML. LaTeX has a module of its own."""

from __future__ import annotations

import re

from markupsafe import escape

from contrastseg.report.tables.model import Block, Cell, Table

_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>|#~$])")
_FORMULA = ("=", "+", "-", "@")
_NOISE = 1e-12


def to_csv(table: Table) -> str:
    """The unrounded rows; text that a spreadsheet would run as a formula gets an apostrophe in front."""
    tidy = table.tidy.copy()
    for name in tidy.columns:
        if "p" in str(name).split("_") and tidy[name].dtype.kind == "f":
            tidy[name] = tidy[name].map(_p_value)
    for name in tidy.columns:
        if tidy[name].dtype.kind not in "biufc":
            tidy[name] = tidy[name].map(_no_formula)
    return str(tidy.to_csv(index=False, float_format="%.6g"))


def _p_value(value: float) -> str:
    """Six digits, or all where these would be a round number such as the level that p is compared with."""
    if value != value:
        return ""
    text = f"{value:.6g}"
    rounded = abs(float(text) - value) > _NOISE and float(text) == float(f"{value:.3g}")
    return repr(float(value)) if rounded else text


def _no_formula(value: object) -> object:
    if not isinstance(value, str):
        return value
    text = re.sub(r"[\r\n\t]+", " ", value)
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text


def escape_markdown(text: str) -> str:
    """Text that Markdown (inside a table too) prints as it is."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()).replace("&", "&amp;"))


def to_markdown(table: Table) -> str:
    """The table as Markdown: one table per block, footnotes below as a list."""
    parts = [f"**{escape_markdown(table.caption)}**"]
    for block in table.blocks:
        heads = [escape_markdown(block.head), *(_markdown_head(column.group, column.title) for column in block.columns)]
        lines = [_markdown_line(heads), _markdown_line(["---", *["---:"] * len(block.columns)])]
        for row in block.rows:
            cells = [_markdown_cell(cell) for cell in row.cells]
            lines.append(_markdown_line([escape_markdown(row.label.plain), *cells]))
        footnotes = [f"- {escape_markdown(footnote)}" for footnote in block.footnotes]
        parts += [
            f"### {escape_markdown(block.title)}",
            "\n".join(lines),
            *(["\n".join(footnotes)] if footnotes else []),
        ]
    if not table.blocks:
        parts.append("No scores.")
    parts.append("\n".join(f"- {escape_markdown(footnote)}" for footnote in table.footnotes))
    return "\n\n".join(part for part in parts if part) + "\n"


def _markdown_head(group: str, title: str) -> str:
    return escape_markdown(title) if not group else f"{escape_markdown(group)}: {escape_markdown(title)}"


def _markdown_line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown_cell(cell: Cell) -> str:
    text = escape_markdown(cell.text)
    text = {"best": f"**{text}**", "second": f"<u>{text}</u>", "": text}[cell.emphasis]
    text += escape_markdown(cell.star)
    return f"{text} {escape_markdown(cell.small)}" if cell.small else text


def to_html(table: Table) -> str:
    """The table as a piece of HTML without style or script, to be pasted into a page."""
    parts = [f"<figure>\n<figcaption>{escape(table.caption)}</figcaption>"]
    parts += [_html_block(block) for block in table.blocks] or ["<p>No scores.</p>"]
    return "\n".join([*parts, _html_footnotes(table.footnotes), "</figure>"]) + "\n"


def _html_block(block: Block) -> str:
    lines = ["<table>", f"<caption>{escape(block.title)}</caption>", "<thead>"]
    groups = block.groups()
    if groups:
        heads = "".join(f'<th scope="colgroup" colspan="{span}">{escape(group)}</th>' for group, span in groups)
        lines.append(f"<tr><td></td>{heads}</tr>")
    heads = "".join(f'<th scope="col">{escape(column.title)}</th>' for column in block.columns)
    lines += [f'<tr><th scope="col">{escape(block.head)}</th>{heads}</tr>', "</thead>", "<tbody>"]
    for row in block.rows:
        mark = f'<sup title="{escape(row.label.meaning)}">{escape(row.label.mark)}</sup>' if row.label.mark else ""
        cells = "".join(f"<td>{_html_cell(cell)}</td>" for cell in row.cells)
        lines.append(f'<tr><th scope="row">{escape(row.label.name)}{mark}</th>{cells}</tr>')
    return "\n".join([*lines, "</tbody>", "</table>", _html_footnotes(block.footnotes)])


def _html_cell(cell: Cell) -> str:
    text = str(escape(cell.text))
    if cell.emphasis:
        tag = "strong" if cell.emphasis == "best" else "u"
        text = f"<{tag}>{text}</{tag}>"
    text += f"<sup>{escape(cell.star)}</sup>" if cell.star else ""
    return f"{text} <small>{escape(cell.small)}</small>" if cell.small else text


def _html_footnotes(footnotes: tuple[str, ...]) -> str:
    items = "".join(f"<li>{escape(footnote)}</li>" for footnote in footnotes)
    return f"<ul>{items}</ul>" if items else ""
