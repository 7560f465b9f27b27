"""The findings, the front of README and site, and the figure: from stored scores whose differences are known."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from contrastseg.report.site import certainty, findings, made_pages
from contrastseg.report.site.equal_steps import grouped
from contrastseg.report.site.forest import COLOURS, forest
from tests.docs.pages import ROOT
from tests.docs.stored import PATIENTS, STEPS, make


def section(text: str, title: str) -> str:
    assert f"\n## {title}\n" in text, title
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> findings.Evidence:
    root = tmp_path_factory.mktemp("stored")
    make(root)
    return findings.evidence(root, ["made_up"])


@pytest.fixture(scope="module")
def page(found: findings.Evidence) -> str:
    return findings.page(found)


def test_each_method_is_compared_with_a_supervised_row_that_is_long_enough(found: findings.Evidence) -> None:
    ((run, (few, many)),) = found.items()
    assert run.total_steps("hearts", "simclr") == 2 * STEPS
    assert {pair[0]: row.reference for pair, row in few.rows.items()} == {
        "mean_teacher": "supervised/default",
        "cps": "supervised/default",
        "simclr": "supervised/equal_steps",
    }
    assert few.unmatched == many.unmatched == (("nnunet", "default"),), "its length is its own"
    # simclr beats the short supervised row at both budgets; at equal steps it loses one of them.
    assert few.place.row("simclr").verdict == "better"
    assert few.rows["simclr", "default"].verdict == "worse"
    assert few.rows["simclr", "default"].mean_difference == pytest.approx(-0.02)
    assert many.rows["simclr", "default"].mean_difference == pytest.approx(0.03)
    assert many.rows["simclr", "default"].verdict == "better"
    assert grouped([few, many]) == {
        "better 1 of 2 times and worse 1 of 2 times": [("simclr", "default"), ("mean_teacher", "default")],
        "not significant anywhere": [("cps", "default")],
    }


def test_under_one_total_the_baseline_of_the_suite_is_that_of_the_findings(tmp_path: Path) -> None:
    make(tmp_path, budget="steps")
    ((run, (few, _)),) = findings.evidence(tmp_path, ["made_up"]).items()
    assert run.total_steps("hearts", "simclr") == STEPS
    assert run.total_steps("hearts", "nnunet") is None
    assert {row.reference for row in few.rows.values()} == {"supervised/default"}
    assert few.rows["simclr", "default"].mean_difference == pytest.approx(0.04)


def test_differences_stand_with_interval_and_corrected_p(found: findings.Evidence, page: str) -> None:
    rows = {row.split(" | ")[0]: row for row in section(page, "Differences from the supervised baseline").splitlines()}
    assert "−0.020 [" in rows["| `simclr` [P]"]
    assert "+0.030 [" in rows["| `simclr` [P]"]
    assert rows["| `simclr` [P]"].count(", p ") == 2
    few = f"{0.5 + 0.01 * (PATIENTS - 1) / 2 + 0.05:.3f}"
    assert f"{few} ({STEPS})" in rows["| `supervised` (steps)"]
    assert f"({2 * STEPS})" in rows["| `supervised` (steps)"]
    assert "| `cps` [P]" not in rows
    assert "No significant difference at any budget: `cps` [P]." in page


def test_selection_on_the_test_cases_claims_what_the_oracle_would(page: str) -> None:
    (few, many) = [
        row for row in section(page, "Effect of selection on the test cases").splitlines() if "Hearts" in row
    ]
    # Gains of the oracle: 0.02, 0.04, 0.01, 0, 0. At four patients only it lifts mean_teacher above `supervised`.
    assert "+0.010 (0.000 to +0.040)" in few.replace("+0.000", "0.000")
    assert "| 2 of 4; selected: 3 |" in many
    assert "| 3 of 4; selected: 3 |" in few


def test_another_convention_has_another_best_method(page: str) -> None:
    rows = [row for row in section(page, "Effect of the scoring convention").splitlines() if row.startswith("| Hearts")]
    assert len(rows) == 2
    for row in rows:
        assert "11.0; 1 of 3 better<br>`simclr` [P] | 11.0; 2 of 3 better<br>`cps` [P]\\*" in row


def test_costs_are_those_of_the_methods_that_are_better_somewhere(page: str) -> None:
    rows = [row for row in section(page, "Costs").splitlines() if row.startswith("| `made_up`")]
    assert rows == [
        "| `made_up` | `simclr` [P] | 3.00× | 1.0 GiB | 1 budget |",
        "| `made_up` | `mean_teacher` [O] | 1.00× | 1.0 GiB | 1 budget |",
    ]


def test_scores_that_are_not_there_are_said_to_be_missing(tmp_path: Path) -> None:
    make(tmp_path, oracle=False, conventions=False)
    page = findings.page(findings.evidence(tmp_path, ["made_up"]))
    for title in ("Effect of selection on the test cases", "Effect of the scoring convention"):
        assert section(page, title).strip().startswith("- `made_up`: not run")
    nothing = findings.page(findings.evidence(tmp_path, ["another"]))
    assert len(re.findall(rf"^{re.escape(findings.NOT_RUN)}$", nothing, re.MULTILINE)) == nothing.count("\n## ")


def test_the_figure_has_a_mark_for_each_comparison_in_the_colour_of_its_test(found: findings.Evidence) -> None:
    ((_, places),) = found.items()
    svg = ElementTree.fromstring(forest(places))
    circles = list(svg.iter("{http://www.w3.org/2000/svg}circle"))[:-3]  # without the legend
    verdicts = [row.verdict for at in places for row in at.rows.values()]
    assert len(circles) == len(verdicts) == 6
    filled = [mark.get("fill") for mark in circles]
    assert {word: filled.count(colour) for word, colour in COLOURS.items()} == {
        word: verdicts.count(word) for word in COLOURS
    }
    width = float(str(svg.get("width")))
    assert all(0 <= float(str(mark.get("cx"))) <= width for mark in circles)


def test_the_front_of_readme_and_site_has_a_line_for_each_budget(found: findings.Evidence) -> None:
    text = made_pages.front(found, "docs/")
    rows = [row.split(" | ") for row in text.splitlines() if row.startswith("| Hearts")]
    assert len(rows) == 2
    assert "`mean_teacher` [O] (+0.030)" in rows[0][2]
    assert "`simclr` [P] (−0.020)" in rows[0][3]
    assert "`simclr` [P] (+0.030)" in rows[1][2]
    assert all(row[4].startswith("1 of 3") for row in rows)
    assert "(docs/evidence-made_up.svg)" in text


def test_made_files_are_what_the_command_makes() -> None:
    wrong = [
        name for name, text in made_pages.made_files().items() if (ROOT / name).read_text(encoding="utf-8") != text
    ]
    assert wrong == [], "run make pages and commit what it changes"


@pytest.mark.parametrize("steps", [STEPS, STEPS + 1])
def test_scores_of_a_former_recipe_are_named(
    found: findings.Evidence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    suite = {"name": "made_up", "datasets": [{"name": "hearts", "dataset": "acdc", "spatial_dims": 2}]}
    suite |= {"methods": ["supervised"], "training": {"steps": steps}}
    ((run, _),) = found.items()
    without = list(certainty.limits([run]))
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "made_up.yaml").write_text(json.dumps(suite), encoding="utf-8")
    monkeypatch.setattr(certainty, "CHECKOUT", tmp_path)
    told = [line for line in certainty.limits([run]) if line not in without]
    assert len(told) == int(steps != STEPS)
