"""Two suites in one folder, with an entry of one name: what is made alike is shared, the rest is kept apart."""

from __future__ import annotations

import json

import pytest

from contrastseg import planning
from contrastseg.planning.data_paths import prepared_of, split_of
from contrastseg.suite import parse_suite
from tests.workflow.conftest import SUITE, Workspace

LESIONS = SUITE["datasets"][0]
SMALL = {
    **LESIONS,
    "options": {"cases": 8, "size": [32, 32]},
    "split": {"fractions": {"train": 0.5, "val": 0, "test": 0.5}},
}
SPLIT = {**LESIONS, "split": {"seed": 7}}
FEW = {"methods": ["supervised"], "figures": [{"name": "box", "kind": "box"}]}


def card(space: Workspace, suite: str) -> dict:
    """The record of a suite's one run."""
    (file,) = space.work.glob(f"results/{suite}/runs/**/run.json")
    return json.loads(file.read_text())


@pytest.mark.long
def test_two_that_prepare_and_split_otherwise_run_at_once(shared: Workspace) -> None:
    suites = {"first": LESIONS, "second": SMALL}
    for name, entry in suites.items():
        shared.write_suite(name=name, datasets=[entry], **FEW)
    running = [shared.start("--configfile", f"{name}.yaml", cores="1") for name in suites]
    said = [process.communicate()[0] for process in running]
    assert [process.returncode for process in running] == [0, 0], said
    for name, entry in suites.items():
        assert shared.planned(suite=name) == {}
        asked = parse_suite({**SUITE, "name": name, "datasets": [entry], **FEW})[0]
        folder, split = (
            shared.work / place for place in (prepared_of(asked.datasets[0]), split_of(asked, asked.datasets[0]))
        )
        made = {"data": planning.data_digest(folder), "split": planning.split_digest(split, 0, 0)}
        assert card(shared, name)["inputs"] == made
    first, second = (card(shared, name) for name in suites)
    assert (first["training_patients"], second["training_patients"]) == (7, 4)
    assert not set(first["inputs"].values()) & set(second["inputs"].values())


@pytest.mark.long
def test_another_split_of_the_same_data_leaves_the_finished_suite_alone(shared: Workspace) -> None:
    """After the first test: the prepared data is shared, also by two that run without Snakemake's lock."""
    before = card(shared, "first")
    shared.write_suite(name="third", datasets=[SPLIT], **FEW)
    shared.write_suite(name="first", datasets=[LESIONS], seeds=[1], **FEW)
    running = [shared.start("--nolock", "--configfile", f"{name}.yaml", cores="1") for name in ("third", "first")]
    said = [process.communicate()[0] for process in running]
    assert [process.returncode for process in running] == [0, 0], said
    assert not [text for text in said if "rule prepare" in text]
    assert ["checkpoint split" in text for text in said] == [True, False]
    shared.write_suite(name="first", datasets=[LESIONS], **FEW)
    assert shared.planned(suite="first") == {
        "plan": 1,
        "collect": 1,
        "compare": 1,
        "tabulate": 1,
        "plot": 1,
        "report": 1,
    }
    assert before in [json.loads(path.read_text()) for path in shared.work.glob("results/first/runs/**/run.json")]
    assert card(shared, "third")["inputs"]["data"] == before["inputs"]["data"]
    assert card(shared, "third")["split_hash"] != before["split_hash"]
