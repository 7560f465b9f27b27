"""Methods that a workflow calls for each of its jobs."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
# Where Snakemake looks for the parameters of a function before it asks Python (`snakemake.common.get_function_params`).
OF_SNAKEMAKE = "_overwrite_params"


class Wildcards(Protocol):
    """The wildcards of a job, as text."""

    def __getattr__(self, name: str) -> str: ...


class asked(Generic[P, T]):  # a decorator, as `property`
    """A method that Snakemake calls for each job.

    Snakemake looks at the parameters of a function several times for each call of it, and to find out those of a bound
    method takes longer than to call it. What this gives names them in `__signature__`, and is made once per object.
    """

    def __init__(self, method: Callable[Concatenate[Any, P], T]) -> None:
        self.method = method
        functools.update_wrapper(self, method)  # type: ignore[arg-type]

    def __get__(self, instance: object, owner: type) -> Callable[P, T]:
        bound = described(self.method.__get__(instance, owner))
        vars(instance)[self.method.__name__] = bound  # found before this is, from now on
        return bound


def described(function: Callable[P, T]) -> Callable[P, T]:
    """A function that does the same, and whose parameters are known without looking for them."""
    described = functools.partial(function)
    described.__signature__ = signature = inspect.signature(function)  # type: ignore[attr-defined]
    vars(described)[OF_SNAKEMAKE] = signature.parameters
    return described


def shared(values: set[T], ask: Callable[P, T]) -> T | Callable[P, T]:
    """What all runs share, as itself; what differs between them, as the function that says it of a job."""
    return values.pop() if len(values) == 1 else described(ask)


def remember_parameters(workflow: Any) -> None:
    """Tell Snakemake the parameters of its own functions, which it looks for again for each resource of each job.

    They lie inside Snakemake. A release that has none of them plans the same jobs, only slower.

    Args:
        workflow: Snakemake's, as a Snakefile sees it.
    """
    with suppress(ImportError, AttributeError):
        from snakemake.common import overwrite_function_params
        from snakemake.resources import Resource

        defaults = workflow.resource_settings._parsed_default_resources.values()
        for function in (Resource.evaluate, *(each._evaluator for each in defaults if each.is_evaluable())):
            overwrite_function_params(function, inspect.signature(function).parameters)
