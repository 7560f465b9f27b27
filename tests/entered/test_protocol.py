"""The protocol: exported, followed, and changed after predictions were entered."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from PIL import Image

from contrastseg.errors import ContrastsegError
from contrastseg.files import read_json, write_json
from contrastseg.planning.data_paths import prepared_of, split_of
from contrastseg.planning.entered_runs import find_entered
from tests.entered.conftest import (
    SUITE,
    collected,
    dataset,
    enter,
    expected_cases,
    invoke,
    maps,
    reference,
    refused,
    resplit,
    stored,
    suite,
)


def test_an_exported_protocol_has_what_a_stranger_needs_and_no_images(work: Path) -> None:
    invoke("export-protocol", "tiny.yaml", "--entry", "organs", "--output", "protocol.json")
    protocol = read_json("protocol.json")
    split = read_json(split_of(suite(), suite().entry("organs")))
    assert protocol["test"]["organs/fold0"] == sorted(expected_cases("organs"))
    assert {part: sorted(cases) for part, cases in protocol["folds"][0].items()} == {
        part: sorted(split["folds"][0][part]) for part in ("train", "val", "test")
    }
    assert protocol["classes"] == dict(zip(map(str, range(9)), dataset("organs").info.classes, strict=False))
    case = expected_cases("organs")[0]
    assert tuple(protocol["cases"]["organs"][case]["shape"]) == reference("organs", case).shape
    assert protocol["labelled"]["draw0-fold0"]["r0.4"] == split["orders"]["0"]["0"][:2]
    assert set(protocol["rows"]) == {"organs/r0.4/draw0-fold0", "organs/r1/draw0-fold0"}
    enter(maps("organs"), "--protocol", "protocol.json", entry="organs")
    (index,) = Path("results/tiny/entered").rglob("predictions.json")
    stored_digest = read_json(index)["entered"]["protocol"]["digest"]
    assert stored_digest == protocol["rows"]["organs/r0.4/draw0-fold0"]["digest"]


def test_another_protocol_is_refused(work: Path) -> None:
    invoke("export-protocol", "tiny.yaml", "--entry", "lesions", "--output", "protocol.json")
    resplit("lesions", 5)
    error = refused(maps("lesions"), "--protocol", "protocol.json")
    assert "the test cases" in error.reason
    write_json("protocol.json", {"rows": {}})
    assert "no row" in refused(maps("lesions"), "--protocol", "protocol.json").reason
    enter(maps("lesions", "new"))


def test_rows_of_another_split_are_outdated_and_not_compared(work: Path) -> None:
    enter(maps("lesions"))
    enter(maps("organs", "others"), entry="organs", method="other")
    resplit("lesions", 5)
    kept = stored()
    scores, records = collected()
    assert set(scores["method"]) == {"other"}
    (record,) = [record for record in records if record["method"] == "mine"]
    assert "the test cases" in record["outdated"]["lesions/last"]
    assert {name: stored()[name] for name in kept} == kept
    from contrastseg.report.content.results_folder import ResultsFolder

    folder = ResultsFolder(Path("results/tiny/unfinished"), Path("resources"), strict=False)
    states = {item["method"]: item.get("state") for item in folder.skipped or () if item["labels"] == "r0.4"}
    assert states["mine"] == "outdated"


@pytest.mark.parametrize("content", ["[]", '{"cases": {}, "entered": {}}', '{"cases": {}, "entered": 3}'])
def test_a_damaged_index_is_named(work: Path, content: str) -> None:
    enter(maps("lesions"))
    (index,) = Path("results/tiny/entered").rglob("predictions.json")
    index.write_text(content)
    store = prepared_of(suite().entry("lesions"))
    with pytest.raises(ContrastsegError) as caught:
        invoke("score", "--prediction", index.parent, "--reference", store, "--output", "scores.csv")
    assert caught.value.file == index
    invoke("plan", "tiny.yaml", "--output", "results/tiny/plan.json")
    with pytest.raises(ContrastsegError) as caught:
        invoke("collect", "--results", "results/tiny", "--partial")
    assert caught.value.file == index


def test_predictions_of_other_references_are_not_scored(work: Path) -> None:
    enter(maps("lesions"))
    case = expected_cases("lesions")[0]
    Image.fromarray(1 - reference("lesions", case)).save(dataset("lesions").reference_path(case))
    scores, (record,) = collected()
    assert len(scores) == 0
    assert "the references" in record["outdated"]["lesions/last"]


def test_a_further_draw_is_entered_beside_the_draws_of_the_suite(work: Path) -> None:
    """Alone it would stand in no table: methods are compared on the suite's draws."""
    assert "draw" in refused(maps("lesions"), "--draw", "1").reason
    Path("tiny.yaml").write_text(yaml.safe_dump({**SUITE, "methods": [{"name": "supervised", "draws": [0, 1]}]}))
    invoke("export-protocol", "tiny.yaml", "--entry", "lesions", "--output", "protocol.json")
    assert "lesions/r0.4/draw1-fold0" in read_json("protocol.json")["rows"]
    enter(maps("lesions"), "--draw", "1")
    alone = find_entered(suite())
    assert not alone.evaluations
    assert "draw 1 alone" in alone.left_out[0]["reason"]
    enter(maps("lesions"))
    assert [run.draw for run, _, _ in find_entered(suite()).evaluations] == [0, 1]
