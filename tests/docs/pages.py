"""What the pages of documentation hold that can be run: files, commands, their output, Python."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from contrastseg.report.site import cards, costs, fidelity, leaderboard
from contrastseg.report.site.submitted_rows import all_rows

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
SHELL = ("sh", "bash", "console", "shell")

_BLOCK = re.compile(r"^(?P<fence>`{3,})(?P<language>[\w-]*)(?P<info>[^\n`]*)\n(?P<text>.*?)^(?P=fence)$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
        language: As written behind the fence.
        file: The path in `title="..."`: the block is that file.
        text: Its lines.
        line: Where it begins.
    """

    language: str
    file: str | None
    text: str
    line: int

    @property
    def commands(self) -> list[str]:
        """The commands of a shell block, one each, without comments."""
        joined = self.text.replace("\\\n", " ")
        lines = (re.sub(r"(^|\s)#.*", "", line).removeprefix("$ ") for line in joined.splitlines())
        return [" ".join(line.split()) for line in lines if line.strip()]


def blocks(page: Path | str) -> list[Block]:
    """The fenced blocks of a page, or of its text, in order."""
    text = page if isinstance(page, str) else page.read_text(encoding="utf-8")
    found = []
    for match in _BLOCK.finditer(text):
        title = re.search(r'title="([^"]+)"', match["info"])
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(match["language"], title[1] if title else None, match["text"], line))
    return found


def commands(page: Path | str) -> list[str]:
    """Every shell command a page shows."""
    return [command for block in blocks(page) if block.language in SHELL for command in block.commands]


def made() -> dict[str, str]:
    """The pages that the site makes when it is built, by their place in it."""
    rows = all_rows()
    others = {"costs.md": costs.page(), "fidelity.md": fidelity.page(), "leaderboard.md": leaderboard.page(rows)}
    return {**cards.pages(rows=rows), **others}
