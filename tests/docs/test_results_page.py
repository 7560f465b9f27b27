"""The page of all results says what the stored scores say, and nothing else."""

from __future__ import annotations

import importlib
import re
import sys
from types import ModuleType

import pandas as pd
import pytest

from contrastseg.report.content.labels import number
from tests.docs.pages import DOCS

STORED = DOCS.parent / "results" / "reference" / "phantoms" / "cpu-amd-epyc-2cores"


@pytest.fixture(scope="module")
def as_shipped() -> ModuleType:
    return importlib.import_module("contrastseg.report.site.results_page")


@pytest.fixture
def findings(as_shipped: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = as_shipped
    monkeypatch.setattr(module, "SUITES", ("phantoms", "acdc_small"))
    monkeypatch.setattr(module, "ABLATIONS", ())
    return module


@pytest.fixture(scope="module")
def made() -> str:
    """The page of two suites without ablations, made once."""
    with pytest.MonkeyPatch.context() as patch:
        module = importlib.import_module("contrastseg.report.site.results_page")
        patch.setattr(module, "SUITES", ("phantoms", "acdc_small"))
        patch.setattr(module, "ABLATIONS", ())
        return module.page()


def means(dataset: str) -> pd.Series:
    """Mean Dice of every method, by hand: classes, then cases, then seeds inside a patient, then patients."""
    scores = pd.read_parquet(STORED / "scores.parquet")
    scores = scores[(scores["metric"] == "dice") & (scores["dataset"] == dataset)]
    patients = (
        scores.groupby(["method", "patient", "seed", "case"])["value"].mean().groupby(["method", "patient"]).mean()
    )
    return patients.groupby("method").mean()


def name(cell: str) -> str:
    """The method in the first cell of a row, which carries a mark of provenance behind it."""
    return re.fullmatch(r"\|? ?`([\w/]+)` \[[OPR]\]", cell).group(1)


def part(text: str, title: str) -> str:
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def item(text: str, start: str) -> str:
    """A point of a list with its sub-points."""
    (found,) = re.findall(rf"^- {re.escape(start)}.*(?:\n    - .*)*", text, re.MULTILINE)
    return found


def test_every_mean_is_that_of_the_scores(made: str) -> None:
    table = part(made, "Every method").partition("`phantoms`")[2].partition("`acdc_small`")[0]
    for column, dataset in ((2, "lesions_few"), (3, "organs_few")):
        expected = {name: number(value, 3) for name, value in means(dataset).items()}
        rows = [row.split(" | ") for row in table.splitlines() if row.startswith("| `")]
        told = {name(row[0]): row[column - 1] for row in rows}
        assert {name: re.split(r"[ †\\]", cell)[0] for name, cell in told.items() if "–" not in cell[:1]} == expected
        assert len(expected) >= 18


def test_only_what_a_test_finds_is_called_better_or_worse(findings: ModuleType, made: str) -> None:
    text = part(made, "In short")
    comparisons = pd.read_csv(STORED / "comparisons.csv")
    rows = comparisons[(comparisons["metric"] == "dice") & (comparisons["dataset"] == "lesions_few")]
    line = item(text, "**Phantom lesions")
    worse = rows[rows["verdict"] == "worse"]["method"].tolist()
    assert worse == ["semantic_aware"]
    assert "worse than `supervised`: `semantic_aware` [R] (−0.178)." in line
    assert "not significant: 16 of 17." in line
    assert "better" not in line
    answer = item(text, "**The six systems**, `phantoms`")
    assert "worse 1 of 2 times: Semantic-aware" in answer
    told = {part.partition(" (`")[0] for part in re.split(r"[,;:] |\.$", answer, flags=re.MULTILINE)}
    assert set(findings.SYSTEMS) == told & set(findings.SYSTEMS)
    best = means("lesions_few")
    assert re.search(rf"highest mean Dice[^:]*: `{best.idxmax()}` \[[OPR]\] {number(best.max(), 3)};", line)


def test_systems_are_told_with_interval_p_and_rank(findings: ModuleType, made: str) -> None:
    text = part(made, "The six systems")
    (row,) = [line for line in text.splitlines() if line.startswith("| Semantic-aware") and "−0.178" in line]
    assert re.search(r"−0\.178 \[−0\.34, −0\.02\]<br>\*\*worse\*\*, p 0\.0498<br>rank 18 \(\d+–18\)", row)
    assert "- Semantic-aware: **worse** at Phantom lesions, 6 labelled patients (`semantic_aware` [R])." in text
    assert text.count("not significantly different from `supervised`") == 2 * len(findings.SYSTEMS) - 1


def test_what_did_not_run_is_said(findings: ModuleType, made: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert part(made, "Ablations").strip() == "Not run yet."
    assert "**Seeds**: one has run" in made  # acdc_small has one seed
    assert made.count("**Draws** of the labelled patients: 1 of each budget") == 2
    assert "over up to 3 seeds" in made
    run = part(made, "Runs")
    assert "40 of 120" in run, "planned cells without scores are counted"
    monkeypatch.setattr(findings, "SUITES", ())
    assert findings.page().count("Not run yet.") >= 6


def test_methods_with_several_stages_stand_beside_the_row_of_equal_steps(as_shipped: ModuleType) -> None:
    (run,) = as_shipped.reference_runs(as_shipped.CHECKOUT, ("la_reduced",))
    scores = pd.read_parquet(run.folder / "scores.parquet")
    at = (scores["metric"] == "dice") & (scores["labels"] == "n8")
    dice = scores[at].groupby(["method", "variant", "patient"])["value"].mean().groupby(["method", "variant"]).mean()
    usual, longer, simclr = (
        dice[pair] for pair in (("supervised", "default"), ("supervised", "equal_steps"), ("simclr", "default"))
    )
    moved = list(sys.modules["contrastseg.report.site.moves"]._by_length(run))
    words = f"`supervised` has {number(usual, 3)} in 400 steps, {number(longer, 3)} in 1,200 (+"
    assert sum(words in line for line in moved) == 1
    text = "\n".join(as_shipped.as_long(run))
    head, *lines = [line.split(" | ") for line in text.splitlines() if line.startswith("| ") and "---" not in line]
    column = next(at for at, title in enumerate(head) if "8 labelled" in title)
    rows = {name(row[0]): row for row in lines}
    assert rows["supervised/equal_steps"][1] == "1,200 steps"
    assert rows["supervised/equal_steps"][column] == number(longer, 3)
    assert rows["simclr"][1] == "2 × 400 steps"
    assert rows["simclr"][column].startswith(number(simclr - longer, 3))
    assert not {"cps", "mean_teacher", "supervised"} & set(rows), "methods of one stage are as long as supervised"


def test_a_suite_without_the_row_of_equal_steps_is_compared_with_none(made: str) -> None:
    assert part(made, "Effect of longer training").strip() == "Not run yet."
    assert "**Training length**" not in made


def test_structures_missed_are_those_of_the_scores(as_shipped: ModuleType) -> None:
    (run,) = as_shipped.reference_runs(as_shipped.CHECKOUT, as_shipped.SUITES[:1])
    (line,) = [line for line in as_shipped.missed(run) if line.startswith("- ACDC, 1 labelled patient,")]
    scores = run.dice(run.places()[0])
    counts = scores[scores["outcome"] == "missed"].groupby("method").size()
    told = dict(re.findall(r"`(\w+)` \[[OPR]\] (\d+)", line))
    assert {name: int(count) for name, count in told.items()} == counts.to_dict()
    assert f"of {len(scores[scores['method'] == 'supervised'])}: " in line


def test_further_seeds_stand_beside_the_reference_with_the_same(as_shipped: ModuleType) -> None:
    (run,) = as_shipped.reference_runs(as_shipped.CHECKOUT, as_shipped.SUITES[:1])
    (line, *_) = sys.modules["contrastseg.report.site.moves"]._further_seeds(run)
    table = pd.read_csv(run.folder.parent / "control" / "further-seeds-n1.csv")
    table = table[table["metric"] == "dice"]
    means = table.groupby(["method", "seed", "patient"])["value"].mean().groupby(["method", "seed"]).mean()
    apart = [number(means["lrc", seed] - means["supervised", seed], 3) for seed in (1, 2)]
    assert f"`lrc` [R] differs by +0.217, +{apart[0]}, +{apart[1]}, together +" in line
    assert f"{number(means['supervised', 1], 3)}, {number(means['supervised', 2], 3)};" in line


def test_ablations_compare_a_variant_with_its_default(findings: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings, "SUITES", ())
    monkeypatch.setattr(findings, "ABLATIONS", ("phantoms",))
    text = part(findings.page(), "Ablations")
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| `lrc") and "lesions" in line]
    assert [(name(row[0]), name(row[3])) for row in rows] == [("lrc_sequential", "lrc"), ("lrc_supervised", "lrc")]
    lesions = means("lesions_few")
    assert [row[2] for row in rows] == [number(lesions[name(row[0])], 3) for row in rows]
    assert {row[4] for row in rows} == {number(lesions["lrc"], 3)}
    assert rows[0][5].startswith(number(lesions["lrc_sequential"] - lesions["lrc"], 3))
    assert "not run yet" not in text.lower()


def test_a_planned_variant_without_scores_is_named(as_shipped: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    (run,) = as_shipped.reference_runs(as_shipped.CHECKOUT, ("phantoms",))
    scores = run.results.scores
    monkeypatch.setitem(vars(run.results), "scores", scores[scores["method"] != "lrc_supervised"])
    assert "Planned and not run yet: `lrc_supervised` [R]." in "\n".join(as_shipped.variants(run))


def test_our_mean_by_their_convention_is_told_in_the_printed_unit(findings: ModuleType) -> None:
    module = sys.modules["contrastseg.report.site.published_numbers"]
    place = {"dataset": "a", "evaluated_on": "a", "checkpoint": "last", "labels": "n3", "metric": "dice"}
    who = {"method": "cps", "variant": "default"}
    ranks = pd.DataFrame(
        [
            {**place, **who, "convention": "default", "mean": 0.5},
            {**place, **who, "convention": "ssl4mis", "mean": 0.6},
            {**place, **who, "convention": "ssl4mis", "mean": 0.9, "labels": "n7"},
        ]
    )
    (row,) = pd.DataFrame([{**place, **who, "mean": 0.5, "ours_in_printed_unit": 50.0}]).itertuples()
    assert module._by_theirs(ranks, row) == pytest.approx(60.0)
    assert module._by_theirs(ranks[ranks["convention"] == "default"], row) is None


def test_a_run_whose_reference_has_none_costs_no_ratio(as_shipped: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    (run,) = as_shipped.reference_runs(as_shipped.CHECKOUT, ("acdc_small",))[:1]
    kept = [record for record in run.results.runs if record["method"] != "supervised"]
    monkeypatch.setitem(vars(run.results), "runs", kept)
    (row,) = [line for line in as_shipped.costs([run]) if line.startswith("| `cps`")]
    assert "×" not in row
