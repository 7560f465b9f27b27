"""Python on the pages does what the pages say; suites on them are suites."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, blocks

SNIPPETS = [page for page in PAGES if any(b.language == "python" and not b.file for b in blocks(page))]


@pytest.mark.parametrize("page", SNIPPETS, ids=lambda page: page.name)
def test_python_prints_what_the_page_says(page: Path) -> None:
    """The snippets of a page share their names, as they would in one session."""
    names: dict[str, object] = {}
    for block in blocks(page):
        if block.language != "python" or block.file:
            continue
        session = doctest.DocTestParser().get_doctest(block.text, names, page.name, str(page), block.line)
        assert session.examples, f"{page.name}:{block.line}: Python without a prompt: give it `>>>` and its output"
        said: list[str] = []
        runner = doctest.DocTestRunner(verbose=False)
        result = runner.run(session, out=said.append, clear_globs=False)
        names = session.globs
        assert not result.failed, "".join(said)


def test_there_is_python_to_run() -> None:
    assert SNIPPETS
