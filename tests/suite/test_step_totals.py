"""Equal numbers of steps: a budget for all methods of a suite, and a row as long as its longest method."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrastseg import planning
from contrastseg.errors import SuiteError
from contrastseg.methods import registry
from contrastseg.planning.estimates import training_jobs
from contrastseg.suite import Suite, load_suite, parse_suite
from contrastseg.suite.step_totals import divided, longest_method, step_totals

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def a_suite(methods: list[Any], **changes: Any) -> Suite:
    entry = {"name": "organs", "dataset": "phantom_organs", "spatial_dims": 2, "training": {"steps": 280}}
    asked = {"name": "small", "datasets": [entry], "methods": methods, "labels": ["n2"], "training": {"steps": 240}}
    return parse_suite(asked | changes)[0]


def lengths(suite: Suite, method: str, variant: str = "default") -> list[int | None]:
    """Steps of every stage, as the plan and the training resolve them."""
    entry, item = suite.datasets[0], suite.method(method)
    stages = [stage.name for stage in registry.get(method).stages]
    return [suite.stage_training(entry, item, variant, stage).steps for stage in stages]


def test_a_budget_gives_every_method_the_steps_of_the_entry_over_its_stages() -> None:
    nnunet = {"name": "nnunet", "settings": {"epochs": 4, "iterations_per_epoch": 25}}
    longer = {"name": "glcl", "stages": {"global": {"steps": 560}}}
    suite = a_suite(["supervised", "simclr", "lrc_sequential", longer, nnunet], budget="steps")
    assert lengths(suite, "supervised") == [280]
    assert lengths(suite, "simclr") == [140, 140]
    assert lengths(suite, "lrc_sequential") == [93, 93, 94], "rounded down, and the last stage has the rest"
    assert lengths(suite, "glcl") == [140, 70, 70], "shares are those of the lengths that are written"
    assert lengths(suite, "nnunet") == [100], "a schedule of its own"
    assert lengths(a_suite(["supervised", "simclr"]), "simclr") == [280, 280]


@given(st.lists(st.integers(1, 10_000), min_size=1, max_size=5), st.integers(1, 100_000))
def test_a_total_is_divided_without_loss_in_proportion(written: list[int], total: int) -> None:
    named = {str(at): steps for at, steps in enumerate(written)}
    shares = divided(total, named)
    assert sum(shares.values()) == total
    assert list(shares) == list(named)
    exact = [total * steps / sum(written) for steps in written]
    assert all(0 <= one - share < 1 for one, share in zip(exact[:-1], list(shares.values())[:-1], strict=True))
    assert 0 <= list(shares.values())[-1] - exact[-1] < len(written)


def test_training_gets_the_steps_and_what_does_not_change_keeps_its_configuration() -> None:
    methods = ["supervised", "mean_teacher", "simclr"]
    plain, budgeted = planning.Jobs(a_suite(methods), None), planning.Jobs(a_suite(methods, budget="steps"), None)

    def config(jobs: planning.Jobs, method: str, stage: str) -> str:
        axes = {"dataset": "organs", "method": method, "variant": "default", "stage": stage}
        found: str = jobs.config(SimpleNamespace(**axes))
        return found

    assert json.loads(config(budgeted, "simclr", "pretrain"))["stage_training"] == {"steps": 140}
    assert json.loads(config(budgeted, "simclr", "train"))["stage_training"] == {"steps": 140}
    for method in ("supervised", "mean_teacher"):
        assert config(plain, method, "train") == config(budgeted, method, "train"), "nothing of it trains again"


def test_the_falls_of_a_step_schedule_keep_their_places_along_a_stage() -> None:
    optimiser = {"name": "sgd", "schedule": "step", "step_every": 100}
    suite = a_suite(["supervised", "simclr"], budget="steps", training={"optimiser": optimiser})
    entry, simclr = suite.datasets[0], suite.method("simclr")
    settings = suite.stage_training(entry, simclr, "default", "pretrain")
    assert (settings.steps, settings.optimiser.step_every) == (140, 50)
    assert settings.optimiser.name == "sgd"


def test_the_row_of_equal_steps_is_as_long_as_the_longest_method() -> None:
    rows = {"name": "supervised", "variants": ["default", "equal_steps"]}
    suite = a_suite([rows, "simclr", "lrc_sequential", {"name": "cps", "training": {"steps": 300}}])
    assert longest_method(suite, suite.datasets[0]) == ("lrc_sequential", 840)
    assert lengths(suite, "supervised") == [280]
    assert lengths(suite, "supervised", "equal_steps") == [840]
    assert lengths(suite, "lrc_sequential") == [280, 280, 280]
    plan = planning.expand(suite)
    (total,) = plan.to_json()["step_totals"]
    assert total == {
        **{"dataset": "organs", "method": "supervised", "variant": "equal_steps", "total": 840},
        **{"stages": {"train": 840}, "as_long_as": "lrc_sequential"},
    }
    assert len({job.kind for job in training_jobs(plan) if job.run.method == "supervised"}) == 2, "they cost unlike"


def test_a_method_that_is_not_defined_in_the_dimensions_is_not_the_longest() -> None:
    volumes = {"name": "organs", "dataset": "phantom_organs", "training": {"patch_size": [16, 16, 16]}}
    rows = {"name": "supervised", "variants": ["default", "equal_steps"]}
    suite = a_suite([rows, "simclr", "glcl"], datasets=[volumes])
    assert longest_method(suite, suite.datasets[0]) == ("simclr", 480)
    budgeted = a_suite(["supervised", "simclr", "glcl"], datasets=[volumes], budget="steps")
    assert [total["method"] for total in step_totals(budgeted)] == ["supervised", "simclr"]


ROWS = {"name": "supervised", "variants": ["default", "equal_steps"]}


@pytest.mark.parametrize(
    ("methods", "changes", "words"),
    [
        (["simclr"], {"training": {"steps": 1}, "datasets": ["phantom_lesions"]}, ["pretrain", "simclr", "0 of 1"]),
        (["simclr"], {"training": {"optimiser": {"warmup_steps": 140}}}, ["140 of 280", "141"]),
        (["simclr"], {"training": {"epochs": 2}, "datasets": ["phantom_lesions"]}, ["epochs", "phantom_lesions"]),
        ([{"name": "simclr", "stages": {"train": {"epochs": 2}}}], {}, ["epochs", "stage train of simclr"]),
        ([{"name": "simclr", "training": {"steps": 9}}], {}, ["simclr", "no effect"]),
        ([{"name": "simclr", "stages": {"train": {"steps": "many"}}}], {}, ["simclr", "train", "integer"]),
        ([ROWS], {}, ["supervised/equal_steps"]),
        (["supervised"], {"recipe": "ssl4mis_acdc"}, ["recipe", "ssl4mis_acdc", "budget"]),
        ([ROWS], {"budget": None, "training": {"epochs": 2}, "datasets": ["phantom_lesions"]}, ["epochs"]),
        ([{"name": "supervised", "variants": ["equal_steps"]}], {"budget": None}, ["equal_steps", "organs"]),
    ],
)
def test_totals_that_cannot_be(methods: list[Any], changes: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(SuiteError) as error:
        a_suite(methods, **({"budget": "steps"} | changes))
    assert all(word in str(error.value) for word in words), str(error.value)


@pytest.mark.parametrize("path", sorted(BENCHMARKS.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_committed_suite_has_equal_steps_or_a_row_of_them(path: Path) -> None:
    suite = load_suite(path)
    if suite.budget is not None or suite.training.epochs is not None:
        assert (suite.recipe is None) == (suite.budget is not None)
        return
    if suite.name.startswith("recipe_sweep"):
        return  # no methods are compared there: lengths are among what is chosen
    names = {f"{method.name}/{variant}" for method in suite.methods for variant in method.variants}
    shortest = min(
        suite.stage_training(entry, suite.method("supervised"), "default", "train").length
        for entry in suite.datasets
        if entry.evaluate_on
    )
    longest = max(longest_method(suite, entry)[1] for entry in suite.datasets if entry.evaluate_on)
    assert ("supervised/equal_steps" in names) == (longest > shortest)
