"""Cards of data sets and methods, and what is missing or was skipped, as plain values for the page's template."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from contrastseg.report.content.labels import budget_order, budget_short, budget_title, in_order, provenances
from contrastseg.report.content.report_data import ReportData
from contrastseg.report.content.suite_info import SuiteInfo
from contrastseg.report.page import wording
from contrastseg.report.page.runs import budget_number
from contrastseg.report.tables import footnotes


def dataset_cards(data: ReportData) -> list[dict[str, Any]]:
    """The data cards; a data set that was scored and whose card was left behind says so."""
    known = [str(info.get("entry")) for info in data.infos]
    scored = dict.fromkeys(data.summary["dataset"].astype(str)) if len(data.summary) else {}
    absent = in_order([name for name in scored if name not in known], data.suite.datasets)
    return [
        *(_dataset_card(info, data.suite) for info in data.infos),
        *({"title": name, "entry": name, "lines": [("Data card", [wording.CARD_LEFT_BEHIND])]} for name in absent),
    ]


def _dataset_card(info: Mapping[str, Any], suite: SuiteInfo) -> dict[str, Any]:
    """One data card: its title and the lines under it."""
    entry = suite.entry(str(info.get("entry", "")))
    split = f"{entry.split_name} ({entry.split_hash})" if entry.split_hash else ""
    present = ", ".join(f"{count} {subset}" for subset, count in entry.present.items() if count)
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
        parts = [(_plain_name(name), plain_value(inner)) for name, inner in value.items()]
        return ", ".join(f"{name} {text}" for name, text in parts if text)
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        return str(value)
    texts = [plain_value(item) for item in value]
    nested = any(isinstance(item, Mapping) for item in value)
    return ("; " if nested else ", ").join(text for text in texts if text)


def method_cards(data: ReportData) -> list[dict[str, Any]]:
    """One card per method, with the variants and the settings they ran with."""
    known = provenances(data.runs)
    runs = {str(run["method"]): run for run in reversed(data.runs)}
    cards = []
    for name in data.method_order(list(runs)):
        card = runs[name].get("card") or {}
        cards.append(
            {
                "label": data.label(name, "default"),
                "provenance": known.get(name, "unknown"),
                "title": str(card.get("title") or name),
                "paper": str(card.get("paper") or ""),
                "doi": str(card.get("doi") or ""),
                "summary": str(card.get("summary") or ""),
                "steps": _steps(data, name),
                "differs": [str(line) for line in card.get("differs") or ()],
                "options": {str(key): str(value) for key, value in (card.get("options") or {}).items()},
            }
        )
    return cards


def _steps(data: ReportData, method: str) -> list[str]:
    """The totals of a method's steps, stage by stage, on each data set."""
    return [
        wording.steps_of_stages(
            data.label(method, str(item["variant"])).name,
            data.dataset_title(str(item["dataset"])),
            int(item["total"]),
            {str(stage): int(steps) for stage, steps in item["stages"].items()},
            str(item["as_long_as"]),
        )
        for item in data.suite.step_totals
        if item["method"] == method
    ]


def skipped_combinations(data: ReportData) -> list[dict[str, Any]]:
    """The combinations that do not apply or were not run in full; those of one reason and the same budgets together."""
    cells: dict[tuple[str, str, str], dict[tuple[str, str], list[str]]] = {}
    for item in data.skipped:
        state = str(item.get("state") or wording.NOT_APPLICABLE)
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
                    "dataset": data.dataset_title(dataset),
                    "methods": [data.label(*pair) for pair in pairs],
                    "every": len(pairs) > 1 and set(pairs) >= _pairs_of(data, dataset),
                    "labels": _budgets(shared),
                    "order": budget_number(shared[0]),
                    "state": state,
                    "reason": reason,
                }
            )
    return rows


def _budgets(labels: Sequence[str]) -> str:
    """Such as "1, 3, 7 labelled patients"; ratios one by one."""
    if len(labels) > 1 and all(budget_order(name)[0] == 0 for name in labels):
        return f"{', '.join(budget_short(name) for name in labels)} labelled patients"
    return ", ".join(budget_title(name) for name in labels)


def _pairs_of(data: ReportData, dataset: str) -> set[tuple[str, str]]:
    """The methods and variants that the suite has on a data set, scored or not."""
    pairs = {
        (str(item["method"]), str(item.get("variant") or "default"))
        for item in data.skipped
        if item["dataset"] == dataset
    }
    if len(data.summary):
        rows = data.summary[data.summary["dataset"] == dataset]
        pairs |= set(zip(rows["method"].astype(str), rows["variant"].astype(str), strict=True))
    return pairs


def missing_prediction_lines(data: ReportData) -> list[str]:
    """The predictions that are missing, by name."""
    if not len(data.summary):
        return []
    means = data.summary[data.summary["class"] == "mean"]
    return [
        f"{data.dataset_title(dataset)}: {name}"
        for (dataset, _, _), rows in data.places(means)
        for name in [*footnotes.missing_predictions(rows, data), *footnotes.missing_scores(rows, data)]
    ]
