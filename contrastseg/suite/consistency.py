"""What the parts of a suite say of each other: every name is there, and what is asked for can be had."""

from __future__ import annotations

from collections.abc import Mapping

from contrastseg.checkpoint_names import LAST, ORACLE, SELECTED_BY
from contrastseg.errors import TrainingError, UnavailableDataError
from contrastseg.evaluation.metrics.catalogue import resolve_metrics
from contrastseg.methods import registry
from contrastseg.report.settings import FigureSettings, TableSettings
from contrastseg.suite.drawings import check_drawings, check_metrics
from contrastseg.suite.entries import DatasetEntry, MethodEntry
from contrastseg.suite.fields import SuiteFields
from contrastseg.suite.names import require_distinct, require_known
from contrastseg.suite.step_totals import check_totals
from contrastseg.suite.tuning import check_tuning
from contrastseg.training.settings import TrainingSettings
from contrastseg.training.snapshots import snapshot_names


def check_consistency(suite: SuiteFields) -> None:
    """Check what no part of the suite can check alone.

    Raises:
        ValueError: A name is not there, or two parts contradict each other.
        SuiteError: Training settings of an entry, a method or a stage are wrong.
    """
    check_totals(suite)
    check_tuning(suite)
    _check_draws(suite)
    if suite.name in suite.also_show:
        raise ValueError(f"also_show names {suite.name} itself: name other suites")
    entries = [entry.name for entry in suite.datasets]
    for entry in suite.datasets:
        _check_entry(suite, entry, entries)
        for method in suite.methods:
            _check_training(suite, entry, method)
    baseline, _, variant = suite.comparison.baseline.partition("/")
    require_known("baseline of the comparison,", baseline, [method.name for method in suite.methods])
    if variant:
        require_known("variant of the baseline", variant, list(suite.method(baseline).variants))
    if isinstance(suite.evaluation.nsd_tolerance, dict):
        _check_tolerances(suite, suite.evaluation.nsd_tolerance)
    _check_oracle(suite)
    drawings: list[TableSettings | FigureSettings] = [*suite.tables, *suite.figures]
    for drawing in drawings:
        if drawing.kind == "conventions" and not suite.evaluation.conventions:
            raise ValueError(f"{drawing.name} shows conventions: name some in evaluation.also_conventions")
        if drawing.kind == "selection" and ORACLE not in suite.checkpoints:
            raise ValueError(
                f"{drawing.name} shows what selection on the test cases is worth: add {ORACLE} to checkpoints"
            )
        if drawing.kind == "draws" and not suite.further_draws:
            raise ValueError(f"{drawing.name} compares methods over further draws: give the methods `draws`")
        if drawing.kind == "tuning" and suite.tuning is None:
            raise ValueError(f"{drawing.name} shows the choices of a tuned suite: add the key `tuning`")
        if drawing.kind == "overlays" and drawing.checkpoints == [ORACLE]:
            raise ValueError(
                f"{drawing.name} shows predictions, and {ORACLE} has none of its own: name another checkpoint"
            )
    variants = {method.name: method.variants for method in suite.methods}
    check_drawings(drawings, entries, variants, suite.labels, list(suite.checkpoints))
    check_metrics(drawings, suite.evaluation, suite.comparison)


def _check_entry(suite: SuiteFields, entry: DatasetEntry, entries: list[str]) -> None:
    for other in entry.evaluate_on:
        require_known(f"entry to evaluate {entry.name} on,", other, entries)
    require_distinct(f"evaluate_on of {entry.name}", entry.evaluate_on)
    for other in entry.pool:
        require_known(f"entry in the pool of {entry.name},", other, entries)
        _fits(entry, suite.entry(other))
    require_distinct(f"pool of {entry.name}", entry.pool)
    folds = entry.split.number_of_folds
    if folds is not None and entry.evaluate_on and max(suite.folds) >= folds:
        raise ValueError(f"fold {max(suite.folds)} of {entry.name} does not exist: its split has folds: {folds}")


def _check_draws(suite: SuiteFields) -> None:
    """Every method has the suite's draws, which decide the verdicts, and the baseline has those of all methods."""
    for method in suite.methods:
        _has_draws(suite, method, suite.draws, "all methods are compared on the draws of the suite")
    baseline = [method for method in suite.methods if method.name == suite.comparison.baseline.partition("/")[0]]
    for method in baseline:
        _has_draws(suite, method, suite.further_draws, "methods with further draws are compared with the baseline")


def _has_draws(suite: SuiteFields, method: MethodEntry, wanted: list[int], why: str) -> None:
    draws = suite.draws_of(method)
    if lacking := [draw for draw in wanted if draw not in draws]:
        raise ValueError(
            f"draws of {method.name}: found {draws}, expected {', '.join(map(str, lacking))} among them, because {why}"
        )


def _check_oracle(suite: SuiteFields) -> None:
    """The oracle is asked for beside checkpoints that may be compared, and selected by what is scored."""
    if ORACLE not in suite.checkpoints:
        return
    if LAST not in suite.checkpoints:
        raise ValueError(f"checkpoint {ORACLE} is reported beside {LAST}, never alone: add {LAST} to checkpoints")
    if SELECTED_BY not in resolve_metrics(suite.evaluation.metrics):
        raise ValueError(f"checkpoint {ORACLE} is selected by {SELECTED_BY}: add {SELECTED_BY} to evaluation.metrics")
    if not any(
        suite.stage_training(entry, method, variant, "train").snapshot_every
        for entry in suite.datasets
        for method in suite.methods
        for variant in method.variants
        if entry.evaluate_on
    ):
        raise ValueError(
            f"checkpoint {ORACLE} is the best of the snapshots by its test score, and no run keeps snapshots: set"
            " training.snapshot_every, of the suite, a data set or a method"
        )


def _check_tolerances(suite: SuiteFields, tolerances: Mapping[str, float]) -> None:
    """Where classes have tolerances of their own, every class has one, and each is some class's."""
    classes: dict[str, str] = {}
    for entry in suite.datasets:
        try:
            classes |= dict.fromkeys(entry.spec.classes[1:], entry.name)
        except UnavailableDataError:  # what is not on this machine, the plan lists: its classes are not known
            return
    for name in tolerances:
        require_known("class of evaluation.nsd_tolerance,", name, list(classes))
    if lacking := [f"{name!r} of {entry}" for name, entry in classes.items() if name not in tolerances]:
        raise ValueError(
            f"evaluation.nsd_tolerance has none for {', '.join(lacking)}: name every class, or give a number"
        )


def _fits(entry: DatasetEntry, other: DatasetEntry) -> None:
    """Images of one entry can be shown to networks made for another."""
    try:
        own, theirs = entry.spec, other.spec
    except UnavailableDataError:  # what is not on this machine, the plan lists
        return
    if len(own.channels) != len(theirs.channels):
        raise ValueError(
            f"pool of {entry.name}: images of {other.name} have {len(theirs.channels)} channels, its own"
            f" {len(own.channels)}"
        )
    if (entry.spatial_dims or own.spatial_dims) > theirs.spatial_dims:
        raise ValueError(f"pool of {entry.name}: {other.name} has no volumes, and its networks see volumes")


def _check_training(suite: SuiteFields, entry: DatasetEntry, method: MethodEntry) -> None:
    for variant in method.variants:
        stages = [stage.name for stage in registry.get(method.name).stages]
        settings = {stage: suite.stage_training(entry, method, variant, stage) for stage in stages}
        if "best_val" in suite.checkpoints and not settings["train"].validate_every:
            raise ValueError("checkpoint best_val needs training.validate_every > 0")
        snapshots = _snapshots(settings["train"])
        if ORACLE in suite.checkpoints and settings["train"].snapshot_every is not None and not snapshots:
            raise ValueError(
                f"checkpoint {ORACLE} is the best of the snapshots by its test score: set training.snapshot_every to"
                f" less than the length of {method.name} on {entry.name}"
            )


def _snapshots(training: TrainingSettings) -> tuple[str, ...]:
    try:
        return snapshot_names(training)
    except TrainingError as error:
        raise ValueError(f"{error.reason}: {error.remedy}") from error
