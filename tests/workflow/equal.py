"""Whether two folders of results hold the same: what was computed byte for byte, what was measured not at all."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

# Times, places and process ids stand in these; their other content is compared.
CARDS = ("run.json", "cards.json")
MEASURED = {
    *("started", "finished", "wall_s", "seconds_per_step", "peak_memory_bytes", "hardware", "git_commit"),
    *("device_uuid", "residency", "stages_wall_s", "cpu_s", "stages_cpu_s"),
}
LEFT_OUT = ("*.log", "*.pdf", "cost.*")  # matplotlib writes the time of day into a PDF; costs are measured
TEMPORARY = re.compile(r"\.\d+\.(.+)")


def files(folder: Path) -> dict[str, Path]:
    """What lies in a folder of results, by its place: no logs and nothing hidden."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    kept = (path for path in found if not any(map(path.match, LEFT_OUT)) and "tensorboard" not in path.parts)
    return {str(path.relative_to(folder)): path for path in kept if not path.name.startswith(".")}


def left_behind(folder: Path) -> list[str]:
    """Names of half-written files of processes that were killed, without the process id."""
    return sorted(TEMPORARY.sub(r"\1", path.name) for path in folder.rglob(".*") if TEMPORARY.fullmatch(path.name))


def differences(one: Path, other: Path) -> list[str]:
    """The places where two folders of results differ."""
    ones, others = files(one), files(other)
    lacking = sorted(ones.keys() ^ others.keys())
    return lacking + [name for name in ones.keys() & others.keys() if _content(ones[name]) != _content(others[name])]


def _content(path: Path) -> Any:
    if path.name in CARDS:
        return _without(json.loads(path.read_text(encoding="utf-8")))
    if path.name == "log.csv":
        with open(path, encoding="utf-8") as file:
            return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)]
    if path.name == "report.html":  # it shows costs and the commit; other numbers and figures have files of their own
        return re.sub(r"(?s)<svg.*?</svg>|<code>[0-9a-f]+</code>|[\d.]+", "", path.read_text(encoding="utf-8"))
    return path.read_bytes()


def _without(value: Any) -> Any:
    if isinstance(value, list):
        return [_without(item) for item in value]
    if isinstance(value, dict):
        return {name: _without(item) for name, item in value.items() if name not in MEASURED}
    return value
