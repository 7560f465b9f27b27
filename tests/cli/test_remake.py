"""`contrastseg report results/<suite>/scores.parquet`: everything again, where nothing but the scores was kept."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from contrastseg.cli import app
from contrastseg.files import read_json, write_json
from contrastseg.report.content.labels import UNKNOWN_PROVENANCE
from contrastseg.report.page.wording import not_drawn

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "results" / "reference" / "acdc_small" / "cpu-amd-epyc-2cores-a156c4e"
SUITE = ROOT / "benchmarks" / "acdc_small.yaml"
ENTRY = "acdc_2d_96"


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Scores and cards of a suite that was run elsewhere; no predictions, no data, no plan."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "results" / "acdc_small"
    folder.mkdir(parents=True)
    for name in ("scores.parquet", "cards.json"):
        shutil.copy(KEPT / name, folder)
    return folder


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """The suite's file where it is looked for; its figures small, for time."""
    content = yaml.safe_load(SUITE.read_text())
    content["tables"] = [{"name": "main", "metrics": ["dice"], "caption": "As it was."}]
    content["figures"] = [
        {"name": "label_ratio", "kind": "label_ratio", "dpi": 50},
        {"name": "learning_curves", "kind": "learning_curves"},
        {"name": "overlays", "kind": "overlays"},
    ]
    path = tmp_path / "benchmarks" / "acdc_small.yaml"
    path.parent.mkdir()
    path.write_text(yaml.safe_dump(content))
    return path


def invoke(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_everything_is_made_again_within_a_minute(kept, suite):
    (kept / "figures").mkdir()
    shutil.copy(KEPT / "figures" / "learning_curves.png", kept / "figures")
    before = time.process_time()
    output = invoke("report", kept / "scores.parquet")
    assert time.process_time() - before < 60
    assert "settings: benchmarks/acdc_small.yaml" in output
    for name in ("comparisons.csv", "summary.csv", "tables/main.tex", "figures/label_ratio.svg"):
        assert (kept / name).is_file()
    page = (kept / "report.html").read_text()
    assert "ACDC, reduced size on a CPU" in page
    assert "As it was." in page
    assert not_drawn("the predictions and the images") in page
    assert '<img class="drawing" alt="Learning curves.' in page  # what was drawn where the logs are
    assert "left behind where the data was prepared" in page


def test_an_edited_caption_reaches_the_page_and_the_scores_stay(kept, suite):
    before = (kept / "scores.parquet").stat().st_mtime_ns
    suite.write_text(suite.read_text().replace("As it was.", "As it is now."))
    invoke("report", kept, "--suite", suite)
    assert "As it is now." in (kept / "report.html").read_text()
    assert "As it is now." in (kept / "tables" / "main.md").read_text()
    assert (kept / "scores.parquet").stat().st_mtime_ns == before


def test_the_scores_alone_are_enough(kept):
    (kept / "cards.json").unlink()
    invoke("report", kept / "scores.parquet", "--config", '{"tables": [{"name": "main"}], "figures": []}')
    page = (kept / "report.html").read_text()
    assert UNKNOWN_PROVENANCE[1] in page
    assert "The records of the runs are missing." in page
    methods = set(pd.read_parquet(kept / "scores.parquet")["method"])
    assert all(method in page for method in methods)


def test_what_is_known_of_the_data_lies_beside_the_scores(kept, suite):
    info = {"entry": ENTRY, "dataset": "acdc", "title": "A heart", "classes": ["background", "RV"], "unit": "mm"}
    split = {"entry": ENTRY, "name": "list", "hash": "5a17", "folds": [{"train": ["a"], "val": [], "test": ["b"]}]}
    write_json(kept / "data.json", {"infos": [info], "splits": [split]})
    invoke("report", kept / "scores.parquet")
    page = (kept / "report.html").read_text()
    assert "A heart (acdc_2d_96)" in page
    assert "list (5a17): 1 train, 1 test" in page


def test_collect_keeps_what_the_report_needs_of_the_data(kept):
    run = read_json(kept / "cards.json")[0] | {"folder": "runs/one"}
    (kept / "runs" / "one" / "scores" / ENTRY).mkdir(parents=True)
    write_json(kept / "runs" / "one" / "run.json", run)
    line = "a,a,RV,dice,0.5,1,scored"
    (kept / "runs" / "one" / "scores" / ENTRY / "last.csv").write_text(
        f"patient,case,class,metric,value,unit,outcome\n{line}\n"
    )
    evaluation = {"folder": "runs/one", "evaluated_on": ENTRY, "checkpoint": "last"}
    suite = {"name": "acdc_small", "datasets": [{"name": ENTRY}], "methods": [{"name": run["method"]}]}
    plan = {"suite": suite, "runs": [run], "evaluations": [evaluation], "skipped": [], "unavailable": {}}
    write_json(kept / "plan.json", plan)
    write_json(Path("resources") / "prepared" / ENTRY / "dataset.json", {"entry": ENTRY, "title": "A heart"})
    folds = [{"train": ["a"], "val": [], "test": ["b"], "labelled": {"0": ["a"]}}, {"train": ["b"], "test": ["a"]}]
    write_json(Path("resources") / "splits" / f"{ENTRY}.json", {"entry": ENTRY, "name": "list", "folds": folds})
    invoke("collect", "--results", kept)
    data = read_json(kept / "data.json")
    assert data["infos"] == [{"entry": ENTRY, "title": "A heart"}]
    assert data["splits"][0]["folds"] == [{"train": ["a"], "val": [], "test": ["b"]}]  # the first fold, without draws


def test_what_waits_or_failed_is_left_out_and_named(kept, suite):
    """Two methods with two seeds were planned; one seed of the first is there."""
    card = read_json(kept / "cards.json")[0]
    axes = {name: card[name] for name in ("suite", "dataset", "variant", "labels", "draw", "fold")}
    runs = [
        {**axes, "method": method, "seed": seed, "folder": f"runs/{method}/{seed}"}
        for method in ("supervised", "pdcr")
        for seed in (0, 1)
    ]
    write_json(kept / runs[0]["folder"] / "run.json", card | runs[0])
    write_json(kept / runs[1]["folder"] / "run.json", card | runs[1])  # trained, not scored
    (kept / runs[0]["folder"] / "scores" / ENTRY).mkdir(parents=True)
    (kept / runs[0]["folder"] / "scores" / ENTRY / "last.csv").write_text(
        "patient,case,class,metric,value,unit,outcome\na,a,RV,dice,0.5,1,scored\nb,b,RV,dice,0.7,1,scored\n"
    )
    planned = {
        "name": "acdc_small",
        "datasets": [{"name": ENTRY}],
        "methods": [{"name": "supervised"}, {"name": "pdcr"}],
    }
    evaluations = [{"folder": run["folder"], "evaluated_on": ENTRY, "checkpoint": "last"} for run in runs]
    plan = {"suite": planned, "runs": runs, "evaluations": evaluations, "skipped": [], "unavailable": {}}
    write_json(kept / "plan.json", plan)
    write_json(Path("resources") / "prepared" / ENTRY / "dataset.json", {"entry": ENTRY, "title": "A heart"})
    write_json(Path("resources") / "splits" / f"{ENTRY}.json", {"entry": ENTRY, "name": "list", "folds": []})

    refused = CliRunner().invoke(app, ["collect", "--results", str(kept)])
    assert refused.exit_code != 0
    assert "3 of 4 evaluations" in invoke("collect", "--results", kept, "--partial")
    shown = kept / "unfinished"
    invoke("report", shown / "scores.parquet")

    lines = (shown / "tables" / "main.md").read_text().splitlines()
    assert "0.600" in next(line for line in lines if line.startswith("| supervised"))
    assert "not run" in next(line for line in lines if line.startswith("| pdcr"))
    notes = "\n".join(lines)
    assert "Partly run: supervised" in notes
    assert "1 of 2 runs without scores (draw 0, fold 0, seed 1)" in notes
    assert "Not run: pdcr" in notes
    assert "Missing: " not in notes
    page = (shown / "report.html").read_text()
    table = page.partition('<section id="missing"')[2].partition("</section>")[0]
    assert table.count("<tr>") == 3, "a header, what is partly run, what is not run"
    assert "planned, without scores" in page

    # Trained again since, and not predicted: the scores are those of weights that are no more.
    os.utime(kept / runs[0]["folder"] / "run.json")
    (kept / runs[1]["folder"] / "scores" / ENTRY).mkdir(parents=True)
    shutil.copy(kept / runs[0]["folder"] / "scores" / ENTRY / "last.csv", kept / runs[1]["folder"] / "scores" / ENTRY)
    assert "3 of 4 evaluations" in invoke("collect", "--results", kept, "--partial")
    assert set(pd.read_parquet(shown / "scores.parquet")["seed"]) == {1}


@pytest.mark.parametrize("arguments", [[], ["one/scores.parquet", "--results", "two"]])
def test_one_of_the_two_is_named(arguments):
    result = CliRunner().invoke(app, ["report", *arguments])
    assert result.exit_code == 2
    assert "scores.parquet or --results" in " ".join(result.output.replace("│", " ").split())


def test_the_selection_is_made_again_from_the_stored_snapshots(kept):
    scores = pd.read_parquet(kept / "scores.parquet")
    two = scores[(scores["metric"] == "dice") & scores["method"].isin(["supervised", "mean_teacher"])]
    last = two[two["checkpoint"] == "last"]
    last.to_parquet(kept / "scores.parquet", index=False)
    worse = last.assign(checkpoint="step100", value=last["value"] * 0.9)
    pd.concat([worse, last]).to_parquet(kept / "snapshots.parquet", index=False)
    drawings = {"tables": [{"name": "selection", "kind": "selection"}], "figures": []}
    invoke("report", kept, "--config", json.dumps(drawings))
    table = pd.read_csv(kept / "tables" / "selection.csv")
    summary = pd.read_csv(kept / "summary.csv")
    means = summary[summary["class"] == "mean"].set_index(["labels", "method"])["mean"]
    assert table.set_index(["labels", "method"])["oracle"].to_dict() == pytest.approx(means.to_dict(), abs=1e-5)
    assert (table["optimism"] == 0).all()
    assert "oracle, not comparable" in (kept / "report.html").read_text()
