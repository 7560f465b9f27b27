"""Write every committed page and figure that is made from the stored scores: one command, no typed number.

Example: `python -m contrastseg.report.site.made_pages`
"""

from __future__ import annotations

import re
from pathlib import Path

from contrastseg.files import atomic_path
from contrastseg.paths import CHECKOUT
from contrastseg.report.site import findings, results_page
from contrastseg.report.site.forest import forest

BEGIN, END = "<!-- made by contrastseg.report.site.made_pages -->", "<!-- end -->"
_MADE = re.compile(f"{re.escape(BEGIN)}\n.*?{re.escape(END)}", re.DOTALL)
WITH_A_PART = {"README.md": "docs/", "docs/index.md": ""}
"""Pages with a part between BEGIN and END, and the way from them to `docs/`."""


def made_files(root: Path = CHECKOUT) -> dict[str, str]:
    """The text of every made file by its place in the repository.

    Args:
        root: Where `results/reference/`, `README.md` and `docs/` lie.

    Raises:
        ValueError: A page has no part to be made.
    """
    found = findings.evidence(root)
    files = {"docs/findings.md": findings.page(found), "docs/results.md": results_page.page(root)}
    for run, places in found.items():
        if any(at.rows for at in places):
            files[f"docs/{findings.figure_name(run)}"] = forest(places)
    for name, way in WITH_A_PART.items():
        text = (root / name).read_text(encoding="utf-8")
        if len(_MADE.findall(text)) != 1:
            raise ValueError(f"{name}: found {len(_MADE.findall(text))} parts between {BEGIN} and {END}, expected 1")
        part = front(found, way)
        files[name] = _MADE.sub(lambda _, part=part: part, text)  # type: ignore[misc]
    return files


def front(found: findings.Evidence, way: str) -> str:
    """The result in one table and one figure, between its marks."""
    body = "\n".join(findings.short_table(found)).strip() or findings.NOT_RUN
    drawn = [run for run, places in found.items() if any(at.rows for at in places)]
    picture = f"\n\n![Difference from supervised, each method]({way}{findings.figure_name(drawn[0])})" if drawn else ""
    return f"{BEGIN}\n{body}{picture}\n{END}"


def main() -> None:
    """Write them."""
    for name, text in made_files().items():
        with atomic_path(CHECKOUT / name) as temporary:
            temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
