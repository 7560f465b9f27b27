"""A method with draws of its own: further draws of some methods, beside the suite's of all."""

from __future__ import annotations

from pathlib import Path

import pytest

from contrastseg.errors import SuiteError
from contrastseg.planning import Jobs, Plan, expand
from contrastseg.planning.data_paths import split_of, split_settings
from contrastseg.planning.estimates import estimate
from contrastseg.planning.runs import replicate_rank
from contrastseg.suite import MethodEntry, Suite, parse_suite

FURTHER = [{"name": "supervised", "draws": [0, 1, 2]}, "mean_teacher", {"name": "simclr", "draws": [0, 2, 1]}]


def made(**changes: object) -> Suite:
    suite = {
        "name": "small",
        "datasets": [{"name": "lesions", "dataset": "phantom_lesions", "options": {"cases": 20}}],
        "methods": FURTHER,
        "labels": ["n2"],
        "seeds": [3, 5],
        **changes,
    }
    return parse_suite(suite)[0]


def planned(**changes: object) -> Plan:
    return expand(made(**changes))


def test_further_draws_are_run_after_everything_else() -> None:
    runs = planned().runs
    assert [(run.method, run.draw) for run in runs if run.seed == 3][:3] == [
        (name, 0) for name in ("supervised", "mean_teacher", "simclr")
    ]
    order = [(run.seed, run.draw) for run in runs]
    assert order == [(3, 0)] * 3 + [(5, 0)] * 3 + [(3, 1)] * 2 + [(3, 2)] * 2 + [(5, 1)] * 2 + [(5, 2)] * 2
    assert {run.method for run in runs if run.draw} == {"supervised", "simclr"}
    ranks = [replicate_rank(made(), run.draw, run.fold, run.seed) for run in runs]
    assert ranks == sorted(ranks)
    assert len(set(ranks)) == 2 * 3, "one rank for each draw and seed"


def test_a_suite_without_further_draws_is_stored_as_before() -> None:
    assert "draws" not in made(methods=["supervised"]).model_dump(mode="json")["methods"][0]
    stored = made().model_dump(mode="json")["methods"]
    assert [method.get("draws") for method in stored] == [[0, 1, 2], None, [0, 2, 1]]
    assert [MethodEntry.model_validate(method) for method in stored] == made().methods


def test_the_split_has_enough_draws_and_further_ones_leave_it_where_it_has() -> None:
    plain, few = made(methods=["supervised"]), made()
    entry = plain.datasets[0]
    assert split_of(plain, entry) == split_of(few, entry)
    many = made(methods=[{"name": "supervised", "draws": [0, 7]}])
    assert split_settings(many, many.datasets[0]).draws == 8


def test_the_other_jobs_stay_as_they_are() -> None:
    """What a job is told, its settings and inputs, is the same for the runs that both plans have."""
    before, after = planned(methods=["supervised", "mean_teacher", "simclr"]), planned()
    assert set(before.runs) < set(after.runs)
    for run in before.runs:
        told = [
            (jobs.config(run_of(run)), jobs.training_inputs(run_of(run)), jobs.content(run_of(run)))
            for jobs in (Jobs(plan.suite, None) for plan in (before, after))
        ]
        assert told[0] == told[1]


def run_of(run: object) -> object:
    class Wildcards:
        stage = "train"
        dataset, method, variant, labels = run.entry, run.method, run.variant, run.labels  # type: ignore[attr-defined]
        draw, fold, seed = str(run.draw), str(run.fold), str(run.seed)  # type: ignore[attr-defined]

    return Wildcards()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"methods": ["supervised", {"name": "simclr", "draws": [1, 2]}]}, ("draws of simclr", "expected 0")),
        ({"methods": ["supervised", {"name": "simclr", "draws": [0, 1]}]}, ("draws of supervised", "expected 1")),
        ({"draws": [0, 3], "methods": [{"name": "supervised", "draws": [0, 1]}]}, ("supervised", "expected 3")),
        ({"methods": [{"name": "supervised", "draws": [0, 1, 1]}]}, ("1 is listed twice",)),
        ({"methods": [{"name": "supervised", "draws": []}]}, ("draws",)),
        ({"methods": [{"name": "supervised", "draws": [0, -1]}]}, ("draws",)),
    ],
)
def test_draws_that_cannot_be_are_errors(changes: dict, words: tuple[str, ...]) -> None:
    with pytest.raises(SuiteError) as caught:
        made(**changes)
    assert all(word in str(caught.value) for word in words)


def test_plan_counts_the_runs_of_further_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    counts = estimate(planned(), Path("absent"))
    assert (counts["runs"], counts["further_draw_runs"]) == (14, 8)
    assert "further_draw_runs" not in estimate(planned(methods=["supervised"]), Path("absent"))
