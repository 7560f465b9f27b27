"""The results folder of `make gpu`: CSV files, and one record of what was done, when, and with what outcome."""

from __future__ import annotations

import csv
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from _results import results_path, write

from contrastseg.files import read_json, write_json

Row = Mapping[str, Any]


class Results:
    """The files of one machine in a folder; their names end in the hardware's.

    Args:
        folder: Where they lie; made if needed.
        device: `cuda` or `cpu`.
    """

    def __init__(self, folder: Path, device: str) -> None:
        self.folder = folder
        self.device = device
        folder.mkdir(parents=True, exist_ok=True)
        self.machine = results_path(folder, "record", device).stem.removeprefix("record-")
        found = read_json(self._record) if self._record.is_file() else {}
        self.items: dict[str, dict[str, Any]] = found.get("items", {})
        """By item: `status`, `note`, `last_s`, `total_s`, `finished`, `commit`."""
        self.tests: list[dict[str, Any]] = found.get("tests", [])
        self.cards: dict[str, dict[str, Any]] = found.get("cards", {})
        """By method, its run's `run.json` with a field `pack`."""

    @property
    def _record(self) -> Path:
        return self.folder / f"record-{self.machine}.json"

    def save(self, machine: Mapping[str, Any]) -> None:
        """Write the record; `machine` is the hardware as `run.json` has it."""
        content = {"machine": dict(machine), "items": self.items, "tests": self.tests, "cards": self.cards}
        write_json(self._record, content)

    def add(self, benchmark: str, rows: Sequence[Row], keys: Sequence[str]) -> None:
        """Add rows to a benchmark's CSV; those there with the same values of the keys go. No keys: all go."""
        file = self.folder / f"{benchmark}-{self.machine}.csv"
        fresh = {_key(row, keys) for row in rows}
        kept = [row for row in read_rows(file) if keys and _key(row, keys) not in fresh] if file.is_file() else []
        columns = list(dict.fromkeys(name for row in [*rows, *kept] for name in row))
        write(file, columns, [*kept, *rows])

    def files(self) -> list[Path]:
        """Every file of this machine."""
        return sorted(self.folder.glob(f"*-{self.machine}.*"))


def _key(row: Row, keys: Iterable[str]) -> tuple[str, ...]:
    return tuple(str(row[key]) for key in keys)


def read_rows(file: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with open(file, newline="", encoding="utf-8") as opened:
        return list(csv.DictReader(opened))


def read_tests(file: Path) -> list[dict[str, Any]]:
    """A row per test of a JUnit file: `test`, `outcome` (`passed`, `failed`, `skipped`), `seconds`, `message`."""
    rows = []
    for case in ElementTree.parse(file).getroot().iter("testcase"):
        outcome, message = "passed", ""
        for kind, name in (("failure", "failed"), ("error", "failed"), ("skipped", "skipped")):
            if (said := case.find(kind)) is not None:
                outcome, message = name, (said.get("message") or "")[:300]
        properties = [f"{one.get('name')}: {one.get('value')}" for one in case.iter("property")]
        message = "; ".join([*filter(None, [message]), *properties])
        name = f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name')}"
        rows.append({"test": name, "outcome": outcome, "seconds": float(case.get("time", 0)), "message": message})
    return rows


def counted(tests: Sequence[Mapping[str, Any]]) -> str:
    """`40 passed, 2 skipped`."""
    outcomes = [str(test["outcome"]) for test in tests]
    return ", ".join(f"{outcomes.count(name)} {name}" for name in ("passed", "failed", "skipped") if name in outcomes)


def last_lines(log: Path) -> str:
    """The last three lines of a script that failed."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return " / ".join(lines[-3:])[-300:] or "it said nothing"
