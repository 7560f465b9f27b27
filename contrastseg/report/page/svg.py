"""A figure's SVG made to stand inside a page: ids of its own, ink and paper from the page's theme."""

from __future__ import annotations

import re
from pathlib import Path

from markupsafe import Markup, escape

from contrastseg.report.figures._style import INK, PAPER

_NOISE = re.compile(r"<\?xml.*?\?>|<!DOCTYPE.*?>|<!--.*?-->|<metadata>.*?</metadata>", re.DOTALL)
_SIZE = re.compile(r'(<svg\b[^>]*?) (?:width|height)="[^"]*"')


def inline_svg(path: Path, name: str, description: str) -> Markup:
    """The SVG as markup for a page.

    Args:
        path: A file that `make_figures` wrote; its text is drawn as outlines, so nothing of it is read as markup.
        name: Prefix of its ids, unique on the page.
        description: What it shows, for those who do not see it.
    """
    text = _NOISE.sub("", path.read_text(encoding="utf-8")).strip()
    text = _with_own_ids(text, name)
    text = re.sub(r"url\(#", f"url(#{name}-", text)
    text = re.sub(r'href="#', f'href="#{name}-', text)
    text = text.replace(INK, "currentColor").replace(PAPER, "var(--paper)")
    for _ in range(2):
        text = _SIZE.sub(r"\1", text, count=1)
    return Markup(text.replace("<svg ", f'<svg role="img" aria-label="{escape(description)}" ', 1))


def _with_own_ids(text: str, name: str) -> str:
    """Every id with its prefix, once: Matplotlib names two equal images alike."""
    seen: set[str] = set()

    def own(match: re.Match[str]) -> str:
        if match[1] in seen:
            return ""
        seen.add(match[1])
        return f' id="{name}-{match[1]}"'

    return re.sub(r'\sid="([^"]*)"', own, text)
