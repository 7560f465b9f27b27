"""When each job of a workflow ran: a table and a picture, from what Snakemake recorded of the files that jobs made.

Snakemake keeps start and end with every output, in `.snakemake/metadata`. Nothing is run, and nothing there is changed.

Example: `python -m contrastseg.report.site.timeline --folder . --output docs/timeline`
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from contrastseg.files import atomic_path

KINDS = ("data", "train", "predict", "score", "tables and figures")
COLOURS = dict(zip(KINDS, ("#6B7280", "#0072B2", "#E69F00", "#009E73", "#CC79A7"), strict=True))
_KIND_OF = {
    **dict.fromkeys(("download", "prepare", "split", "pool", "plan"), "data"),
    **{"pretrain": "train", "predict": "predict", "score": "score", "score_by_conventions": "score"},
}
COLUMNS = ("kind", "rule", "start_s", "end_s", "job")


@dataclass(frozen=True, order=True)
class Job:
    """A job with its start and end in seconds, of the clock or since the first job's start.

    Attributes:
        job: Its log file, which no other job has.
    """

    start: float
    end: float
    rule: str
    job: str

    @property
    def kind(self) -> str:
        """One of `KINDS`."""
        return "train" if self.rule.startswith("train_") else _KIND_OF.get(self.rule, KINDS[-1])


def read_jobs(folder: Path) -> list[Job]:
    """The jobs whose outputs Snakemake has records of in a folder, from the first start on, in order.

    Raises:
        SystemExit: There are none.
    """
    times: dict[tuple[str, str], tuple[float, float]] = {}
    for path in sorted((folder / ".snakemake" / "metadata").rglob("*")):
        if not path.is_file():
            continue
        record = json.loads(path.read_text())
        if record["incomplete"] or record["starttime"] is None or not record["log"]:
            continue
        key = record["rule"], record["log"][0]
        start, end = times.get(key, (record["starttime"], record["endtime"]))
        times[key] = min(start, record["starttime"]), max(end, record["endtime"])
    if not times:
        raise SystemExit(f"{folder / '.snakemake' / 'metadata'} has no record of a finished job")
    first = min(start for start, _ in times.values())
    return sorted(Job(start - first, end - first, rule, log) for (rule, log), (start, end) in times.items())


def lanes(jobs: Iterable[Job]) -> list[list[Job]]:
    """Jobs in as few rows as there were at once, none beside another in a row."""
    rows: list[list[Job]] = []
    for job in sorted(jobs):
        free = next((row for row in rows if row[-1].end <= job.start), None)
        if free is None:
            rows.append([job])
        else:
            free.append(job)
    return rows


def seconds_beside(jobs: Sequence[Job], kind: str, other: str) -> tuple[float, float]:
    """Seconds of the jobs of a kind while at least one job of another kind ran, and all their seconds."""
    merged: list[list[float]] = []
    for job in sorted(job for job in jobs if job.kind == other):
        if merged and job.start <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], job.end)
        else:
            merged.append([job.start, job.end])
    those = [job for job in jobs if job.kind == kind]
    beside = sum(max(0.0, min(job.end, end) - max(job.start, start)) for job in those for start, end in merged)
    return beside, sum(job.end - job.start for job in those)


def draw(jobs: Sequence[Job]) -> Figure:
    """A bar for each job, in rows by kind."""
    rows = [(kind, row) for kind in KINDS for row in lanes(job for job in jobs if job.kind == kind)]
    figure = Figure(figsize=(7.2, 0.9 + 0.24 * len(rows)), layout="constrained")
    axes = figure.subplots()
    for height, (kind, row) in enumerate(rows):
        bars = [(job.start, job.end - job.start) for job in row]
        axes.broken_barh(bars, (height - 0.4, 0.8), facecolors=COLOURS[kind], edgecolor="white", linewidth=0.4)
    heights = {kind: [h for h, (other, _) in enumerate(rows) if other == kind] for kind in KINDS}
    named = {kind: sum(found) / len(found) for kind, found in heights.items() if found}
    axes.set_yticks(list(named.values()), list(named))
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    axes.set_xlim(0, max(job.end for job in jobs))
    axes.set_xlabel("seconds since the first job began")
    axes.spines[["top", "right", "left"]].set_visible(False)
    return figure


def main() -> None:
    """Write the table and the picture, and say how much of scoring lay beside training."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(), help="where Snakemake ran one suite, once")
    parser.add_argument("--output", type=Path, required=True, help="the files to write, without suffix")
    given = parser.parse_args()
    jobs = read_jobs(given.folder)
    with atomic_path(given.output.with_suffix(".csv")) as temporary, open(temporary, "w", newline="") as opened:
        writer = csv.writer(opened, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows([job.kind, job.rule, f"{job.start:.2f}", f"{job.end:.2f}", job.job] for job in jobs)
    figure = draw(jobs)
    for suffix, metadata in {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}.items():
        with atomic_path(given.output.with_suffix(f".{suffix}")) as temporary:
            figure.savefig(temporary, format=suffix, dpi=120, metadata=metadata, facecolor="white")
    print(f"{len(jobs)} jobs in {max(job.end for job in jobs):.0f} s")
    for kind in ("predict", "score"):
        beside, whole = seconds_beside(jobs, kind, "train")
        print(f"{kind}: {beside:.1f} of {whole:.1f} s while a run trained")


if __name__ == "__main__":
    main()
