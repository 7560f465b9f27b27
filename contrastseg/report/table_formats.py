"""A table as Markdown and as LaTeX (booktabs)."""

from __future__ import annotations

import re

from contrastseg.report.table_model import Block, Cell, Table

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",  # a bare bracket after \\ would be read as its optional argument
    "]": "{]}",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "→": r"$\rightarrow$",
    "−": "$-$",
    "–": "--",
    "—": "---",
    "·": r"$\cdot$",
    "×": r"$\times$",
    "±": r"$\pm$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "√": r"$\surd$",
    "†": r"$\dagger$",
    "*": r"$\ast$",
    "“": "``",
    "”": "''",
    "’": "'",
    "…": r"\dots{}",
    "\n": " ",
}
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>|#~])")


def escape_latex(text: str) -> str:
    """Text that LaTeX prints as it is."""
    return "".join(_LATEX.get(character, character) for character in text)


def escape_markdown(text: str) -> str:
    """Text that Markdown (inside a table too) prints as it is."""
    return _MARKDOWN.sub(r"\\\1", text.replace("\n", " "))


def to_markdown(table: Table) -> str:
    """The table as Markdown: one table per block, notes below as a list."""
    parts = [f"**{escape_markdown(table.caption)}**"]
    for block in table.blocks:
        heads = ["Method", *(_markdown_head(column.group, column.title) for column in block.columns)]
        lines = [_markdown_line(heads), _markdown_line(["---", *["---:"] * len(block.columns)])]
        for row in block.rows:
            cells = [_markdown_cell(cell) for cell in row.cells]
            lines.append(_markdown_line([escape_markdown(row.label.plain), *cells]))
        notes = [f"- {escape_markdown(note)}" for note in block.notes]
        parts += [f"### {escape_markdown(block.title)}", "\n".join(lines), *(["\n".join(notes)] if notes else [])]
    if not table.blocks:
        parts.append("No scores.")
    parts.append("\n".join(f"- {escape_markdown(note)}" for note in table.notes))
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


def to_latex(table: Table) -> str:
    """The table as a LaTeX float that needs the package booktabs and nothing else."""
    lines = [
        r"% needs \usepackage{booktabs}",
        r"\begin{table}[tbp]",
        r"\centering\small\setlength{\tabcolsep}{4pt}",
        rf"\caption{{{escape_latex(table.caption)}}}",
        rf"\label{{tab:{re.sub(r'[^A-Za-z0-9-]', '-', table.name)}}}",
    ]
    for block in table.blocks:
        lines += _latex_block(block)
    if not table.blocks:
        lines.append("No scores.")
    lines += [r"\par\smallskip", r"\begin{minipage}{\linewidth}\footnotesize\raggedright"]
    lines += [rf"{escape_latex(note)}\par" for note in table.notes]
    return "\n".join([*lines, r"\end{minipage}", r"\end{table}"]) + "\n"


def _latex_block(block: Block) -> list[str]:
    width = len(block.columns)
    lines = [
        r"\par\medskip",
        rf"{{\bfseries {escape_latex(block.title)}}}\par\smallskip",
        rf"\begin{{tabular}}{{l{'r' * width}}}",
        r"\toprule",
    ]
    groups = block.groups()
    if groups:
        heads, rules, first = [], [], 2
        for group, span in groups:
            heads.append(rf"\multicolumn{{{span}}}{{c}}{{{escape_latex(group)}}}")
            rules.append(rf"\cmidrule(lr){{{first}-{first + span - 1}}}")
            first += span
        lines += [rf" & {' & '.join(heads)} \\", "".join(rules)]
    lines += [rf"Method & {' & '.join(escape_latex(column.title) for column in block.columns)} \\", r"\midrule"]
    for row in block.rows:
        name = rf"{escape_latex(row.label.name)}\textsuperscript{{{escape_latex(row.label.mark)}}}"
        lines.append(rf"{name} & {' & '.join(_latex_cell(cell) for cell in row.cells)} \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    if block.notes:
        lines.append(r"\par\smallskip\begin{minipage}{\linewidth}\footnotesize\raggedright")
        lines += [rf"{escape_latex(note)}\par" for note in block.notes]
        lines.append(r"\end{minipage}")
    return lines


def _latex_cell(cell: Cell) -> str:
    text = escape_latex(cell.text)
    if cell.emphasis:
        text = rf"\{'textbf' if cell.emphasis == 'best' else 'underline'}{{{text}}}"
    if cell.star:
        text += rf"\textsuperscript{{{escape_latex(cell.star)}}}"
    return rf"{text} {{\scriptsize {escape_latex(cell.small)}}}" if cell.small else text
