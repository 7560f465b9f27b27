"""Which code a stage executes, as a short hash: reruns follow it, so that only edits that can change a result rerun it.

Definitions are followed in the source from those that a stage starts with, without importing anything, so planning
thousands of runs stays a matter of seconds. Comments, docstrings, formatting, the words of errors, names of local
variables, names of modules and of what stands in them, and the file that it stands in change nothing.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from contrastseg.code_graph import code_fingerprint, definition, files_below, reached_of
from contrastseg.errors import SuiteError, unknown_name
from contrastseg.paths import SHIPPED

# Data that definitions of a module read beside their arguments: a corrected printed number redraws the tables.
_DATA = {"contrastseg.evaluation.published.published": "benchmarks/published/*.csv"}

# Packages whose templates, style sheets and scripts a stage reads.
_FILES = {"report": "contrastseg.report"}

# What a stage starts with, as `code_fingerprint` takes it: `.*` is what is chosen by name at run time.
_ROOTS: dict[str, tuple[str, ...]] = {
    "prepare": (
        "contrastseg.data.prepare.preparation:prepare_dataset",
        "contrastseg.data.registry.described:keep_description",
        "{dataset}",
    ),
    "split": ("contrastseg.data.splits.splits:split_dataset",),
    "pool": ("contrastseg.data.splits.pools:write_pool",),
    "train": ("contrastseg.training.run:train", "contrastseg.networks.*", "{method}"),
    "predict": ("contrastseg.training.prediction:predict_prepared", "contrastseg.networks.*", "{method}"),
    "score": tuple(
        f"contrastseg.evaluation.scoring.scoring:{name}"
        for name in ("score_by_conventions", "score_folder", "write_scores")
    ),
    "predict_snapshots": (
        "contrastseg.training.prediction:predict_snapshots",
        "contrastseg.networks.*",
        "{method}",
    ),
    "score_snapshots": tuple(
        f"contrastseg.evaluation.scoring.scoring:{name}" for name in ("score_snapshots", "write_scores")
    ),
    "tune": ("contrastseg.training.trial:run_trial", "contrastseg.networks.*", "{method}"),
    "select": ("contrastseg.evaluation.statistics.tuning_tables:choice_record",),
    "collect_tuning": ("contrastseg.evaluation.statistics.tuning_tables:tuning_tables",),
    "oracle": (
        "contrastseg.evaluation.scoring.collect:collect",
        "contrastseg.evaluation.statistics.selection:oracle_choice",
    ),
    "collect": (
        "contrastseg.evaluation.scoring.collect:collect",
        "contrastseg.evaluation.scoring.collect:write_table",
        "contrastseg.evaluation.statistics.convention_ranks:convention_ranks",
        "contrastseg.evaluation.statistics.selection:selection_table",
    ),
    "compare": tuple(
        f"contrastseg.evaluation.statistics:{name}"
        for name in ("compare", "critical_table", "pairwise", "ranking_table", "summarise", "variance_table")
    ),
    "tabulate": (
        "contrastseg.report.content.report_data:ReportData",
        "contrastseg.report.tables.build:make_tables",
        "contrastseg.report.tables.*",
    ),
    "plot": (
        "contrastseg.report.content.report_data:ReportData",
        "contrastseg.report.figures.build:make_figures",
        "contrastseg.report.figures.*",
    ),
    "slices": ("contrastseg.report.page.slices:make_slices",),
    "report": (
        "contrastseg.report.content.report_data:ReportData",
        "contrastseg.report.page.build:make_report",
        "contrastseg.report.page.other_suites:other_suites",
        "contrastseg.report.figures.*",
        "contrastseg.report.tables.*",
    ),
}


@cache
def stage_fingerprint(stage: str, *, method: str | None = None, dataset: str | None = None) -> str:
    """The fingerprint of the code that a stage executes.

    Args:
        stage: One of the workflow's stages.
        method: Name of the method, for `train`, `predict` and `predict_snapshots`: its class counts, other methods' do
            not.
        dataset: Name of the data set, for `prepare`.

    Raises:
        SuiteError: The stage or the method is unknown.
    """
    roots = stage_roots(stage, method=method, dataset=dataset)
    data = sorted(path for name in reached_of(roots, list(_DATA)) for path in SHIPPED.glob(_DATA[name]))
    beside = files_below(_FILES[stage]) if stage in _FILES else []
    return _with_files(code_fingerprint(roots), [*data, *beside])


def stage_roots(stage: str, *, method: str | None = None, dataset: str | None = None) -> tuple[str, ...]:
    """The definitions that a stage starts with, as `code_fingerprint` takes them.

    Raises:
        SuiteError: The stage or the method is unknown.
    """
    if stage not in _ROOTS:
        raise SuiteError(unknown_name("stage", stage, list(_ROOTS)))
    roots = []
    for root in _ROOTS[stage]:
        if root == "{method}":
            from contrastseg.methods import registry

            kind = registry.get(str(method))
            roots.append(definition(kind))
            roots += [f"{kind.engine}:{name}" for name in ("fit", "labeller")] if kind.engine else []
        elif root == "{dataset}":
            from contrastseg.data.registry import registry as datasets

            roots.append(datasets.module_of(str(dataset)))
        else:
            roots.append(root)
    return tuple(roots)


def _with_files(fingerprint: str, files: list[Path]) -> str:
    if not files:
        return fingerprint
    hashed = hashlib.sha256(fingerprint.encode())
    for path in files:
        hashed.update(path.name.encode() + path.read_bytes())
    return hashed.hexdigest()[:16]
