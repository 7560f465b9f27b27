"""A small folder of stored results with known differences, for the pages that are made from such folders."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from contrastseg.evaluation.scoring.collect import COLUMNS
from contrastseg.evaluation.statistics import compare, summarise
from contrastseg.evaluation.statistics.ranking import ranking_table
from contrastseg.evaluation.statistics.selection import selection_table
from contrastseg.files import write_json

PATIENTS = 16
STEPS = 100
# Mean Dice above the patient's own level, by method and variant, at two and at four labelled patients.
GAINS = {
    ("supervised", "default"): (0.0, 0.0),
    ("supervised", "equal_steps"): (0.06, 0.02),
    ("mean_teacher", "default"): (0.03, -0.03),
    ("simclr", "default"): (0.04, 0.05),  # two stages: it is compared with the longer supervised row
    ("cps", "default"): (None, None),  # above and below by turns: no difference
    ("nnunet", "default"): (0.1, 0.1),  # its length is its own
}
PROVENANCE = {"supervised": "published", "mean_teacher": "official", "simclr": "published", "cps": "published"}


def scores(labels: str, pair: tuple[str, str], checkpoint: str, shift: float = 0.0, seed: int = 0) -> pd.DataFrame:
    """The scores of one run, in two classes of one case a patient."""
    gain = GAINS[pair][0 if labels == "n2" else 1]
    rows = []
    for patient in range(PATIENTS):
        up = patient >> list(GAINS).index(pair) % 4 & 1  # half of the patients, other ones for each method
        own = (0.01 if patient % 2 else -0.01) if gain is None else gain + (0.002 if up else -0.002)
        for number, name in enumerate(("A", "B")):
            value = 0.5 + 0.01 * patient + 0.1 * number + own + shift + 0.001 * seed
            rows.append({"patient": f"p{patient:02d}", "case": f"p{patient:02d}", "class": name, "value": value})
    axes = {
        "suite": "made_up",
        "dataset": "hearts",
        "split": "random",
        "fold": 0,
        "method": pair[0],
        "variant": pair[1],
        "label_ratio": int(labels[1:]) / 20,
        "labels": labels,
        "labelled_patients": int(labels[1:]),
        "draw": 0,
        "seed": seed,
        "evaluated_on": "hearts",
        "checkpoint": checkpoint,
        "metric": "dice",
        "unit": "1",
        "outcome": "scored",
        "diagonal": float("nan"),
    }
    return pd.DataFrame(rows).assign(**axes)[list(COLUMNS)].astype(dict(COLUMNS))


def make(root: Path, *, oracle: bool = True, conventions: bool = True, budget: str | None = None) -> Path:
    """Write `results/reference/made_up/cpu-here` below a folder.

    Args:
        root: The folder.
        oracle: Whether snapshots were kept: the oracle's rows and `selection.csv`.
        conventions: Whether other scoring conventions were asked for.
        budget: That of the suite; `steps` leaves out the longer supervised row.
    """
    folder = root / "results" / "reference" / "made_up" / "cpu-here"
    folder.mkdir(parents=True)
    pairs = [pair for pair in GAINS if not (budget == "steps" and pair[1] == "equal_steps")]
    runs = [(labels, pair) for labels in ("n2", "n4") for pair in pairs]
    last = pd.concat([scores(*run, "last") for run in runs], ignore_index=True)
    best_val = pd.concat([scores(*run, "best_val", 0.01) for run in runs], ignore_index=True)
    table = pd.concat([last, best_val], ignore_index=True)
    if oracle:
        kept = [run for run in runs if run[1][1] == "default"]
        shifts = {"supervised": 0.02, "mean_teacher": 0.04, "simclr": 0.01, "cps": 0.0, "nnunet": 0.0}
        snapshots = pd.concat([scores(*run, "step50", shifts[run[1][0]]) for run in kept], ignore_index=True)
        selection_table(pd.concat([last[last["variant"] == "default"], snapshots])).to_csv(
            folder / "selection.csv", index=False
        )
        table = pd.concat([table, snapshots.assign(checkpoint="best_test")], ignore_index=True)
    table.to_parquet(folder / "scores.parquet")
    compare(table, "supervised", family="methods").to_csv(folder / "comparisons.csv", index=False)
    summarise(table).to_csv(folder / "summary.csv", index=False)
    ranking_table(table).to_csv(folder / "rankings.csv", index=False)
    if conventions:
        _conventions(last).to_csv(folder / "conventions.csv", index=False)
    axes = {"suite": "made_up", "dataset": "hearts", "draw": 0, "fold": 0, "seed": 0}
    listed = [{**axes, "labels": labels, "method": name, "variant": variant} for labels, (name, variant) in runs]
    for run in listed:
        run["folder"] = "/".join(str(run[key]) for key in ("dataset", "method", "variant", "labels"))
    suite = {
        "name": "made_up",
        "datasets": [{"name": "hearts"}],
        "methods": [{"name": name} for name in dict.fromkeys(name for name, _ in pairs)],
        "seeds": [0, 1],
        "training": {"steps": STEPS, "batch_size": 2, "precision": "32-true"},
        "checkpoints": ["last", "best_val"],
        "labels": ["n2", "n4"],
    } | ({"budget": budget} if budget else {})
    longer = {"dataset": "hearts", "method": "supervised", "variant": "equal_steps", "total": 2 * STEPS}
    totals = [{**longer, "stages": {"train": 2 * STEPS}, "as_long_as": "simclr"}]
    if budget == "steps":
        names = [name for name, _ in pairs if name != "nnunet"]
        totals = [{"dataset": "hearts", "method": name, "variant": "default", "total": STEPS} for name in names]
    plan = {"suite": suite, "runs": listed, "evaluations": [], "skipped": [], "unavailable": {}, "step_totals": totals}
    write_json(folder / "plan.json", plan)
    write_json(folder / "cards.json", [_card(run) for run in listed])
    write_json(folder / "data.json", {"infos": [{"entry": "hearts", "title": "Hearts"}], "splits": []})
    return folder


def _conventions(last: pd.DataFrame) -> pd.DataFrame:
    """HD95 by two conventions: the other one halves it for `cps`, which so becomes the best."""
    means = {name: 10.0 + number for number, name in enumerate(["simclr", "supervised", "mean_teacher", "cps"])}
    rows = []
    for labels in ("n2", "n4"):
        for convention, factor in (("default", 1.0), ("ssl4mis", 0.5)):
            for name, mean in means.items():
                value = mean * (factor if name == "cps" else 1.0)
                rows.append({"labels": labels, "convention": convention, "method": name, "mean": value})
    constant = {"dataset": "hearts", "evaluated_on": "hearts", "checkpoint": "last", "metric": "hd95"}
    return pd.DataFrame(rows).assign(
        **constant, unit="mm", variant="default", rank=1.0, base_rank=1.0, shift=0.0, tau=1.0
    )


def _card(run: dict[str, object]) -> dict[str, object]:
    name = str(run["method"])
    seconds = {"simclr": 30.0, "cps": 25.0}.get(name, 10.0)
    return {
        **run,
        "card": {"provenance": PROVENANCE.get(name, "official")},
        "stages_wall_s": {"train": seconds},
        "peak_memory_bytes": 2**30,
        "training_patients": 20,
        "git_commit": "0123456",
        "hardware": {"device": "cpu", "cpu": "made up", "cpu_capability": "AVX2"},
    }
