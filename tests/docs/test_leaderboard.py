"""The leaderboard: every stored row once, with its test; the oracle beside them without a place."""

from __future__ import annotations

import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from contrastseg.files import read_json, write_json
from contrastseg.methods import registry
from contrastseg.report.site import cards, leaderboard
from contrastseg.report.site.method_results import NOT_RUN, method_results
from contrastseg.report.site.stored_rows import StoredRow, placed, stored_rows
from tests.docs.stored import GAINS, PATIENTS, STEPS, make


class Table(HTMLParser):
    """The rows of a page's table: the attributes of each row, and its cells by the column's title."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[tuple[dict[str, str], list[str]]] = []
        self.inside = False
        self.feed(text)
        (_, self.heads), *body = self.rows
        self.body = [(attributes, dict(zip(self.heads, cells, strict=True))) for attributes, cells in body]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append(({name: value or "" for name, value in attrs}, []))
        if tag in ("td", "th"):
            self.rows[-1][1].append("")
            self.inside = True

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.rows[-1][1][-1] += data


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[StoredRow]:
    root = tmp_path_factory.mktemp("stored")
    make(root)
    return stored_rows(root)


@pytest.fixture(scope="module")
def table(rows: list[StoredRow]) -> Table:
    return Table(leaderboard.page(rows))


def test_every_stored_row_stands_once_with_what_it_is_filtered_by(table: Table) -> None:
    pairs, oracles = len(GAINS), len(GAINS) - 1
    assert len(table.body) == 2 * (2 * pairs + oracles)
    for attributes, cells in table.body:
        assert {f"data-{name}" for name in leaderboard.FILTERS} <= set(attributes)
        assert cells["checkpoint"].startswith(attributes["data-checkpoint"])
        assert cells["provenance"] == attributes["data-provenance"]
        assert cells["patients"] == str(PATIENTS)
        assert cells["seeds"] == cells["draws"] == "1"


def test_values_are_those_of_the_scores(rows: list[StoredRow], table: Table) -> None:
    (row,) = [r for r in rows if (r.method, r.labels, r.checkpoint) == ("mean_teacher", "n4", "last")]
    mean = 0.5 + 0.01 * (PATIENTS - 1) / 2 + 0.05 - 0.03
    assert row.mean == pytest.approx(mean)
    assert row.difference == pytest.approx(-0.03)
    assert (row.verdict, row.provenance, row.steps, row.baseline) == ("worse", "official", STEPS, "supervised")
    assert row.low < row.mean < row.high
    cells = next(
        cells
        for attributes, cells in table.body
        if cells["method"] == "mean_teacher" and cells["checkpoint"] == "last" and "4" in cells["labels"]
    )
    assert cells["Dice"].startswith(f"{mean:.3f} [")
    assert cells["difference"].startswith("−0.030 [")
    assert cells["test"].startswith("worse, p ")
    assert cells["place"] == "6"


def test_the_oracle_is_never_ranked_or_tested(rows: list[StoredRow], table: Table) -> None:
    oracle = [row for row in rows if row.checkpoint == "best_test"]
    assert len(oracle) == 2 * (len(GAINS) - 1)
    assert all(row.place is None and not row.verdict and row.difference != row.difference for row in oracle)
    for attributes, cells in table.body:
        if attributes["data-checkpoint"] == "best_test":
            assert attributes["class"] == "oracle"
            assert cells["checkpoint"] == "best_test oracle, not comparable"
            assert (cells["place"], cells["test"]) == ("–", "not comparable")
        else:
            assert cells["place"] != "–"


def test_places_follow_the_means_within_a_group_and_skip_incomplete_rows(rows: list[StoredRow]) -> None:
    group = [row for row in rows if (row.labels, row.checkpoint) == ("n2", "last")]
    assert [(row.method, row.place) for row in group[:2]] == [("nnunet", 1), ("supervised", 2)]
    incomplete = [replace(row, missing=1) if row.method == "nnunet" else row for row in group]
    again = placed(incomplete)
    assert [(row.method, row.place) for row in again[:1]] == [("supervised", 1)]
    assert (again[-1].method, again[-1].place) == ("nnunet", None)
    tied = placed(replace(row, mean=0.5) for row in group)
    assert {row.place for row in tied} == {1}


def test_a_method_s_page_has_its_stored_results(rows: list[StoredRow], tmp_path: Path) -> None:
    text = "\n".join(method_results("mean_teacher", rows))
    lines = [line for line in text.splitlines() if line.startswith("| `made_up`")]
    assert len(lines) == 2, "last checkpoints alone"
    assert "−0.030 [" in lines[1]
    assert lines[1].endswith(f"| {STEPS} | 6 of 6 |")
    assert f"| {PATIENTS} patients, 1 seed, 1 draw |" in lines[1]
    assert list(method_results("pdcr", rows)) == [NOT_RUN]
    pages = cards.pages(tmp_path, rows)
    assert lines[1] in pages["cards/mean_teacher.md"]
    assert NOT_RUN in pages["cards/pdcr.md"]
    assert len(pages) == 1 + len(registry.names())


def test_tuned_rows_stand_in_a_table_of_their_own(rows: list[StoredRow], tmp_path: Path) -> None:
    folder = make(tmp_path)
    plan = read_json(folder / "plan.json")
    plan["suite"]["tuning"] = {"trials": 4}
    write_json(folder / "plan.json", plan)
    tuned = [replace(row, suite="tuned") for row in stored_rows(tmp_path)]
    assert {row.trials for row in tuned} == {4}
    assert {row.trials for row in rows} == {0}
    first, second = leaderboard.page([*rows, *tuned]).split('id="leaderboard-tuned"')
    assert [text.count("<code>tuned</code>") for text in (first, second)] == [0, len(tuned)]
    assert [text.count("<code>made_up</code>") for text in (first, second)] == [len(rows), 0]
    told = "\n".join(method_results("cps", [*rows, *tuned]))
    untuned, with_trials = told.split("4 trials")
    assert (untuned.count("| `made_up`"), untuned.count("| `tuned`")) == (2, 0)
    assert (with_trials.count("| `made_up`"), with_trials.count("| `tuned`")) == (0, 2)


def test_an_empty_folder_has_an_empty_table(tmp_path: Path) -> None:
    assert stored_rows(tmp_path) == []
    assert Table(leaderboard.page([])).body == []


def test_main_suites_come_first_and_the_choice_of_a_recipe_is_no_result(tmp_path: Path) -> None:
    stored = make(tmp_path).parent
    for name in ("la_reduced", "recipe_sweep_made_up"):
        shutil.copytree(stored, stored.with_name(name))
    suites = [row.suite for row in stored_rows(tmp_path)]
    assert list(dict.fromkeys(suites)) == ["la_reduced", "made_up"]
