"""published: numbers of papers, and an audit of those that are inconsistent."""

from __future__ import annotations

import typer

from contrastseg.cli.shared import JSON, print_json, print_table

_SHOWN = ("dataset", "method", "labelled", "class", "metric", "printed", "unit", "mark", "paper", "where")


def published(
    source: str | None = typer.Option(None, help="Paper, or file in benchmarks/published without .csv."),
    dataset: str | None = typer.Option(None, help="Data set as named by the source."),
    method: str | None = typer.Option(None, help="Method as named by the source."),
    labelled: str | None = typer.Option(None, help="Labelled data as stated by the source: '7 patients', '10%'."),
    metric: str | None = typer.Option(None, help="Metric as named by the source or by contrastseg."),
    mark: str | None = typer.Option(None, help="Audit mark: printed, suspect or inconsistent."),
    only_audit: bool = typer.Option(
        False, "--audit", help="Print the findings of the audit: impossible and unlikely numbers."
    ),
    markdown: bool = typer.Option(False, "--markdown", help="Print the page docs/published.md."),
    as_json: bool = JSON,
) -> None:
    """Find published numbers, each with its source and audit mark.

    Example: `contrastseg published --dataset ACDC --labelled "7 patients" --metric dice`
    """
    from contrastseg.evaluation.published.audit import audit, with_marks
    from contrastseg.evaluation.published.audit_rows import rows_of
    from contrastseg.evaluation.published.published import find_published, load_published
    from contrastseg.report.site.audit_page import page

    numbers = load_published()
    findings = audit(numbers)
    table = with_marks(numbers, findings)
    if markdown:
        return typer.echo(page(table, findings), nl=False)
    given = {"source": source, "dataset": dataset, "method": method, "labelled": labelled}
    given |= {"metric": metric, "mark": mark}
    found = find_published(table, **{name: value for name, value in given.items() if value is not None})
    if only_audit:
        here = set(zip(found["file"], found["line"], strict=True))
        findings = [one for one in findings if any((row["file"], row["line"]) in here for row in one.rows)]
        if as_json:
            return print_json([one.as_dict() for one in findings])
        rows = [[f"{file}:{line}", one.severity, one.what] for one in findings for file, line in [one.place]]
        return print_table(f"{len(rows)} findings", ["where", "severity", "what"], rows)
    if as_json:
        return print_json(rows_of(found))
    rows = [[str(row[column]) for column in _SHOWN] for row in rows_of(found)]
    print_table(f"{len(rows)} published numbers", list(_SHOWN), rows)
    for why in dict.fromkeys(found.loc[found["mark"] != "printed", "why"]):
        typer.echo(f"- {why}")


COMMANDS = (published,)
