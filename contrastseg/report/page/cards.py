"""What the page says of data sets, methods and runs, as plain values for its template."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from contrastseg.report.content.labels import budget_order, budget_short, budget_title, in_order, provenances
from contrastseg.report.content.report_data import Material
from contrastseg.report.content.run_keys import run_key
from contrastseg.report.content.suite_info import Facts
from contrastseg.report.tables import footnotes

NOT_APPLICABLE = "not applicable"


def dataset_cards(material: Material) -> list[dict[str, Any]]:
    """The data cards; a data set that was scored and whose card was left behind says so."""
    known = [str(info.get("entry")) for info in material.infos]
    scored = dict.fromkeys(material.summary["dataset"].astype(str)) if len(material.summary) else {}
    absent = in_order([name for name in scored if name not in known], material.facts.datasets)
    left = "left behind where the data was prepared"
    return [
        *(_dataset_card(info, material.facts) for info in material.infos),
        *({"title": name, "entry": name, "lines": [("Data card", [left])]} for name in absent),
    ]


def _dataset_card(info: Mapping[str, Any], facts: Facts) -> dict[str, Any]:
    """One data card: its title and the lines under it."""
    entry = facts.entry(str(info.get("entry", "")))
    split = f"{entry.split_name} ({entry.split_hash})" if entry.split_hash else ""
    present = ", ".join(f"{count} {part}" for part, count in entry.present.items() if count)
    lines = {
        "Data set": info.get("dataset"),
        "Modality": info.get("modality"),
        "Stored as": f"{info.get('spatial_dims')}D, channels {', '.join(map(str, info.get('channels') or ()))}",
        "Classes": ", ".join(map(str, info.get("classes") or ())),
        "Distances in": info.get("unit"),
        "Split": f"{split}{': ' if split and present else ''}{present}",
        "Split from": entry.split_source,
        "Subset": entry.subset_note(),
        "Preparation": _settings(info.get("preparation") or {}),
        "Source": _settings(info.get("source") or {}),
        "Licence": info.get("licence"),
        "Citation": info.get("citation"),
        "Notes": " ".join(map(str, info.get("notes") or ())),
    }
    return {
        "title": str(info.get("title") or info.get("entry")),
        "entry": str(info.get("entry")),
        "lines": [(name, value if isinstance(value, list) else [str(value)]) for name, value in lines.items() if value],
    }


def _settings(values: Mapping[str, Any]) -> list[str]:
    """A line for each setting that has a value."""
    lines = [(name, plain_value(value)) for name, value in values.items()]
    return [f"{_plain_name(name)}: {text}" for name, text in lines if text]


def _plain_name(name: Any) -> str:
    return str(name).replace("_", " ")


def plain_value(value: Any) -> str:
    """A value as a reader would write it, whatever Python calls it: yes and no, lists with commas, settings by name."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, Mapping):
        parts = [(_plain_name(name), plain_value(one)) for name, one in value.items()]
        return ", ".join(f"{name} {text}" for name, text in parts if text)
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        return str(value)
    texts = [plain_value(one) for one in value]
    nested = any(isinstance(one, Mapping) for one in value)
    return ("; " if nested else ", ").join(text for text in texts if text)


def method_cards(material: Material) -> list[dict[str, Any]]:
    """One card per method, with the variants and the settings they ran with."""
    known = provenances(material.cards)
    runs = {str(run["method"]): run for run in reversed(material.cards)}
    cards = []
    for name in material.method_order(list(runs)):
        card = runs[name].get("card") or {}
        cards.append(
            {
                "label": material.label(name, "default"),
                "provenance": known.get(name, "unknown"),
                "title": str(card.get("title") or name),
                "paper": str(card.get("paper") or ""),
                "doi": str(card.get("doi") or ""),
                "summary": str(card.get("summary") or ""),
                "differs": [str(line) for line in card.get("differs") or ()],
                "options": {str(key): str(value) for key, value in (card.get("options") or {}).items()},
            }
        )
    return cards


def skipped_pairs(material: Material) -> list[dict[str, Any]]:
    """The combinations that do not apply or were not run in full; those of one reason and the same budgets together."""
    cells: dict[tuple[str, str, str], dict[tuple[str, str], list[str]]] = {}
    for item in material.skipped:
        state = str(item.get("state") or NOT_APPLICABLE)
        pair = str(item["method"]), str(item.get("variant") or "default")
        place = str(item["dataset"]), state, str(item["reason"])
        cells.setdefault(place, {}).setdefault(pair, []).append(str(item["labels"]))
    rows = []
    for (dataset, state, reason), budgets in cells.items():
        together: dict[tuple[str, ...], list[tuple[str, str]]] = {}
        for pair, labels in budgets.items():
            together.setdefault(tuple(sorted(set(labels), key=budget_order)), []).append(pair)
        for shared, pairs in together.items():
            rows.append(
                {
                    "dataset": material.dataset_title(dataset),
                    "methods": [material.label(*pair) for pair in pairs],
                    "every": len(pairs) > 1 and set(pairs) >= _pairs_of(material, dataset),
                    "labels": _budgets(shared),
                    "order": budget_number(shared[0]),
                    "state": state,
                    "reason": reason,
                }
            )
    return rows


def _budgets(labels: Sequence[str]) -> str:
    """Such as "1, 3, 7 labelled patients"; ratios one by one."""
    if len(labels) > 1 and all(budget_order(one)[0] == 0 for one in labels):
        return f"{', '.join(budget_short(one) for one in labels)} labelled patients"
    return ", ".join(budget_title(one) for one in labels)


def _pairs_of(material: Material, dataset: str) -> set[tuple[str, str]]:
    """The methods and variants that the suite has on a data set, scored or not."""
    found = {
        (str(item["method"]), str(item.get("variant") or "default"))
        for item in material.skipped
        if item["dataset"] == dataset
    }
    if len(material.summary):
        rows = material.summary[material.summary["dataset"] == dataset]
        found |= set(zip(rows["method"].astype(str), rows["variant"].astype(str), strict=True))
    return found


def budget_number(labels: str) -> float:
    """A number to sort budgets by: counts before ratios, small before large."""
    kind, value = budget_order(labels)
    return 1e9 * kind + value


def hole_lines(material: Material) -> list[str]:
    """The predictions that are missing, by name."""
    if not len(material.summary):
        return []
    means = material.summary[material.summary["class"] == "mean"]
    return [
        f"{material.dataset_title(dataset)}: {name}"
        for (dataset, _, _), part in material.places(means)
        for name in [*footnotes.holes(part, material), *footnotes.without_rows(part, material)]
    ]


def device(run: Mapping[str, Any]) -> str:
    """What a run ran on; of a CPU the instruction set too, where the run recorded it."""
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


def run_line(run: Mapping[str, Any], material: Material) -> dict[str, Any]:
    """One line of the table of runs; numbers stay numbers, for sorting."""
    return {
        "key": run_key(run),
        "label": material.label(str(run["method"]), str(run["variant"])),
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
        "peak_mib": None if run.get("peak_memory_bytes") is None else float(run["peak_memory_bytes"]) / 2**20,
        "parameters": run.get("parameters"),
        "commit": str(run.get("git_commit") or "")[:12],
        "fingerprint": str(run.get("fingerprint") or ""),
    }


def version_lines(cards: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Every version that occurs of each package, one line each."""
    found: dict[str, dict[str, None]] = {}
    for run in cards:
        for name, version in (run.get("versions") or {}).items():
            found.setdefault(str(name), {}).setdefault(str(version))
    return [(name, ", ".join(versions)) for name, versions in sorted(found.items())]
