"""collect, compare, tabulate, plot, report: from scores on disk to a page, in seconds, without a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from contrastseg.cli.shared import RESOURCES, existing, print_json, read_config, validated

if TYPE_CHECKING:
    import pandas as pd

    from contrastseg.report.facts import Facts
    from contrastseg.report.settings import FigureSettings, TableSettings

RESULTS = typer.Option(..., help="Folder of a suite's results, such as results/demo.")
# What pandas must not take for numbers or for missing values: a class may be called "NA", a budget "n7".
_TEXT = {"dataset", "evaluated_on", "checkpoint", "labels", "method", "variant", "class", "metric", "unit"}
_TEXT |= {"interval_kind", "holes_named", "reference", "family", "verdict", "direction"}


def collect(
    results: Path = RESULTS,
    conventions: bool = typer.Option(
        False, "--conventions", help="The scores by convention instead, into conventions.parquet."
    ),
) -> None:
    """Put the scores of all runs of the plan into one table, and their run cards into one file.

    Example: `contrastseg collect --results results/demo`
    """
    from contrastseg.evaluation.collect import AXES, COLUMNS, CONVENTION_COLUMNS, write_table
    from contrastseg.evaluation.collect import collect as collect_scores
    from contrastseg.files import read_json, write_json

    plan = _plan(results)
    cards = {run["folder"]: read_json(_of_run(results / run["folder"] / "run.json")) for run in plan["runs"]}
    rows = []
    for item in plan["evaluations"]:
        card = cards[item["folder"]]
        axes = {**card, **item, "split": card["split_name"], "labelled_patients": card["labelled_count"]}
        name = f"{item['checkpoint']}.conventions.csv" if conventions else f"{item['checkpoint']}.csv"
        path = results / item["folder"] / "scores" / item["evaluated_on"] / name
        rows.append(({name: axes[name] for name in AXES}, path))
    table = results / ("conventions.parquet" if conventions else "scores.parquet")
    write_table(collect_scores(rows, CONVENTION_COLUMNS if conventions else COLUMNS), table)
    if not conventions:
        write_json(results / "cards.json", list(cards.values()))
    typer.echo(str(table))


def compare(
    results: Path = RESULTS,
    config: str | None = typer.Option(None, help="Comparison settings: YAML or JSON file, or JSON text."),
    as_json: bool = typer.Option(False, "--json", help="Print the comparisons as JSON."),
) -> None:
    """Summarise the scores and test every method against the reference, patient by patient.

    Example: `contrastseg compare --results results/demo --config '{"reference": "supervised"}'`
    """
    from contrastseg.evaluation.collect import read_table
    from contrastseg.evaluation.settings import ComparisonSettings
    from contrastseg.evaluation.statistics import compare as compare_scores
    from contrastseg.evaluation.statistics import summarise
    from contrastseg.files import write_text

    settings = validated(ComparisonSettings, read_config(config))
    scores = read_table(results / "scores.parquet")
    chosen = (settings.reference, settings.metrics, settings.alpha, settings.family)
    comparisons = compare_scores(scores, *chosen)
    write_text(results / "comparisons.csv", comparisons.to_csv(index=False))
    write_text(results / "summary.csv", summarise(scores, settings.alpha).to_csv(index=False))
    if as_json:
        return print_json(comparisons.to_dict("records"))
    typer.echo(str(results / "comparisons.csv"))


def tabulate(
    results: Path = RESULTS,
    config: str | None = typer.Option(None, help="Settings of one table (file or JSON); the usual ones without."),
    resources: Path = RESOURCES,
) -> None:
    """Write tables as CSV, Markdown and LaTeX.

    Example: `contrastseg tabulate --results results/demo --config '{"name": "main", "metrics": ["dice"]}'`
    """
    from contrastseg.report.settings import TableSettings, default_tables
    from contrastseg.report.tables import make_tables

    plan = _plan(results)
    usual = default_tables(_several_conventions(plan))
    settings = usual if config is None else [validated(TableSettings, read_config(config))]
    frames = _frame(results / "summary.csv"), _frame(results / "comparisons.csv")
    material = _cards(results), _infos(plan, resources), plan["skipped"]
    ranks = _ranks(plan, results, settings)
    for path in make_tables(*frames, *material, settings, _facts(plan, resources), results / "tables", ranks):
        typer.echo(str(path))


def plot(
    results: Path = RESULTS,
    config: str | None = typer.Option(None, help="Settings of one figure (file or JSON); the usual ones without."),
    resources: Path = RESOURCES,
) -> None:
    """Draw figures as SVG and PNG.

    Example: `contrastseg plot --results results/demo --config '{"name": "box", "kind": "box"}'`
    """
    import pandas as pd

    from contrastseg.evaluation.collect import read_table
    from contrastseg.report.figures import make_figures
    from contrastseg.report.overlays import load_overlays
    from contrastseg.report.runs import run_key
    from contrastseg.report.settings import FigureSettings, default_figures

    plan = _plan(results)
    usual = default_figures(_several_conventions(plan))
    settings = usual if config is None else [validated(FigureSettings, read_config(config))]
    folders = {run_key(run): results / run["folder"] for run in plan["runs"]}
    logs = {}
    if any(figure.kind == "learning_curves" for figure in settings):
        logs = {key: pd.read_csv(_of_run(folder / "log.csv")) for key, folder in folders.items()}
    scores = read_table(results / "scores.parquet")
    prepared = {entry: resources / "prepared" / entry for entry in _entries(plan)}
    overlays = load_overlays(scores, prepared, folders, settings)
    summary, infos, facts = _frame(results / "summary.csv"), _infos(plan, resources), _facts(plan, resources)
    cards, folder = _cards(results), results / "figures"
    ranks = _ranks(plan, results, settings)
    for path in make_figures(scores, summary, cards, logs, overlays, settings, folder, infos, facts, ranks):
        typer.echo(str(path))


def report(
    results: Path = RESULTS,
    config: str | None = typer.Option(None, help="`tables` and `figures` to show: YAML or JSON file, or JSON text."),
    resources: Path = RESOURCES,
) -> None:
    """Write report.html: everything on one page that opens offline.

    Example: `contrastseg report --results results/demo`
    """
    from contrastseg.report.page import make_report
    from contrastseg.report.settings import FigureSettings, TableSettings, default_figures, default_tables

    given, plan = read_config(config), _plan(results)
    several = _several_conventions(plan)
    tables = [validated(TableSettings, item) for item in given.get("tables", [])] if given else default_tables(several)
    drawn = [validated(FigureSettings, item) for item in given.get("figures", [])]
    figures = drawn if given else default_figures(several)
    frames = _frame(results / "summary.csv"), _frame(results / "comparisons.csv")
    material = _cards(results), _infos(plan, resources), plan["skipped"]
    facts, page = _facts(plan, resources), results / "report.html"
    ranks = _ranks(plan, results, tables)
    typer.echo(str(make_report(*frames, *material, tables, figures, results / "figures", facts, page, ranks)))


def _plan(results: Path) -> dict[str, Any]:
    from contrastseg.files import read_json

    path = existing(
        results / "plan.json", "plan", f"run `contrastseg plan SUITE --output {results / 'plan.json'}` first"
    )
    plan: dict[str, Any] = read_json(path)
    return plan


def _of_run(path: Path) -> Path:
    return existing(path, "record of a run of the plan", "run `contrastseg train` for it, or the workflow")


def _cards(results: Path) -> list[dict[str, Any]]:
    from contrastseg.files import read_json

    cards: list[dict[str, Any]] = read_json(
        existing(results / "cards.json", "run cards", "run `contrastseg collect` first")
    )
    return cards


def _frame(path: Path) -> pd.DataFrame:
    """A CSV of `compare`, text as text."""
    import pandas as pd

    existing(path, "summary of the scores", "run `contrastseg compare` first")
    columns = pd.read_csv(path, nrows=0).columns
    text = {name: str for name in columns if name in _TEXT}
    numbers = {name: ["", "nan"] for name in columns if name not in _TEXT}
    return pd.read_csv(path, dtype=text, keep_default_na=False, na_values=numbers)


def _several_conventions(plan: dict[str, Any]) -> bool:
    return bool(plan["suite"]["evaluation"].get("also_conventions"))


def _ranks(plan: dict[str, Any], results: Path, drawings: Sequence[TableSettings | FigureSettings]) -> pd.DataFrame:
    """Ranks by convention, where a table or a figure shows them; else nothing."""
    import pandas as pd

    if not any(drawing.kind == "conventions" for drawing in drawings):
        return pd.DataFrame()
    from contrastseg.evaluation.collect import CONVENTION_COLUMNS, read_table
    from contrastseg.evaluation.convention_ranks import convention_ranks

    path = existing(
        results / "conventions.parquet", "scores by convention", "run `contrastseg collect --conventions` first"
    )
    return convention_ranks(read_table(path, CONVENTION_COLUMNS), plan["suite"]["evaluation"]["convention"])


def _entries(plan: dict[str, Any]) -> Sequence[str]:
    return [entry["name"] for entry in plan["suite"]["datasets"] if entry["name"] not in plan["unavailable"]]


def _infos(plan: dict[str, Any], resources: Path) -> list[dict[str, Any]]:
    from contrastseg.files import read_json

    remedy = "run `contrastseg prepare` first"
    files = [resources / "prepared" / entry / "dataset.json" for entry in _entries(plan)]
    return [read_json(existing(file, "prepared data set", remedy)) for file in files]


def _facts(plan: dict[str, Any], resources: Path) -> Facts:
    from contrastseg.files import read_json
    from contrastseg.report.facts import gather_facts

    remedy = "run `contrastseg split` first"
    files = [resources / "splits" / f"{entry}.json" for entry in _entries(plan)]
    return gather_facts(plan["suite"], [read_json(existing(file, "split", remedy)) for file in files])


COMMANDS = (collect, compare, tabulate, plot, report)
