"""The tutorials, word for word: their files are written, their commands run, in order, in a copy of the repository.

Training alone may be shorter than the page's, where no number of it is looked at.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from tests.docs.checkout import Checkout
from tests.docs.pages import DOCS


def methods(page: Path) -> list[str]:
    """The methods in a page's table of results, in order, with their marks."""
    rows = re.findall(r"^\| ([\w\\]+ \\\[[EOPR]\\\]) \|", page.read_text(encoding="utf-8"), re.MULTILINE)
    return [row.replace("\\", "") for row in rows]


@pytest.mark.long
def test_your_method_in_the_table(tmp_path: Path) -> None:
    checkout = Checkout.make(tmp_path / "code", steps=4).follow(DOCS / "tutorial-method.md")
    results = checkout.folder / "results" / "first_table"
    assert (results / "report.html").is_file()
    assert methods(results / "tables" / "main.md") == ["supervised [P]", "mean_teacher [P]", "sharpen [R]"]
    assert methods(DOCS / "tutorial-method.md") == methods(results / "tables" / "main.md")
    tested = next(output for block, output in checkout.printed if "pytest" in block.text)
    assert " passed" in tested
    assert not {"failed", "skipped", "error"} & set(tested.replace(",", "").split())


@pytest.mark.long
def test_your_data_set_in_the_table(tmp_path: Path) -> None:
    checkout = Checkout.make(tmp_path / "code").follow(DOCS / "tutorial-data.md")
    results = checkout.folder / "results" / "blobs"
    assert (results / "report.html").is_file()
    assert methods(results / "tables" / "main.md") == ["supervised [P]", "mean_teacher [P]"]
    table = (results / "tables" / "main.md").read_text(encoding="utf-8")
    assert "HD95 \\[mm\\]" in table
    assert "Images: 16 labelled, 12 without label." in table


@pytest.mark.long
def test_your_predictions_in_the_table(tmp_path: Path) -> None:
    checkout = Checkout.make(tmp_path / "code").follow(DOCS / "tutorial-predictions.md")
    results = checkout.folder / "results" / "spots"
    assert methods(results / "tables" / "main.md") == ["supervised [P]", "my_threshold [E]"]
    assert methods(DOCS / "tutorial-predictions.md") == methods(results / "tables" / "main.md")
    table = (results / "tables" / "main.md").read_text(encoding="utf-8")
    assert "code: my\\_method.py, 1.0" in table or "code: my_method.py, 1.0" in table
    assert not list(results.glob("entered/*/*"))
    scores = pd.read_parquet(results / "scores.parquet")
    assert scores[scores["metric"] == "dice"].groupby("method")["value"].mean()["my_threshold"] > 0.95


@pytest.mark.long
def test_submit_your_row(tmp_path: Path) -> None:
    checkout = Checkout.make(tmp_path / "code").follow(DOCS / "submit.md")
    (scores,) = (checkout.folder / "results" / "submitted").rglob("scores.csv")
    assert scores.parent.name == "draw0-fold0-seed0"
    assert pd.read_csv(scores).query("metric == 'dice'")["value"].mean() > 0.3


@pytest.mark.parametrize("wrong", ["contrastseg no-such-command", "true\n```\n\n```text\nnever printed"])
def test_a_page_that_is_not_true_is_noticed(wrong: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"Do this:\n\n```sh\n{wrong}\n```\n")
    checkout = Checkout.make(tmp_path / "code")
    with pytest.raises(AssertionError, match=r"page\.md"):
        checkout.follow(page)
