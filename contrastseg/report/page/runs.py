"""The table of runs on the page, and the versions they were made with, as plain values for the template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from contrastseg.report.content.labels import budget_order, is_external
from contrastseg.report.content.report_data import ReportData
from contrastseg.report.content.run_keys import run_key


def budget_number(labels: str) -> float:
    """A number to sort budgets by: counts before ratios, small before large."""
    kind, value = budget_order(labels)
    return 1e9 * kind + value


def device(run: Mapping[str, Any]) -> str:
    """What a run ran on; of a CPU the instruction set too, where the run recorded it; entered ones ran elsewhere."""
    if is_external(run):
        return "external"
    hardware = run.get("hardware") or {}
    name = str(hardware.get("device") or "unknown device")
    if name != "cpu":
        return name
    parts = [str(hardware.get("cpu") or "CPU"), f"{hardware.get('cpu_count', '?')} cores"]
    if hardware.get("cpu_capability"):
        parts.append(str(hardware["cpu_capability"]))
    if hardware.get("onednn_max_cpu_isa"):
        parts.append(f"oneDNN up to {hardware['onednn_max_cpu_isa']}")
    return ", ".join(parts)


def run_line(run: Mapping[str, Any], data: ReportData) -> dict[str, Any]:
    """One line of the table of runs; numbers stay numbers, for sorting."""
    return {
        "key": run_key(run),
        "label": data.label(str(run["method"]), str(run["variant"])),
        "pair": (str(run["method"]), str(run["variant"])),
        "dataset": str(run["dataset"]),
        "labels": str(run["labels"]),
        "order": budget_number(str(run["labels"])),
        "run": f"draw {run['draw']}, fold {run['fold']}, seed {run['seed']}",
        "device": device(run),
        "precision": str(run.get("precision") or ""),
        "steps": run.get("steps"),
        "ms_per_step": None if run.get("seconds_per_step") is None else 1000 * float(run["seconds_per_step"]),
        "wall_s": run.get("wall_s"),
        "cpu_s": run.get("cpu_s"),
        "peak_mib": None if run.get("peak_memory_bytes") is None else float(run["peak_memory_bytes"]) / 2**20,
        "parameters": run.get("parameters"),
        "commit": str(run.get("git_commit") or "")[:12],
        "fingerprint": str(run.get("fingerprint") or ""),
    }


def version_lines(runs: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Every version that occurs of each package, one line each."""
    versions_of: dict[str, dict[str, None]] = {}
    for run in runs:
        for name, version in (run.get("versions") or {}).items():
            versions_of.setdefault(str(name), {}).setdefault(str(version))
    return [(name, ", ".join(versions)) for name, versions in sorted(versions_of.items())]
