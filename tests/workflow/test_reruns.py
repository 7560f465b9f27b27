"""Reruns follow content: what an edit changes runs again, and nothing else does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from contrastseg.cli import app
from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.splits.split_files import Split
from contrastseg.planning.data_paths import prepared_of, split_of
from contrastseg.report.page.wording import not_drawn
from contrastseg.suite import load_suite
from tests.workflow.conftest import Workspace, jobs, moved
from tests.workflow.warm import planner

AFTER_SCORES = {"collect", "compare", "tabulate", "plot", "slices", "report"}


def run_cards(results: Path) -> dict[str, dict]:
    """Every run's record by its place."""
    return {str(path.relative_to(results)): json.loads(path.read_text()) for path in results.glob("runs/**/run.json")}


def test_a_finished_suite_has_its_report_and_nothing_left_to_do(finished):
    assert (finished.results / "report.html").is_file()
    assert finished.planned() == {}
    for card in run_cards(finished.results).values():
        assert card["fingerprint"]
        assert set(card["inputs"]) == {"data", "split"}


def test_comments_docstrings_and_captions_of_the_workflow_run_nothing(finished):
    with (
        finished.edited("workflow/rules/train.smk", "# The generic rules", "# The general rules"),
        finished.edited("workflow/report/table.rst", "Table", "The table"),
        finished.edited("contrastseg/methods/mean_teacher.py", '"""The student and', '"""A student and'),
        finished.edited("contrastseg/training/loop.py", "import math\n", "import math  # a remark\n"),
        finished.edited("contrastseg/files.py", "indent=2", "indent=4"),
    ):
        assert finished.planned() == {}


def test_a_module_that_moved_runs_nothing_and_an_edit_of_it_still_does(finished):
    files = {
        "training/loop.py": "training/engine/steps.py",
        "evaluation/metrics/case_scores.py": "evaluation/of_cases/values.py",
    }
    with moved(finished, files):
        assert finished.planned() == {}
        with finished.edited("contrastseg/training/engine/steps.py", "** 0.9", "** 0.8"):
            assert finished.planned()["train_supervised"] == 2


def test_a_former_key_of_the_suite_runs_nothing_and_names_the_new_one(finished):
    """What rules carry as parameters keeps the spelling that is stored with results."""
    finished.write_suite(comparison={"reference": "supervised"})
    try:
        said = finished.run("--dry-run")
    finally:
        finished.write_suite()
    assert jobs(said) == {}
    assert "comparison.baseline" in said


def test_the_text_of_a_rule_runs_nothing(finished):
    with finished.edited("workflow/rules/train.smk", "python -m contrastseg train", "python  -m contrastseg train"):
        assert finished.planned() == {}


def test_an_edit_of_a_method_retrains_that_method_alone(finished):
    with finished.edited("contrastseg/methods/mean_teacher.py", "step + 1", "step + 2"):
        planned = finished.planned()
    assert planned.pop("train_mean_teacher") == planned.pop("predict") == planned.pop("score") == 2
    assert set(planned) == AFTER_SCORES


def test_an_edit_of_the_loop_retrains_all(finished):
    with finished.edited("contrastseg/training/loop.py", "** 0.9", "** 0.8"):
        planned = finished.planned()
    assert planned["train_supervised"] == planned["train_mean_teacher"] == 2
    assert planned["predict"] == planned["score"] == 4


def test_other_conventions_are_scored_beside_what_is_there(finished):
    evaluation = {"metrics": ["dice"], "also_conventions": ["medpy", "ssl4mis"]}
    drawings = {"tables": [{"name": "conventions", "kind": "conventions"}], "figures": []}
    finished.write_suite(evaluation=evaluation, **drawings)
    try:
        planned = finished.planned()
    finally:
        finished.write_suite()
    assert planned.pop("score_by_conventions") == 4
    assert planned.pop("collect_conventions") == planned.pop("plan") == 1
    assert set(planned) <= {"collect", "compare", "tabulate", "report"}, "nothing is trained, predicted or scored again"


def test_an_edit_of_a_metric_rescores_and_trains_nothing(finished):
    with finished.edited("contrastseg/evaluation/metrics/case_scores.py", "/ 1000", "/ 1001"):
        planned = finished.planned()
    assert planned.pop("score") == 4
    assert set(planned) == AFTER_SCORES


def test_an_edit_of_a_figure_draws_and_scores_nothing(finished):
    with finished.edited("contrastseg/report/figures/_legend.py", "0.55 if lines", "0.56 if lines"):
        planned = finished.planned()
    assert set(planned) == {"plot", "report"}


def test_the_caption_of_a_table_redraws_that_table(finished):
    tables = [{"name": "main", "kind": "main", "caption": "As it is now."}]
    finished.write_suite(tables=tables)
    try:
        assert finished.planned() == {"tabulate": 1, "report": 1}
    finally:
        finished.write_suite()


def test_the_caption_of_a_figure_draws_that_figure(finished):
    figures = finished.suite()["figures"]
    finished.write_suite(figures=[figures[0] | {"caption": "As it is now."}, *figures[1:]])
    try:
        assert finished.planned() == {"plot": 1, "report": 1}
    finally:
        finished.write_suite()


def test_tables_and_figures_are_targets_by_name(finished):
    assert finished.planned("tables", "figures") == {}
    (finished.results / "tables" / "main.md").unlink()
    (finished.results / "figures" / "box.png").unlink()
    assert finished.planned("tables") == {"tabulate": 1, "tables": 1}
    finished.run("--", "tables", "figures")
    assert (finished.results / "tables" / "main.md").is_file()
    assert (finished.results / "figures" / "box.png").is_file()
    finished.run()
    assert finished.planned() == {}


def test_snakemake_makes_its_own_report_of_it(finished):
    finished.run("--report", "snakemake-report.html")
    text = (finished.work / "snakemake-report.html").read_text(encoding="utf-8")
    for name in ("report.html", "box.svg", "main.csv", "comparisons.csv"):
        assert name in text
    assert "paired by patient" in text  # its captions stand in workflow/report


def test_everything_is_made_again_from_the_scores_where_nothing_else_is(finished, tmp_path):
    kept = tmp_path / "results" / "tiny"
    kept.mkdir(parents=True)
    for name in ("scores.parquet", "cards.json", "data.json", "plan.json"):
        shutil.copy(finished.results / name, kept)
    command = [planner(), "-m", "contrastseg", "report", str(kept / "scores.parquet")]
    variables = {**os.environ, "PYTHONPATH": str(finished.code)}
    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert "figure overlays skipped" in done.stderr
    for name in ("comparisons.csv", "summary.csv", "tables/main.csv"):
        assert (kept / name).read_text() == (finished.results / name).read_text()
    page = (kept / "report.html").read_text()
    assert "Phantom" in page  # the data's own title, from the copy beside the scores
    assert not_drawn("the predictions and the images") in page


def test_another_seed_leaves_the_finished_runs_alone(finished):
    finished.write_suite(seeds=[0, 1], draws=[0], labels=["r0.4", "r0.9"])
    try:
        planned = finished.planned()
    finally:
        finished.write_suite()
    assert planned["train_supervised"] == 2 * (2 * 2 - 1)


def test_preparing_the_same_data_again_trains_nothing(finished):
    before = run_cards(finished.results)
    output = finished.run("--forcerun", "prepare")
    assert "rule prepare" in output
    assert "rule train_" not in output
    assert "rule predict" not in output
    assert run_cards(finished.results) == before
    assert finished.planned() == {}


def test_other_data_retrains_its_runs_in_the_same_invocation(finished):
    before = run_cards(finished.results)
    entries = finished.suite()["datasets"]
    entries[0]["options"]["seed"] = 1
    finished.write_suite(datasets=entries)
    finished.run()
    after = run_cards(finished.results)
    changed = {place for place in before if before[place] != after[place]}
    assert changed == {place for place in before if "/lesions/" in place}
    assert finished.planned() == {}


def test_a_deleted_prediction_is_a_hole_with_a_name(finished):
    folder = next(finished.results.glob("runs/organs/supervised/**/predictions/organs/last"))
    index = json.loads((folder / "predictions.json").read_text())
    case, file = next(iter(index["cases"].items()))
    (folder / file).unlink()
    planned = finished.planned()
    assert planned.pop("score") == 1
    assert set(planned) == AFTER_SCORES
    finished.run()
    scores = pd.read_parquet(finished.results / "scores.parquet")
    assert set(scores.loc[scores["outcome"] == "hole", "case"]) == {case}
    assert case in (finished.results / "tables" / "main.md").read_text()
    assert case in (finished.results / "report.html").read_text()
    assert finished.planned() == {}


def enter_theirs(*arguments: object) -> None:
    row = ("--suite", "tiny.yaml", "--entry", "lesions", "--method", "theirs")
    done = CliRunner().invoke(app, ["enter", *map(str, arguments), *row], catch_exceptions=False)
    assert done.exit_code == 0, done.output


def test_entered_predictions_are_scored_and_nothing_is_trained(
    finished: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(finished.work)
    suite = load_suite(Path("tiny.yaml"))  # other suites of this folder have prepared an entry of this name, too
    entry = suite.entry("lesions")
    dataset, split = PreparedDataset(prepared_of(entry)), Split.from_file(split_of(suite, entry))
    for case in dataset.cases_of(split.test(), labelled=True):
        (tmp_path / dataset.native_name(case)).write_bytes(dataset.reference_path(case).read_bytes())
    enter_theirs(tmp_path, "--labels", "r0.4")
    try:
        planned = finished.planned()
        assert planned["score"] == 1
        assert set(planned) == AFTER_SCORES | {"plan", "score"}
        forced = finished.planned("--forceall")
        assert forced["score"] == forced["predict"] + 1
    finally:
        enter_theirs("--remove")
    assert finished.planned() == {}


METHOD = '''"""A method from outside: supervised training under another name."""

from contrastseg.methods.supervised import Supervised


class Dropped(Supervised):
    """Dropped in."""

    name = "dropped"
'''
RULE = """use rule train as train_dropped with:
    wildcard_constraints:
        method="dropped",
"""


@pytest.mark.long
def test_a_method_dropped_in_as_two_files_appears_in_the_tables(finished):
    (finished.code / "contrastseg" / "methods" / "dropped.py").write_text(METHOD)
    (finished.code / "workflow" / "rules" / "methods" / "dropped.smk").write_text(RULE)
    finished.write_suite(datasets=finished.suite()["datasets"], methods=["supervised", "mean_teacher", "dropped"])
    output = finished.run()
    assert "rule train_dropped" in output
    assert "rule train_supervised" not in output, "the others stay as they are"
    for file in ("tables/main.md", "tables/main.tex", "tables/main.csv", "report.html"):
        assert "dropped" in (finished.results / file).read_text(), file
