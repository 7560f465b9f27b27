"""The site as it is built: strictly, without a broken link, and with nothing fetched from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from contrastseg.methods import registry
from tests.docs.pages import PAGES, ROOT

pytestmark = pytest.mark.skipif(
    find_spec("material") is None,
    reason="mkdocs-material is not installed: pip install --requirement requirements.lock",
)


class Page(HTMLParser):
    """The anchors of a page, where its links lead, and what a browser loads with it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value for name, value in attrs if value is not None}
        self.anchors |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if tag == "link" and found.get("rel") not in ("canonical", "next", "prev"):
            self.loaded.append(found["href"])
        if tag in ("img", "script", "iframe", "source") and "src" in found:
            self.loaded.append(found["src"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs") / "site"
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path.resolve(): Page(path) for path in site.rglob("*.html")}


def test_every_page_and_method_has_its_place(site: Path) -> None:
    wanted = [page.stem for page in PAGES] + ["costs", *(f"cards/{name}" for name in registry.names())]
    assert all((site / f"{name}.html").is_file() for name in wanted)
    assert not list(site.rglob("*.py"))


def test_no_link_is_broken(site: Path, pages: dict[Path, Page]) -> None:
    for path, page in pages.items():
        if path.name == "404.html":  # its links are absolute: it is shown at any address
            continue
        for link in page.links + page.loaded:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert target.exists(), f"{path.relative_to(site)} points at {link}"
            if parts.fragment and target in pages:
                assert unquote(parts.fragment) in pages[target].anchors, f"{path.relative_to(site)} points at {link}"


def test_nothing_is_fetched_from_elsewhere(site: Path, pages: dict[Path, Page]) -> None:
    for path, page in pages.items():
        assert not [link for link in page.loaded if urlsplit(link).netloc], path
    for sheet in site.rglob("*.css"):
        assert not re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", sheet.read_text(encoding="utf-8")), sheet
    # The theme fetches a program for these: draw them instead.
    assert not [page for page in PAGES if "```mermaid" in page.read_text(encoding="utf-8")]


def test_pictures_of_results_come_along(site: Path, pages: dict[Path, Page]) -> None:
    shown = [link for link in pages[site / "results.html"].loaded if link.endswith("label_ratio.png")]
    assert shown
    assert all((site / link).is_file() for link in shown)


def test_links_out_of_docs_become_names(site: Path) -> None:
    assert "../CONTRIBUTING" not in (site / "tutorial-method.html").read_text(encoding="utf-8")
    assert "<code>CONTRIBUTING.md</code>" in (site / "tutorial-method.html").read_text(encoding="utf-8")
