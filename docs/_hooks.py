"""Hooks that MkDocs calls while it builds the site: pages made from code and results, and links that leave docs/.

The pages of methods, costs, fidelity and the leaderboard are made at every build, so they follow the code. A link to a
file of the repository works in the repository; on the site it becomes the file's name. A picture outside docs/ is
copied to the same place below the site's root.
"""

from __future__ import annotations

import logging
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from contrastseg.methods import registry
from contrastseg.report.site import cards, costs, fidelity, leaderboard
from contrastseg.report.site.submitted_rows import all_rows

LOG = logging.getLogger("mkdocs.hooks")  # its warnings end a strict build
ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]+)\]\((?P<target>\.\./[^)\s]+)\)")
PICTURE = re.compile(r"(?P<alt>!\[[^\]]*\])\(\.\./(?P<target>results/[^)\s]+)\)")
FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})", re.MULTILINE)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Name the methods' pages in the navigation."""
    pages = [{name: f"{cards.FOLDER}/{name}.md"} for name in registry.names()]
    for section in config.nav or []:
        if "Methods" in section:
            section["Methods"].append({"Cards": pages})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages, and the pictures that pages show from outside docs/."""
    rows = all_rows()
    made = {"costs.md": costs.page(), "fidelity.md": fidelity.page(), "leaderboard.md": leaderboard.page(rows)}
    for place, text in {**cards.pages(rows=rows), **made}.items():
        files.append(File.generated(config, place, content=text))
    shown = {match["target"] for page in files.documentation_pages() for match in PICTURE.finditer(page.content_string)}
    for place in sorted(shown):
        if (ROOT / place).is_file():  # the link to a missing one ends a strict build
            files.append(File.generated(config, place, abs_src_path=str(ROOT / place)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn links to files outside docs/ into their names; a missing file is a warning."""
    here = posixpath.join("docs", posixpath.dirname(page.file.src_uri))

    def named(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(here, match["target"].partition("#")[0]))
        if target.startswith("docs/"):
            return match[0]
        if not (ROOT / target).exists():
            LOG.warning("%s points at %s, which is not in the repository", page.file.src_uri, target)
        name = f"`{target}`"
        return name if match["text"].strip("`") in (target, posixpath.basename(target)) else f"{match['text']} ({name})"

    outside = FENCE.split(markdown)  # text, fence, text inside, fence, ...
    for part in range(0, len(outside), 4):
        outside[part] = PICTURE.sub(r"\g<alt>(\g<target>)", LINK.sub(named, outside[part]))
    return "".join(outside)
