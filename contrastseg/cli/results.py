"""collect, compare, tabulate, plot, slices, report: from scores on disk to a page, in seconds, without a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from contrastseg.checkpoint_names import LAST, ORACLE, SNAPSHOTS
from contrastseg.cli.collected import SNAPSHOT_SCORES, write_conventions, write_selection, write_snapshots
from contrastseg.cli.entered_rows import comparable_evaluations
from contrastseg.cli.shared import RESOURCES, print_json, read_config, validated
from contrastseg.evaluation.scoring.predictions import INDEX, SNAPSHOT_INDEX
from contrastseg.files import require_path
from contrastseg.paths import ENTERED, SCORES
from contrastseg.paths import RESOURCES as RESOURCES_FOLDER
from contrastseg.report.content.results_folder import ResultsFolder, of_run

if TYPE_CHECKING:
    import pandas as pd

    from contrastseg.evaluation.settings import ComparisonSettings
    from contrastseg.report.settings import FigureSettings, TableSettings

RESULTS = typer.Option(..., help="Folder of a suite's results, such as results/demo.")
UNFINISHED = "unfinished"


def collect(
    results: Path = RESULTS,
    resources: Path = RESOURCES,
    conventions: bool = typer.Option(
        False, "--conventions", help="Collect the scores by convention instead, with the ranks of the methods."
    ),
    snapshots: bool = typer.Option(
        False,
        "--snapshots",
        help="Collect the Dice of all snapshots instead, with what selection on the test cases is worth.",
    ),
    alpha: float = typer.Option(0.05, min=0, max=1, help="One minus the coverage of intervals of --snapshots."),
    partial: bool = typer.Option(
        False,
        "--partial",
        help="Skip pending and failed runs and write to `unfinished` in the folder. Tables and page there list them.",
    ),
) -> None:
    """Collect the scores of all runs in one table, and the records of runs and data in files beside it.

    Example: `contrastseg collect --results results/demo`
    """
    import shutil

    from contrastseg.evaluation.scoring.collect import AXES, write_table
    from contrastseg.evaluation.scoring.collect import collect as collect_scores
    from contrastseg.files import read_json, write_json

    results_folder = ResultsFolder(results, resources)
    plan = results_folder.plan
    folders = [run["folder"] for run in plan["runs"]]
    if partial:
        folders = [folder for folder in folders if (results / folder / "run.json").is_file()]
    cards = {folder: read_json(of_run(results / folder / "run.json")) for folder in folders}
    planned = comparable_evaluations(results_folder, cards)
    if conventions:
        planned = [item for item in planned if item["checkpoint"] != ORACLE]
    elif snapshots:
        planned = plan.get("selections", [])
    rows = []
    for item in planned:
        if partial and item["folder"] not in cards:
            continue
        card = cards[item["folder"]]
        axes = {**card, **item, "split": card["split_name"], "labelled_patients": card["labelled_count"]}
        name = f"{item['checkpoint']}.conventions.csv" if conventions else f"{item['checkpoint']}.csv"
        path = results / item["folder"] / "scores" / item["evaluated_on"] / name
        if not partial or _up_to_date(path):
            rows.append(({name: axes[name] for name in AXES}, path))
    if absent := len(planned) - len(rows):
        typer.echo(f"{absent} of {len(planned)} evaluations are pending", err=True)
    # Elsewhere, or the workflow, which finds all that it was to make, would take a part for the whole.
    target = results / UNFINISHED if partial else results
    if conventions:
        return write_conventions(target, rows, plan["suite"]["evaluation"]["convention"], results_folder.draws)
    if snapshots:
        return write_snapshots(target, rows, alpha, results_folder.draws)
    if partial:
        write_json(target / "plan.json", plan)
        for name in ("runs", ENTERED):  # logs, predictions
            if (results / name).is_dir() and not (target / name).is_symlink():
                (target / name).symlink_to(Path("..") / name)
    else:
        shutil.rmtree(results / UNFINISHED, ignore_errors=True)
    write_table(collect_scores(rows), target / SCORES)
    write_json(target / "cards.json", list(cards.values()))
    write_json(target / "data.json", ResultsFolder(target, resources, strict=False).data_copy())
    typer.echo(str(target / SCORES))


def _up_to_date(scores: Path) -> bool:
    """Whether scores exist and are newer than run and predictions, which may have been made again since."""
    run, predictions = scores.parents[2], scores.parents[2] / "predictions" / scores.parent.name
    checkpoint = scores.name.partition(".")[0]
    makers = [run / "run.json", predictions / checkpoint / INDEX]
    if checkpoint == SNAPSHOTS:
        makers.append(predictions / SNAPSHOT_INDEX)
    elif checkpoint == ORACLE:
        makers += [scores.with_name(f"{name}.csv") for name in (SNAPSHOTS, LAST)]
    if not scores.is_file():
        return False
    return all(maker.stat().st_mtime <= scores.stat().st_mtime for maker in makers if maker.is_file())


def compare(
    results: Path = RESULTS,
    config: str | None = typer.Option(None, help="Comparison settings: YAML or JSON file, or JSON text."),
    as_json: bool = typer.Option(False, "--json", help="Print the comparisons as JSON."),
) -> None:
    """Summarise the scores. Test every method against the baseline and each other by patient, and rank the methods.

    The output files are summary.csv, comparisons.csv, pairs.csv, rankings.csv, variance.csv and, over data sets,
    critical.csv. They are of the draws that all methods have. If some methods have further draws, draws.csv compares
    these methods over all draws.

    Example: `contrastseg compare --results results/demo --config '{"baseline": "supervised"}'`
    """
    from contrastseg.evaluation.settings import ComparisonSettings

    folder = ResultsFolder(results, RESOURCES_FOLDER, strict=False)
    comparisons = _compare(folder, validated(ComparisonSettings, read_config(config)))
    if as_json:
        return print_json(comparisons.to_dict("records"))
    typer.echo(str(results / "comparisons.csv"))


def _compare(folder: ResultsFolder, settings: ComparisonSettings, planned: Sequence[str] = ()) -> pd.DataFrame:
    """Write the statistics. Tests are skipped while the planned baseline has no scores.

    They are of the draws that all methods have; draws.csv and the components in variance.csv are of further ones too.
    """
    import pandas as pd

    from contrastseg.evaluation.statistics import (
        DRAW_COLUMNS,
        critical_table,
        draw_table,
        pairwise,
        ranking_table,
        summarise,
        variance_table,
    )
    from contrastseg.evaluation.statistics import compare as compare_scores
    from contrastseg.evaluation.statistics.comparison import COMPARISON_COLUMNS
    from contrastseg.files import write_text

    scores, every, draws = folder.scores, folder.all_scores, folder.draws
    chosen = (settings.baseline, settings.metrics, settings.alpha, settings.family, settings.empty_reference)
    usual = (settings.metrics, settings.alpha, settings.empty_reference)
    method = settings.baseline.partition("/")[0]
    if method in planned and method not in set(scores["method"]):
        typer.echo(f"tests skipped: the baseline {settings.baseline} has no scores yet", err=True)
        comparisons = pd.DataFrame(columns=list(COMPARISON_COLUMNS))
        variance = variance_table(every, None, *chosen[1:], draws=draws)
        averaged = pd.DataFrame(columns=list(DRAW_COLUMNS))
    else:
        comparisons = compare_scores(scores, *chosen)
        variance = variance_table(every, *chosen, draws=draws)
        averaged = draw_table(every, [*draws, *folder.further_draws], *chosen)
    frames = {
        "comparisons": comparisons,
        "summary": summarise(scores, settings.alpha),
        "pairs": pairwise(scores, *usual),
        "rankings": ranking_table(scores, *usual),
        "critical": critical_table(scores, *usual),
        "variance": variance,
        **({"draws": averaged} if folder.further_draws else {}),
    }
    for name, frame in frames.items():
        write_text(folder.path / f"{name}.csv", frame.to_csv(index=False))
    if "draws" not in frames:
        (folder.path / "draws.csv").unlink(missing_ok=True)
    return comparisons


def tabulate(
    results: Path = RESULTS,
    config: str | None = typer.Option(
        None, help="Settings of one table: YAML or JSON file, or JSON text. Default: the default tables."
    ),
    resources: Path = RESOURCES,
) -> None:
    """Write tables as CSV, Markdown, LaTeX and HTML.

    Example: `contrastseg tabulate --results results/demo --config '{"name": "main", "metrics": ["dice"]}'`
    """
    from contrastseg.report.settings import TableSettings, default_tables

    folder = ResultsFolder(results, resources)
    usual = default_tables(
        folder.several_conventions, folder.has("selection"), folder.has("tuned"), folder.has("draws")
    )
    _tabulate(folder, usual if config is None else [validated(TableSettings, read_config(config))])


def _tabulate(folder: ResultsFolder, settings: Sequence[TableSettings]) -> None:
    from contrastseg.report.content.report_data import ReportData
    from contrastseg.report.tables.build import make_tables
    from contrastseg.report.tables.kind import frames_read

    for path in make_tables(ReportData.of(folder, frames_read(settings)), settings, folder.path / "tables"):
        typer.echo(str(path))


def plot(
    results: Path = RESULTS,
    config: str | None = typer.Option(
        None, help="Settings of one figure: YAML or JSON file, or JSON text. Default: the default figures."
    ),
    resources: Path = RESOURCES,
) -> None:
    """Draw figures as SVG, PDF and PNG.

    Example: `contrastseg plot --results results/demo --config '{"name": "box", "kind": "box"}'`
    """
    from contrastseg.report.settings import FigureSettings, default_figures

    folder = ResultsFolder(results, resources)
    usual = default_figures(folder.several_conventions)
    _plot(folder, usual if config is None else [validated(FigureSettings, read_config(config))])


def _plot(folder: ResultsFolder, settings: Sequence[FigureSettings]) -> None:
    from contrastseg.report.content.report_data import ReportData
    from contrastseg.report.figures.build import make_figures
    from contrastseg.report.figures.kind import figure_kind, frames_read
    from contrastseg.report.figures.overlay_cases import load_overlays

    logs = folder.logs() if any(figure.kind == "learning_curves" for figure in settings) else {}
    overlays = load_overlays(folder.scores, settings, prepared=folder.prepared, run_folders=folder.run_folders)
    if not folder.strict:
        # A figure that was drawn where the logs and images are is better than an empty one.
        present = {
            figure.name: logs if figure.kind == "learning_curves" else overlays.get(figure.name) for figure in settings
        }
        lacking = [figure for figure in settings if figure_kind(figure.kind).needs and not present[figure.name]]
        for figure in lacking:
            typer.echo(f"figure {figure.name} skipped: {figure_kind(figure.kind).needs} are missing", err=True)
        settings = [figure for figure in settings if figure not in lacking]
    data = ReportData.of(folder, [name for name in frames_read(settings) if folder.has(name)])
    for path in make_figures(data, settings, folder.path / "figures", logs=logs, overlays=overlays):
        typer.echo(str(path))


def slices(
    results: Path = RESULTS,
    config: str | None = typer.Option(
        None,
        help="Settings of one figure of overlays: YAML or JSON file, or JSON text. Default: default figures.",
    ),
    resources: Path = RESOURCES,
) -> None:
    """Render the slices of the volumes in overlays as small pictures for the slider of report.html.

    Example: `contrastseg slices --results results/demo`
    """
    from contrastseg.report.settings import FigureSettings, default_figures

    folder = ResultsFolder(results, resources)
    usual = default_figures(folder.several_conventions)
    _slices(folder, usual if config is None else [validated(FigureSettings, read_config(config))])


def _slices(folder: ResultsFolder, settings: Sequence[FigureSettings]) -> None:
    from contrastseg.report.page.slices import make_slices

    for path in make_slices(
        folder.scores,
        settings,
        folder.path / "figures",
        prepared=folder.prepared,
        run_folders=folder.run_folders,
        keep=not folder.strict,
    ):
        typer.echo(str(path))


def report(
    scores: Path | None = typer.Argument(
        None, help="results/<suite>/scores.parquet: remake statistics, tables, figures and page from it."
    ),
    results: Path | None = typer.Option(None, help="Folder of a suite's results: make the page only."),
    config: str | None = typer.Option(None, help="Settings `tables` and `figures`: YAML or JSON file, or JSON text."),
    suite: Path | None = typer.Option(
        None,
        help="Suite file with the settings. Default: benchmarks/<suite>.yaml, else the shipped suite of this name.",
    ),
    resources: Path = RESOURCES,
) -> None:
    """Write report.html: all results on one page that opens offline.

    With scores.parquet, the command also remakes statistics, tables and figures in seconds, without data, predictions
    or a GPU. Pictures and learning curves need other files: they stay as drawn, or the page lists them as missing.

    Example: `contrastseg report results/demo/scores.parquet`
    """
    if (scores is None) == (results is None):
        raise typer.BadParameter("give either scores.parquet or --results")
    from contrastseg.report.settings import FigureSettings, TableSettings, default_figures, default_tables

    given = read_config(config, {"tables": list, "figures": list})
    if results is not None:
        folder = ResultsFolder(results, resources)
    else:
        assert scores is not None
        path = scores / SCORES if scores.is_dir() else scores
        parent = require_path(path, "scores", "run `contrastseg collect`").parent
        folder = ResultsFolder(parent, resources, strict=False)
    further, tuned = bool(folder.further_draws), folder.has("tuned")
    tables = default_tables(folder.several_conventions, folder.has("selection"), tuned=tuned, draws=further)
    figures = default_figures(folder.several_conventions)
    if given:
        tables = [validated(TableSettings, item) for item in given.get("tables", [])]
        figures = [validated(FigureSettings, item) for item in given.get("figures", [])]
    if folder.strict:
        return _page(folder, tables, figures)
    comparison, file = folder.plan["suite"].get("comparison") or {}, suite or _suite_file(folder)
    if file is not None:
        from contrastseg.suite import load_suite

        typer.echo(f"settings: {file}", err=True)
        chosen = load_suite(file)
        comparison = chosen.comparison.model_dump()
        if not given:
            tables, figures = chosen.tables, chosen.figures
        folder = ResultsFolder(folder.path, resources, chosen.model_dump(mode="json"), strict=False)
    from contrastseg.evaluation.settings import ComparisonSettings
    from contrastseg.report.figures.kind import figure_kind
    from contrastseg.report.tables.kind import table_kind

    settings = validated(ComparisonSettings, comparison)
    if (folder.path / SNAPSHOT_SCORES).is_file():
        write_selection(folder.path, settings.alpha, folder.draws)
    planned = [method["name"] for method in folder.plan["suite"]["methods"]]
    _compare(folder, settings, planned)
    tables = [table for table in tables if all(map(folder.has, table_kind(table.kind).reads))]
    figures = [figure for figure in figures if all(map(folder.has, figure_kind(figure.kind).reads))]
    _tabulate(folder, tables)
    _plot(folder, figures)
    _slices(folder, figures)
    _page(folder, tables, figures)


def _suite_file(folder: ResultsFolder) -> Path | None:
    """The suite's file in the working directory, else the shipped suite of this name if it compares the same."""
    from contrastseg.cli.suites import shipped_suites
    from contrastseg.suite import load_suite

    name = folder.plan["suite"]["name"]
    file = Path("benchmarks") / f"{name}.yaml"
    if file.is_file():
        return file
    shipped = shipped_suites().get(name)
    if shipped is None:
        return None
    said = load_suite(shipped).model_dump(mode="json")
    same = all(_names(said[axis]) == _names(folder.plan["suite"][axis]) for axis in ("datasets", "methods"))
    return shipped if same else None


def _names(items: Sequence[dict[str, Any]]) -> list[str]:
    return [item["name"] for item in items]


def _page(folder: ResultsFolder, tables: Sequence[TableSettings], figures: Sequence[FigureSettings]) -> None:
    from contrastseg.report.content.report_data import ReportData
    from contrastseg.report.page.build import make_report
    from contrastseg.report.page.other_suites import other_suites
    from contrastseg.report.tables.kind import frames_read

    results = folder.path.parent.parent if folder.path.name == UNFINISHED else folder.path.parent
    page = make_report(
        ReportData.of(folder, frames_read(tables)),
        tables=tables,
        figures=figures,
        figures_folder=folder.path / "figures",
        path=folder.path / "report.html",
        others=other_suites(folder.plan["suite"].get("also_show", []), results, folder.resources),
    )
    typer.echo(str(page))


COMMANDS = (collect, compare, tabulate, plot, slices, report)
