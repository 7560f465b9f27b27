"""Planning: the runs of a suite, the data it lacks, and the settings and inputs of each job."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contrastseg.planning.availability import data_root, describe_missing, missing_data, needs_download
    from contrastseg.planning.configuration import run_config, to_argument
    from contrastseg.planning.content import (
        config_weights,
        content_text,
        data_digest,
        pool_digest,
        split_digest,
        stage_config,
    )
    from contrastseg.planning.data_folders import DataFolders, summary_of_edits
    from contrastseg.planning.environment import job_environment
    from contrastseg.planning.garbage_collection import keep_objects
    from contrastseg.planning.job_functions import cache_parameters
    from contrastseg.planning.jobs import Jobs
    from contrastseg.planning.limits import by_attempt
    from contrastseg.planning.run_axes import RESULTS, EnteredRun, Run
    from contrastseg.planning.runs import Plan, expand
    from contrastseg.planning.tuning import TUNING

__all__ = [
    "RESULTS",
    "TUNING",
    "DataFolders",
    "EnteredRun",
    "Jobs",
    "Plan",
    "Run",
    "by_attempt",
    "cache_parameters",
    "config_weights",
    "content_text",
    "data_digest",
    "data_root",
    "describe_missing",
    "expand",
    "job_environment",
    "keep_objects",
    "missing_data",
    "needs_download",
    "pool_digest",
    "run_config",
    "split_digest",
    "stage_config",
    "summary_of_edits",
    "to_argument",
]

_MODULES = {
    "job_functions": ("cache_parameters",),
    "availability": ("data_root", "describe_missing", "missing_data", "needs_download"),
    "configuration": ("run_config", "to_argument"),
    "content": ("config_weights", "content_text", "data_digest", "pool_digest", "split_digest", "stage_config"),
    "environment": ("job_environment",),
    "garbage_collection": ("keep_objects",),
    "jobs": ("Jobs",),
    "limits": ("by_attempt",),
    "run_axes": ("RESULTS", "EnteredRun", "Run"),
    "runs": ("Plan", "expand"),
    "tuning": ("TUNING",),
    "data_folders": ("DataFolders", "summary_of_edits"),
}


def __getattr__(name: str) -> Any:
    """Import a name at its first use, so that a job that needs a digest does not import the planning of suites."""
    for module, names in _MODULES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
