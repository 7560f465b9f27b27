"""Planning: what a suite comes to, what is missing for it, and what each of its jobs is a function of."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contrastseg.planning.asked import remember_parameters
    from contrastseg.planning.availability import data_root, describe_missing, missing_data, needs_download
    from contrastseg.planning.content import content_text, data_digest, pool_digest, split_digest
    from contrastseg.planning.environment import job_environment
    from contrastseg.planning.garbage import keep_objects
    from contrastseg.planning.jobs import Jobs, run_config, to_argument
    from contrastseg.planning.limits import by_attempt
    from contrastseg.planning.runs import RESULTS, Plan, Run, expand
    from contrastseg.planning.sources import Sources, listed

__all__ = [
    "RESULTS",
    "Jobs",
    "Plan",
    "Run",
    "Sources",
    "by_attempt",
    "content_text",
    "data_digest",
    "data_root",
    "describe_missing",
    "expand",
    "job_environment",
    "keep_objects",
    "listed",
    "missing_data",
    "needs_download",
    "pool_digest",
    "remember_parameters",
    "run_config",
    "split_digest",
    "to_argument",
]

_MODULES = {
    "asked": ("remember_parameters",),
    "availability": ("data_root", "describe_missing", "missing_data", "needs_download"),
    "content": ("content_text", "data_digest", "pool_digest", "split_digest"),
    "environment": ("job_environment",),
    "garbage": ("keep_objects",),
    "jobs": ("Jobs", "run_config", "to_argument"),
    "limits": ("by_attempt",),
    "runs": ("RESULTS", "Plan", "Run", "expand"),
    "sources": ("Sources", "listed"),
}


def __getattr__(name: str) -> Any:
    """A name by its first use: a job reads a digest, and does not wait for what plans."""
    for module, names in _MODULES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
