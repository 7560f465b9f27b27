"""`report.html`: one file that opens offline and holds everything a reader needs to judge the numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from contrastseg.files import write_text
from contrastseg.report import notes
from contrastseg.report.facts import Facts
from contrastseg.report.figure_scores import styles_of
from contrastseg.report.figure_style import MethodStyle
from contrastseg.report.figures import CAPTIONS
from contrastseg.report.naming import (
    PROVENANCE,
    budget_order,
    budget_title,
    in_order,
    plural,
    provenances,
    split_reference,
)
from contrastseg.report.policy import policy_paragraphs
from contrastseg.report.runs import run_key
from contrastseg.report.sentences import overview_sentences
from contrastseg.report.settings import FigureSettings, TableSettings
from contrastseg.report.svg import inline_svg
from contrastseg.report.table_model import Material
from contrastseg.report.tables import build_tables

TEMPLATES = Path(__file__).parent / "templates"


def make_report(
    summary: pd.DataFrame,
    comparisons: pd.DataFrame,
    cards: Sequence[Mapping[str, Any]],
    infos: Sequence[Mapping[str, Any]],
    skipped: Sequence[Mapping[str, Any]],
    tables: Sequence[TableSettings],
    figures: Sequence[FigureSettings],
    figures_folder: str | Path,
    facts: Facts,
    path: str | Path,
    conventions: pd.DataFrame | None = None,
) -> Path:
    """Write the report.

    Args:
        summary: What the tables are made from (`evaluation.statistics.summarise`).
        comparisons: The tests (`evaluation.statistics.compare`).
        cards: The `run.json` of the runs.
        infos: The `dataset.json` of the entries.
        skipped: `{dataset, method, labels, reason}` of the pairs that do not apply.
        tables: The tables to show; the first of kind `main` is the headline.
        figures: The figures to show.
        figures_folder: Where `make_figures` wrote them.
        facts: Splits, subsets, convention and order (`facts.gather_facts`).
        path: The file to write.
        conventions: Ranks by convention (`evaluation.convention_ranks`), where a suite scores by several.

    Returns:
        The file written.
    """
    ranks = pd.DataFrame() if conventions is None else conventions
    material = Material(summary, comparisons, cards, infos, skipped, facts, ranks)
    built = build_tables(material, tables)
    headline = next((table for table in built if table.kind == "main"), built[0] if built else None)
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    html = environment.get_template("report.html.j2").render(
        facts=facts,
        title=facts.title or facts.suite,
        css=_asset("report.css"),
        js=_asset("report.js"),
        sentences=overview_sentences(material),
        overview=_overview(material),
        headline=headline,
        tables=[table for table in built if table is not headline],
        figures=_figures(figures, Path(figures_folder)),
        styles=_styles(material),
        policy=policy_paragraphs(facts.convention),
        datasets=[_dataset(info, facts) for info in infos],
        methods=_methods(material),
        marks=list(PROVENANCE.values()),
        skipped=_skipped(material),
        holes=_holes(material),
        runs=[_run(run, material) for run in cards],
        versions=_versions(cards),
    )
    write_text(path, html)
    return Path(path)


def _asset(name: str) -> Markup:
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))


def _styles(material: Material) -> dict[tuple[str, str], MethodStyle]:
    """The style of every method and variant; a method's own card takes that of the first variant that ran."""
    styles = styles_of(material.summary, material) if len(material.summary) else {}
    first = {(method, "default"): style for (method, _), style in reversed(styles.items())}
    return first | styles


def _overview(material: Material) -> list[tuple[str, list[str]]]:
    """Heading and lines of what was compared on what."""
    facts, summary, cards = material.facts, material.summary, material.cards
    if not len(summary):
        return []
    entries = in_order(summary["dataset"].astype(str), facts.datasets)
    datasets = []
    for name in entries:
        subset = facts.entry(name).subset_note()
        datasets.append(material.dataset_title(name) + (f": {subset}" if subset else ""))
    budgets = []
    for labels in sorted(set(summary["labels"].astype(str)), key=budget_order):
        counts = {material.labelled(name, labels) for name in entries} - {None}
        budgets.append(budget_title(labels, counts.pop() if len(counts) == 1 else None))
    seeds, draws, folds = (len({run.get(axis) for run in cards}) for axis in ("seed", "draw", "fold"))
    runs = f"{len(cards)} ({plural(seeds, 'seed')}, {plural(draws, 'draw')}, {plural(folds, 'fold')})"
    devices = dict.fromkeys(_device(run) for run in cards)
    lines = [("Data", datasets), ("Labels", budgets), ("Runs", [runs, *devices])]
    if facts.reference:
        lines.append(("Reference", [material.label(*split_reference(facts.reference)).plain]))
    return [*lines, ("Scoring", [f"convention {facts.convention}, native grid, per patient"])]


def _figures(figures: Sequence[FigureSettings], folder: Path) -> list[dict[str, Any]]:
    shown = []
    for one in figures:
        file = folder / f"{one.name}.svg"
        caption = one.caption or CAPTIONS[one.kind]
        svg = inline_svg(file, f"fig-{one.name}", caption) if file.is_file() else None
        shown.append({"title": one.name.replace("_", " ").capitalize(), "caption": caption, "svg": svg})
    return shown


def _dataset(info: Mapping[str, Any], facts: Facts) -> dict[str, Any]:
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
        "lines": [(name, str(value)) for name, value in lines.items() if value],
    }


def _settings(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in values.items() if value not in (None, [], {}, ""))


def _methods(material: Material) -> list[dict[str, Any]]:
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


def _skipped(material: Material) -> list[dict[str, str]]:
    return [
        {
            "dataset": material.dataset_title(str(item["dataset"])),
            "method": material.label(str(item["method"]), str(item.get("variant") or "default")).plain,
            "labels": budget_title(str(item["labels"])),
            "reason": str(item["reason"]),
        }
        for item in material.skipped
    ]


def _holes(material: Material) -> list[str]:
    if not len(material.summary):
        return []
    means = material.summary[material.summary["class"] == "mean"]
    return [
        f"{material.dataset_title(dataset)}: {name}"
        for (dataset, _, _), part in material.places(means)
        for name in notes.holes(part, material)
    ]


def _device(run: Mapping[str, Any]) -> str:
    hardware = run.get("hardware") or {}
    device = str(hardware.get("device") or "unknown device")
    return f"{hardware.get('cpu') or 'CPU'}, {hardware.get('cpu_count', '?')} cores" if device == "cpu" else device


def _run(run: Mapping[str, Any], material: Material) -> dict[str, Any]:
    """One line of the table of runs; numbers stay numbers, for sorting."""
    return {
        "key": run_key(run),
        "label": material.label(str(run["method"]), str(run["variant"])),
        "pair": (str(run["method"]), str(run["variant"])),
        "dataset": str(run["dataset"]),
        "labels": str(run["labels"]),
        "run": f"draw {run['draw']}, fold {run['fold']}, seed {run['seed']}",
        "device": _device(run),
        "precision": str(run.get("precision") or ""),
        "steps": run.get("steps"),
        "ms_per_step": None if run.get("seconds_per_step") is None else 1000 * float(run["seconds_per_step"]),
        "wall_s": run.get("wall_s"),
        "peak_mib": None if run.get("peak_memory_bytes") is None else float(run["peak_memory_bytes"]) / 2**20,
        "parameters": run.get("parameters"),
        "commit": str(run.get("git_commit") or "")[:12],
        "fingerprint": str(run.get("fingerprint") or ""),
    }


def _versions(cards: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Every version that occurs of each package, one line each."""
    found: dict[str, dict[str, None]] = {}
    for run in cards:
        for name, version in (run.get("versions") or {}).items():
            found.setdefault(str(name), {}).setdefault(str(version))
    return [(name, ", ".join(versions)) for name, versions in sorted(found.items())]
