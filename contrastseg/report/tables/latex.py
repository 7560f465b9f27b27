"""A table as LaTeX: booktabs, pasted into a paper as it is."""

from __future__ import annotations

import re
import unicodedata

from contrastseg.report.tables.model import Block, Cell, Table

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
    "°": r"$^\circ$",
    "²": "$^2$",
    "³": "$^3$",
    "½": r"$\frac12$",
    "≈": r"$\approx$",
    "ß": r"\ss{}",
    "æ": r"\ae{}",
    "ø": r"\o{}",
    "ł": r"\l{}",
}
_GREEK = {
    "αβγδεζηθικλμ": "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu",
    "νξπρστυφχψω": "nu xi pi rho sigma tau upsilon phi chi psi omega",
    "ΓΔΘΛΞΠΣΦΨΩ": "Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega",
}
for _letters, _names in _GREEK.items():
    _LATEX |= {letter: rf"$\{name}$" for letter, name in zip(_letters, _names.split(), strict=True)}
# Combining accents, as pdflatex has them in any font encoding.
_ACCENTS = {
    "\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0304": "=", "\u0306": "u", "\u0307": ".",
    "\u0308": '"', "\u030a": "r", "\u030b": "H", "\u030c": "v", "\u0323": "d", "\u0327": "c", "\u0331": "b",
}  # fmt: skip
_LONG = 16  # a longer word than this may be broken anywhere, or it would push the table off the page
_WIDE = 40  # names longer than this get lines of their own width


def escape_latex(text: str) -> str:
    """Text that LaTeX prints as it is, with pdflatex and without further packages.

    Letters that its fonts do not have are written by their code, such as U+4E2D; control characters become spaces.
    """
    plain = re.sub(r"\s+", " ", unicodedata.normalize("NFC", text))
    return "".join(map(_escaped, plain))


def _escaped(character: str) -> str:
    if character in _LATEX:
        return _LATEX[character]
    if " " <= character <= "~":
        return character
    base, marks = unicodedata.normalize("NFD", character)[0], unicodedata.normalize("NFD", character)[1:]
    if base.isascii() and base.isalpha() and marks in _ACCENTS:
        return rf"\{_ACCENTS[marks]}{{{base}}}"
    return " " if unicodedata.category(character).startswith("C") else f"U+{ord(character):04X}"


def _name(text: str) -> str:
    """A name, escaped, that can be broken into lines where it has a very long word."""
    words = text.split()
    return " ".join(
        r"\hspace{0pt}".join(escape_latex(word[i : i + _LONG]) for i in range(0, len(word), _LONG)) for word in words
    )


def to_latex(table: Table) -> str:
    """The table as LaTeX floats, one per block so that each fits a page; a block wider than a line is scaled down.

    They need booktabs and graphicx. The footnotes of the whole table stand under the last.
    """
    parts = [r"% needs \usepackage{booktabs,graphicx}"]
    last = max(len(table.blocks), 1)
    for number in range(1, last + 1):
        body = _block(table.blocks[number - 1]) if table.blocks else ["No scores."]
        below = _footnotes(table.footnotes) if number == last else []
        place = re.sub(r"[^A-Za-z0-9-]", "-", table.name) + (f"-{number}" if number > 1 else "")
        parts += [
            r"\begin{table}[tbp]",
            r"\centering\small\setlength{\tabcolsep}{4pt}",
            rf"\caption{{{_name(table.caption)}{f' ({number} of {last})' if last > 1 else ''}}}",
            rf"\label{{tab:{place}}}",
            *body,
            *below,
            r"\end{table}",
        ]
    return "\n".join(parts) + "\n"


def _block(block: Block) -> list[str]:
    names = [" ".join(row.label.name.split()) for row in block.rows]
    first = r"p{0.35\linewidth}" if any(len(name) > _WIDE for name in names) else "l"
    lines = [
        rf"{{\bfseries {_name(block.title)}}}\par\smallskip",
        # Scaled to the line where the table is wider than it, left as it is where not.
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{{first}{'r' * len(block.columns)}}}",
        r"\toprule",
    ]
    groups = block.groups()
    if groups:
        heads, rules, start = [], [], 2
        for group, span in groups:
            heads.append(rf"\multicolumn{{{span}}}{{c}}{{{escape_latex(group)}}}")
            rules.append(rf"\cmidrule(lr){{{start}-{start + span - 1}}}")
            start += span
        lines += [rf" & {' & '.join(heads)} \\", "".join(rules)]
    titles = [escape_latex(text) for text in (block.head, *(column.title for column in block.columns))]
    lines += [rf"{' & '.join(titles)} \\", r"\midrule"]
    for row, name in zip(block.rows, names, strict=True):
        mark = rf"\textsuperscript{{{escape_latex(row.label.mark)}}}" if row.label.mark else ""
        cells = [f"{_name(name)}{mark}", *map(_cell, row.cells)]
        lines.append(rf"{' & '.join(cells)} \\")
    return [*lines, r"\bottomrule", r"\end{tabular}}", *_footnotes(block.footnotes)]


def _footnotes(footnotes: tuple[str, ...]) -> list[str]:
    if not footnotes:
        return []
    lines = [rf"{_name(footnote)}\par" for footnote in footnotes]
    return [r"\par\smallskip\begin{minipage}{\linewidth}\footnotesize\raggedright", *lines, r"\end{minipage}"]


def _cell(cell: Cell) -> str:
    text = escape_latex(cell.text)
    if cell.emphasis:
        text = rf"\{'textbf' if cell.emphasis == 'best' else 'underline'}{{{text}}}"
    if cell.star:
        text += rf"\textsuperscript{{{escape_latex(cell.star)}}}"
    return rf"{text} {{\scriptsize {escape_latex(cell.small)}}}" if cell.small else text
