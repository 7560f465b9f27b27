"""The entered runs of a suite: predictions of other trainers in its results, found by their paths."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from contrastseg.checkpoint_names import ORACLE
from contrastseg.evaluation.scoring.predictions import INDEX
from contrastseg.paths import ENTERED, EXTERNAL
from contrastseg.planning.run_axes import RESULTS, EnteredRun, Evaluation, Run
from contrastseg.report.content.run_keys import parse_run_key
from contrastseg.suite import Suite

UNTUNED = "every row of the suite is tuned by its protocol, and entered predictions are not"
_NOT_ENTERED = "no predictions were entered"


@dataclass(frozen=True)
class EnteredRuns:
    """The entered runs of a suite.

    Attributes:
        evaluations: Run, entry it is evaluated on, checkpoint.
        left_out: Those that the suite has no place for, as `Plan.skipped` has combinations.
    """

    evaluations: tuple[Evaluation, ...]
    left_out: tuple[dict[str, str], ...]


def find_entered(suite: Suite, unavailable: Collection[str] = ()) -> EnteredRuns:
    """Find the entered runs in the results of a suite.

    Args:
        suite: The suite.
        unavailable: Entries that are skipped because their data is not on this machine.
    """
    found: list[Evaluation] = []
    left_out: dict[tuple[str, ...], dict[str, str]] = {}
    there = list(stored_evaluations(suite))
    compared = {_cell(evaluation) for evaluation in there if evaluation[0].draw in suite.draws}
    for run, other, checkpoint in there:
        reason = _no_place(suite, run, other, checkpoint)
        if not reason and _cell((run, other, checkpoint)) not in compared:
            named = ", ".join(map(str, suite.draws))
            reason = f"predictions of draw {run.draw} alone; methods are compared on draw {named}"
        if not reason and {run.entry, other} & set(unavailable):
            reason = f"{other if other in unavailable else run.entry} is not on this machine"
        if not reason:
            found.append((run, other, checkpoint))
            continue
        item = {"dataset": run.entry, "method": run.method, "labels": run.labels, "reason": reason}
        left_out[tuple(item.values())] = item | {"provenance": EXTERNAL}
    return EnteredRuns(tuple(found), (*left_out.values(), *_other_budgets(suite, found)))


def _cell(evaluation: Evaluation) -> tuple[str, ...]:
    """What the runs of an evaluation are averaged in."""
    run, other, checkpoint = evaluation
    return run.entry, run.method, run.variant, run.labels, other, checkpoint


def _other_budgets(suite: Suite, found: Sequence[Evaluation]) -> list[dict[str, str]]:
    """The label budgets of the suite at which an entered method has no predictions."""
    budgets: dict[tuple[str, str], set[str]] = {}
    for run, _, _ in found:
        budgets.setdefault((run.entry, run.method), set()).add(run.labels)
    return [
        {"dataset": entry, "method": method, "labels": labels, "reason": _NOT_ENTERED, "provenance": EXTERNAL}
        for (entry, method), entered in budgets.items()
        for labels in suite.labels
        if labels not in entered
    ]


def stored_evaluations(suite: Suite) -> Iterator[Evaluation]:
    """Every entered run that lies in the results of a suite, by its path: run, entry it is evaluated on, checkpoint."""
    root = RESULTS / suite.name / ENTERED
    for index in sorted(root.glob(f"*/*/*/*/*/predictions/*/*/{INDEX}")):
        folder = index.parents[3]
        parts = index.relative_to(root).parts
        if any(part.startswith(".") for part in parts) or not (folder / "run.json").is_file():
            continue
        try:
            axes = parse_run_key(folder.relative_to(root).as_posix())
        except ValueError:
            continue
        yield EnteredRun(suite.name, axes.pop("dataset"), **axes), parts[-3], parts[-2]


def _no_place(suite: Suite, run: Run, other: str, checkpoint: str) -> str:
    """Why the suite has no place for an entered run; empty where it has."""
    if suite.tuning is not None:
        return UNTUNED
    entries = [entry.name for entry in suite.datasets]
    if run.entry not in entries:
        return f"the suite has no entry {run.entry}"
    if run.method in [method.name for method in suite.methods]:
        return f"the suite has a method {run.method} of its own"
    values: dict[str, tuple[str | int, Sequence[str | int]]] = {
        "label budget": (run.labels, suite.labels),
        "draw": (run.draw, suite.all_draws),
        "fold": (run.fold, suite.folds),
        "seed": (run.seed, suite.seeds),
        "evaluation on": (other, suite.entry(run.entry).evaluate_on),
        "checkpoint": (checkpoint, comparable_checkpoints(suite)),
    }
    lacking = [f"{axis} {value}" for axis, (value, known) in values.items() if value not in known]
    return f"the suite has no {' and no '.join(lacking)}" if lacking else ""


def comparable_checkpoints(suite: Suite) -> list[str]:
    """The checkpoints whose tables an entered run may stand in: all but the oracle, which is compared with nothing."""
    return [name for name in suite.checkpoints if name != ORACLE]
