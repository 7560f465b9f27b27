"""What `run.json` says of a finished run."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from contrastseg.methods import registry
from contrastseg.training import records
from contrastseg.training.engines import Outcome, TrainingJob
from contrastseg.training.settings import PATH_KEYS


@dataclass(frozen=True)
class Begun:
    """When a run, or this attempt at it, began.

    Attributes:
        started: The time of day.
        clock: The monotonic clock's seconds.
        cpu: The processors' seconds of this process until then.
    """

    started: datetime
    clock: float
    cpu: float

    @classmethod
    def now(cls) -> Begun:
        """It begins now."""
        return cls(datetime.now(UTC), time.perf_counter(), records.cpu_seconds())


def run_record(job: TrainingJob, outcome: Outcome, begun: Begun) -> dict[str, Any]:
    """Make the content of `run.json`: configuration, data, result, place and time.

    Args:
        job: The run.
        outcome: How it went.
        begun: When this attempt began; it ends now.
    """
    config = job.config
    method = registry.get(config.method)
    return {
        **config.model_dump(mode="json", exclude={"training", *PATH_KEYS}),
        "training": {**job.training.model_dump(mode="json"), **outcome.training},
        "card": _card(config.method),
        "printed_name": method.printed or method.name,
        "name_note": method.name_note(config.settings),
        **_data_record(job),
        **_result_record(outcome),
        "versions": records.versions(outcome.packages),
        "git_commit": records.git_commit(),
        "hardware": records.hardware(job.device),
        "device_uuid": ",".join(device.uuid for device in job.allocation.devices) or None,
        **_time_record(job, outcome, begun),
        "peak_memory_bytes": records.peak_memory_bytes(job.device),
    }


def _card(name: str) -> dict[str, Any]:
    return registry.get(name).card.stated()


def _data_record(job: TrainingJob) -> dict[str, Any]:
    """Which patients and cases it trained on."""
    trained = job.split.train(job.config.fold)
    unlabelled = job.cases_by_source.get("unlabelled", ())
    return {
        "labelled_patients": job.labelled,
        "labelled_count": len(job.labelled),
        "label_ratio": len(job.labelled) / len(trained),
        "unlabelled_count": sum(len({dataset.patient(case) for case in cases}) for dataset, cases in unlabelled),
        "unlabelled_cases": sum(len(cases) for _, cases in unlabelled),
        "pool": None if job.pool is None else {"hash": job.pool.hash, "sources": list(job.pool.sources)},
        "training_patients": len(trained),
        "split_name": job.split.name,
        "split_hash": job.split.hash,
    }


def _result_record(outcome: Outcome) -> dict[str, Any]:
    """What came out of it, and how it was computed."""
    return {
        "taken_over": dict(outcome.initial_weights),
        **({} if outcome.network_weights is None else {"network_weights": dict(outcome.network_weights)}),
        "steps": outcome.steps,
        "best_val_dice": outcome.best,
        "best_val_step": outcome.best_step,
        "parameters": outcome.parameters,
        "precision": outcome.precision,
        "residency": outcome.residency,
        "unrecorded": outcome.unrecorded,
    }


def _time_record(job: TrainingJob, outcome: Outcome, begun: Begun) -> dict[str, Any]:
    """When it ran and how long it took."""
    # Of attempts that were stopped before this one, what they did in steps is known, and no more.
    wall_s = round(time.perf_counter() - begun.clock + outcome.earlier, 3)
    return {
        "started": begun.started.isoformat(timespec="milliseconds"),
        "finished": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "wall_s": wall_s,
        "stages_wall_s": records.stages_seconds("wall_s", job.config.initial, job.config.stage, wall_s),
        **_cpu_record(job, outcome, begun),
        "seconds_per_step": outcome.seconds / outcome.steps,
    }


def _cpu_record(job: TrainingJob, outcome: Outcome, begun: Begun) -> dict[str, Any]:
    """What it took of the processors: other than the time that passed, it hardly depends on other work beside it."""
    if outcome.earlier and outcome.earlier_cpu is None:
        return {"cpu_s": None, "stages_cpu_s": {}}
    cpu_s = round(records.cpu_seconds() - begun.cpu + (outcome.earlier_cpu or 0.0), 3)
    return {
        "cpu_s": cpu_s,
        "stages_cpu_s": records.stages_seconds("cpu_s", job.config.initial, job.config.stage, cpu_s),
    }
