"""A suite that asks for the oracle: what runs for it, and what an edit of a metric runs again."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from contrastseg.checkpoint_names import ORACLE_MARK
from tests.workflow.conftest import SUITE

AFTER_SCORES = {"oracle", "collect", "collect_snapshots", "compare", "tabulate", "plot", "report"}


@pytest.mark.long
def test_the_oracle_is_selected_from_scores_and_an_edit_of_a_metric_trains_and_predicts_nothing(workspace):
    workspace.write_suite(
        datasets=SUITE["datasets"][:1],
        methods=["supervised"],
        training=SUITE["training"] | {"snapshot_every": 1},
        checkpoints=["last", "best_test"],
        tables=[{"name": "main", "kind": "main"}, {"name": "selection", "kind": "selection"}],
        figures=[{"name": "label_ratio", "kind": "label_ratio"}],
    )
    planned = workspace.planned()
    once = ["train_supervised", "predict", "score", "predict_snapshots", "score_snapshots", "oracle"]
    assert [planned[rule] for rule in (*once, "collect_snapshots")] == [1] * 7
    workspace.run()
    assert workspace.planned() == {}
    (record,) = workspace.results.glob("runs/**/best_test.json")
    said = json.loads(record.read_text())
    means = said["mean_dice"]
    assert set(means) == {"step1", "step2", "last"}
    assert means[said["checkpoint"]] == max(means.values())
    of_snapshots = pd.read_csv(record.with_name("snapshots.csv"))
    assert set(of_snapshots["checkpoint"]) == {"step1", "step2"}
    if said["checkpoint"] == "last":
        selected = pd.read_csv(record.with_name("last.csv"))
    else:
        selected = of_snapshots[of_snapshots["checkpoint"] == said["checkpoint"]].drop(columns="checkpoint")
    assert record.with_suffix(".csv").read_text() == selected.to_csv(index=False)
    summary = pd.read_csv(workspace.results / "summary.csv")
    row = summary[(summary["checkpoint"] == "best_test") & (summary["class"] == "mean")].iloc[0]
    selection = pd.read_csv(workspace.results / "selection.csv").iloc[0]
    assert selection["oracle"] == pytest.approx(row["mean"])
    assert row["mean"] == pytest.approx(max(means.values()))
    for output in ("report.html", "tables/main.tex", "tables/selection.csv", "figures/label_ratio.svg"):
        assert ORACLE_MARK in (workspace.results / output).read_text(), output
    with workspace.edited("contrastseg/evaluation/metrics/case_scores.py", "/ 1000", "/ 1001"):
        planned = workspace.planned()
    assert planned.pop("score") == planned.pop("score_snapshots") == 1
    assert set(planned) == AFTER_SCORES
    with workspace.edited("contrastseg/evaluation/statistics/selection.py", "_RESAMPLES = 2000", "_RESAMPLES = 2001"):
        assert not {"score", "score_snapshots"} & set(workspace.planned())
    _prune(workspace, means, said["checkpoint"])


def _prune(workspace, candidates, selected):
    """Without keep_snapshots the others go, and only a prediction misses them."""
    suite = workspace.suite()
    workspace.write_suite(**suite | {"keep_snapshots": False})
    planned = workspace.planned()
    assert planned["prune_snapshots"] == 1
    assert not {"train_supervised", "predict_snapshots", "score_snapshots", "oracle"} & set(planned)
    workspace.run()
    (last,) = workspace.results.glob("runs/**/checkpoints/last.ckpt")
    assert {path.stem for path in last.parent.glob("*.ckpt")} == {selected, "last"}
    assert workspace.planned() == {}
    with workspace.edited("contrastseg/training/prediction.py", "index.unlink(missing_ok=True)", "index.unlink(True)"):
        said = workspace.snakemake("--configfile", "tiny.yaml")
        assert said.returncode != 0
        (log,) = workspace.results.glob("runs/**/predictions/*/snapshots.log")
        assert all(name in log.read_text() for name in set(candidates) - {selected, "last"})
        (last.parent.parent / "run.json").unlink()
        workspace.run()
    assert {path.stem for path in last.parent.glob("*.ckpt")} == {selected, "last"}
