"""What Snakemake asks of each job costs little: parameters are looked at once, and what all runs share is a number."""

from __future__ import annotations

import inspect
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake.common import get_function_params
from snakemake.resources import Resource, Resources

from contrastseg import planning
from contrastseg.planning.job_functions import PARAMETERS_ATTRIBUTE, cache_parameters, job_function
from contrastseg.suite import parse_suite

JOB = SimpleNamespace(dataset="one", method="simclr", variant="default", labels="r1", draw="0", fold="0", seed="0")


def jobs(training: dict[str, Any], of_the_method: dict[str, Any] | None = None) -> planning.Jobs:
    network = {"name": "unet", "channels": [4, 8]}
    methods = [{"name": "simclr", "training": of_the_method or {}}, {"name": "supervised"}]
    suite = {
        "name": "small",
        "datasets": [{"name": "one", "dataset": "phantom_lesions"}],
        "methods": methods,
        "training": {"network": network, "patch_size": [16, 16], **training},
    }
    return planning.Jobs(parse_suite(suite)[0], None)


def test_a_method_that_is_asked_is_made_once_and_names_its_parameters(monkeypatch):
    class Answers:
        @job_function
        def double(self, wildcards: int, attempt: int = 2) -> int:
            """Twice."""
            return wildcards * attempt

    first, second = Answers(), Answers()
    assert first.double is first.double
    assert first.double is not second.double
    assert (first.double(3), first.double(wildcards=3, attempt=4)) == (6, 12)
    assert list(inspect.signature(first.double).parameters) == ["wildcards", "attempt"]

    def look(*arguments: object, **named: object) -> inspect.Signature:
        raise AssertionError("looked again")

    monkeypatch.setattr(inspect, "_signature_from_function", look)
    assert list(inspect.signature(first.double).parameters) == ["wildcards", "attempt"]
    monkeypatch.setattr(inspect, "signature", look)
    assert list(get_function_params(first.double)) == ["wildcards", "attempt"]
    monkeypatch.undo()
    monkeypatch.setattr(inspect, "_signature_from_function", look)
    with pytest.raises(AssertionError, match="looked again"):
        inspect.signature(lambda wildcards: wildcards)


def test_snakemake_sees_what_depends_on_the_place_of_the_data():
    """A parameter that takes `input` is no reason to run again, and all the others are."""
    every = jobs({})
    takes = {name: inspect.signature(getattr(every, name)).parameters for name in ("data_options", "config", "content")}
    assert {name for name, parameters in takes.items() if "input" in parameters} == {"data_options"}
    assert list(inspect.signature(every.runtime).parameters) == ["wildcards", "attempt"]
    assert list(inspect.signature(planning.by_attempt(5)).parameters) == ["wildcards", "attempt"]


def test_snakemake_does_not_look_at_its_own_functions_for_each_job(monkeypatch):
    def temporary(wildcards: object, attempt: int) -> str:
        return f"{wildcards}{attempt}"

    monkeypatch.setattr(Resource.evaluate, PARAMETERS_ATTRIBUTE, None, raising=False)  # as it was, after this test
    resources = Resources.from_mapping({"tmpdir": temporary, "gpu": 1})
    cache_parameters(SimpleNamespace(resource_settings=SimpleNamespace(_parsed_default_resources=resources)))
    monkeypatch.setattr(inspect, "signature", None)
    assert list(get_function_params(temporary)) == ["wildcards", "attempt"]
    assert "kwargs" in get_function_params(resources["tmpdir"].evaluate)
    assert resources["tmpdir"].evaluate("job", attempt=2, threads=1).value == "job2"


def test_a_snakemake_without_these_functions_is_left_alone():
    cache_parameters(SimpleNamespace(resource_settings=SimpleNamespace()))


def test_what_all_runs_take_is_a_number():
    same = jobs({"accelerator": "cuda", "devices": 2, "threads": 3})
    assert (same.gpus, same.one_gpu, same.threads) == (2, 1, 3)
    on_cpu = jobs({"accelerator": "cpu"})
    assert (on_cpu.gpus, on_cpu.one_gpu) == (0, 0)


def test_what_differs_between_runs_is_asked_for_each():
    differing: Any = jobs({"accelerator": "cuda", "threads": 3}, {"accelerator": "cpu", "threads": 1})
    other = SimpleNamespace(**{**vars(JOB), "method": "supervised"})
    assert [(differing.gpus(job), differing.one_gpu(job), differing.threads(job)) for job in (JOB, other)] == [
        (0, 0, 1),
        (1, 1, 3),
    ]


def test_a_fold_that_all_runs_test_is_a_number():
    every: Any = jobs({})
    assert every.test_fold == 0
    several = every.suite.model_copy(update={"folds": [0, 1]})
    there: Any = planning.Jobs(several, None)
    job = SimpleNamespace(**{**vars(JOB), "fold": "1"}, evaluated_on="one")
    assert (there.test_fold(job), there.test_fold(SimpleNamespace(**{**vars(job), "evaluated_on": "two"}))) == (1, 0)


def test_where_no_entry_has_a_pool_there_is_no_option_to_ask_for():
    assert jobs({}).pool_option == ""


def test_inputs_are_named_once():
    every, job = jobs({}), SimpleNamespace(**vars(JOB), evaluated_on="one", checkpoint="last")
    prepared, split = every.manifest(job), every.split_path(job)
    assert every.test_inputs(job) == every.training_inputs(job) == [prepared, split]
    assert prepared.name == "manifest.json"
    assert split.parent == Path("resources/splits")
