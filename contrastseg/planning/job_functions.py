"""Functions that Snakemake calls for each job, made so that it looks up their parameters once."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
# Where Snakemake looks for the parameters of a function before it asks Python (`snakemake.common.get_function_params`).
PARAMETERS_ATTRIBUTE = "_overwrite_params"


class Wildcards(Protocol):
    """The wildcards of a job: the value of each is text."""

    def __getattr__(self, name: str) -> str: ...


class job_function(Generic[P, T]):  # a decorator, as `property`
    """Decorator of a method that Snakemake calls for each job.

    Snakemake looks up the parameters of a function several times per call, which takes longer than the call of a bound
    method. The decorated method is bound once per object and carries its parameters in `__signature__`.
    """

    def __init__(self, method: Callable[Concatenate[Any, P], T]) -> None:
        self.method = method
        functools.update_wrapper(self, method)  # type: ignore[arg-type]

    def __get__(self, instance: object, owner: type) -> Callable[P, T]:
        bound = with_parameters(self.method.__get__(instance, owner))
        vars(instance)[self.method.__name__] = bound  # found before this is, from now on
        return bound


def with_parameters(function: Callable[P, T]) -> Callable[P, T]:
    """The same function, with its parameters where `inspect.signature` and Snakemake look first."""
    same = functools.partial(function)
    same.__signature__ = signature = inspect.signature(function)  # type: ignore[attr-defined]
    vars(same)[PARAMETERS_ATTRIBUTE] = signature.parameters
    return same


def constant_or_function(values: set[T], function: Callable[P, T]) -> T | Callable[P, T]:
    """The value itself where all runs share it; otherwise the function that gives it for a job."""
    return values.pop() if len(values) == 1 else with_parameters(function)


def cache_parameters(workflow: Any) -> None:
    """Store the parameters of Snakemake's own functions, which it looks up again for each resource of each job.

    These functions are internal to Snakemake. A release without them plans the same jobs, only more slowly.

    Args:
        workflow: Snakemake's workflow object, as a Snakefile sees it.
    """
    with suppress(ImportError, AttributeError):
        from snakemake.common import overwrite_function_params
        from snakemake.resources import Resource

        defaults = workflow.resource_settings._parsed_default_resources.values()
        for function in (Resource.evaluate, *(each._evaluator for each in defaults if each.is_evaluable())):
            overwrite_function_params(function, inspect.signature(function).parameters)
