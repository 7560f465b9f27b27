"""Methods that a workflow calls for each of its jobs."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


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
    described.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    return described
