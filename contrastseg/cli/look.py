"""datasets, methods, networks, check, doctor, plan: commands that only read."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from contrastseg.cli.shared import DATA_ROOT, JSON, RESOURCES, print_json, print_table, progress, read_config
from contrastseg.paths import MEASURED

if TYPE_CHECKING:
    from contrastseg.networks.catalogue import Form
    from contrastseg.planning import Plan

MEASURED_FOLDER = typer.Option(
    MEASURED, help="Folder with methods-<hardware>.csv: measured parameters and step costs.", show_default="shipped"
)
_TOTALS = ["entry", "method", "steps", "stages", "because of"]
_UNPREPARED = "known when the data is prepared"


def datasets(
    as_json: bool = JSON,
    markdown: bool = typer.Option(False, "--markdown", help="Print the page docs/datasets.md."),
    data_root: Path | None = DATA_ROOT,
    resources: Path = RESOURCES,
) -> None:
    """List the data sets with their licences and files. Print the steps to data that needs an account.

    Example: `contrastseg datasets --json`
    """
    from contrastseg.data.inspect.card import card
    from contrastseg.data.registry import registry

    if markdown:
        from contrastseg.report.site.data_page import page

        return typer.echo(page(), nl=False)
    rows = [card(registry.get(name), data_root, resources) for name in registry.names()]
    if as_json:
        return print_json(rows)
    columns = ["name", "title", "modality", "spatial_dims", "access", "licence", "data"]
    print_table("Data sets", columns, [[str(row[column]) for column in columns] for row in rows])
    for error in registry.unusable().values():
        typer.secho(str(error), fg=typer.colors.RED, err=True)
    for row in rows:
        if row["available"] or row["access"] != "registration":
            continue
        typer.echo(f"\n{row['name']} requires registration:")
        for number, step in enumerate(row["registration"], start=1):
            typer.echo(f"  {number}. {step}")


def methods(
    as_json: bool = JSON,
    measured: Path = MEASURED_FOLDER,
) -> None:
    """List the methods with their stages, data use, provenance, settings and measured step costs.

    Example: `contrastseg methods --json`
    """
    from contrastseg.errors import SuiteError
    from contrastseg.methods import registry
    from contrastseg.planning.step_times import method_costs

    costs = method_costs(measured)
    unknown: dict[str, Any] = {"parameters": None, "cost": {}, "measured_on": None}
    rows: list[dict[str, Any]] = []
    for name in registry.names():
        try:
            method = registry.get(name)
        except SuiteError as error:
            typer.secho(str(error), fg=typer.colors.RED, err=True)
            continue
        ranges = {name: {type(each).__name__: vars(each)} for name, each in method.card.tunable.items()}
        stages = [{"name": stage.name, "data": stage.data} for stage in method.stages]
        settings = {"variants": sorted(method.variants), "settings": dict(method.defaults)}
        rows.append(
            {
                "name": name,
                **method.card.stated(),
                "tunable": ranges,
                "stages": stages,
                "spatial_dims": list(method.spatial_dims),
                **settings,
                **costs.get(name, unknown),
            }
        )
    if as_json:
        return print_json(rows)
    table = [
        [
            row["name"],
            " → ".join(f"{stage['name']}: {stage['data']}" for stage in row["stages"]),
            row["provenance"],
            row["paper"],
            "" if row["parameters"] is None else f"{row['parameters'] / 1e6:.2f} M",
            " → ".join(f"{cost:g}×" for cost in row["cost"].values()),
        ]
        for row in rows
    ]
    print_table("Methods", ["name", "stages and data", "provenance", "paper", "parameters", "cost of a step"], table)


def networks(as_json: bool = JSON) -> None:
    """List the networks with their parameters, the patches they take and their feature maps.

    Counted for images of one channel and four classes. Other networks of MONAI and of segmentation_models_pytorch, and
    other options, are looked at when training starts.

    Example: `contrastseg networks --json`
    """
    from contrastseg.networks import registry
    from contrastseg.networks.catalogue import forms

    listed = forms()
    added = sorted(set(registry.names()) - {str(form.settings["name"]) for form in listed})
    if as_json:
        rows = [{"name": form.title, **vars(form), "attach": form.without_maps is None} for form in listed]
        return print_json([*rows, *({"name": name, "added_by_a_package": True} for name in added)])
    table = [
        [
            form.title,
            f"{form.spatial_dims}D",
            f"{form.parameters / 1e6:.2f} M",
            _patch(form),
            _strides(form, form.encoder_maps),
            _strides(form, form.decoder_maps),
            form.without_maps or "every map",
            _decoders(form),
        ]
        for form in listed
    ]
    columns = ["name", "images", "parameters", "patch", "encoder's strides", "decoder's strides", "blocks attach to"]
    columns += ["several decoders"]
    added_rows = [[name, "", "", "", "", "", "added by a package", ""] for name in added]
    print_table("Networks", columns, [*table, *added_rows])


def _patch(form: Form) -> str:
    if form.input_size is not None:
        return f"{form.input_size[0]} (img_size)"
    return f"multiples of {form.divisor[0]} from {form.smallest[0]}"


def _decoders(form: Form) -> str:
    """Whether methods with several decoders can train it, and those whose decoders go up in different ways."""
    return ("alike, or by upsampling" if form.upsamplings else "alike") if form.decodes else "no"


def _strides(form: Form, names: list[str]) -> str:
    return " ".join(str(max(form.maps[name][0])) for name in names)


def check(
    path: Path = typer.Argument(help="Folder of a data set, as published or in nnU-Net's layout."),
    dataset: str | None = typer.Option(None, help="Data set whose layout the folder has. Default: detected."),
    config: str | None = typer.Option(
        None, help="Settings `options` and `preparation`: YAML or JSON file, or JSON text."
    ),
    as_json: bool = JSON,
) -> None:
    """List every fault and warning of a folder of data at once. The exit status is 1 if there are faults.

    Example: `contrastseg check path/to/Dataset001_Mine`
    """
    from contrastseg.data.faults import group_faults
    from contrastseg.data.inspect.dataset_check import check_dataset
    from contrastseg.report.content.labels import label_counts
    from contrastseg.text import plural

    given = read_config(config, {"options": dict, "preparation": dict})
    with progress(f"reading {path}") as update:
        found = check_dataset(path, dataset, given.get("options"), update, given.get("preparation"))
    if as_json:
        print_json(found.to_json())
    else:
        read = f"{plural(found.cases, 'case')} of {plural(found.patients, 'patient')} can be read"
        counts = f": {label_counts(found.cases - found.unlabelled, found.unlabelled)}" if found.unlabelled else ""
        typer.echo(f"{path}, read as {found.dataset}: {read}{counts}")
        if found.faults:
            columns = ["cases", "file", "reason", "remedy"]
            groups = group_faults(found.faults)
            rows = [
                [group.cases, *map(_text, (group.first.file, group.reason, group.first.remedy))] for group in groups
            ]
            print_table(f"{plural(len(found.faults), 'fault')}: correct before you prepare the data set", columns, rows)
        else:
            typer.echo("no faults")
        if found.warnings:
            rows = [[item.kind, item.text, _shortened(item.cases)] for item in found.warnings]
            print_table("Dataset warnings", ["kind", "found", "cases"], rows)
    if found.faults:
        raise typer.Exit(1)


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _shortened(cases: tuple[str, ...], shown: int = 5) -> str:
    """The first cases and the number of the others, which `--json` prints."""
    more = len(cases) - shown
    return ", ".join(cases[:shown]) + (f" and {more} more" if more > 0 else "")


def doctor(as_json: bool = JSON, data_root: Path | None = DATA_ROOT, resources: Path = RESOURCES) -> None:
    """Check what this machine can run. The exit status is 1 if training cannot run.

    Example: `contrastseg doctor`
    """
    from contrastseg.cli.doctor import examine

    checks = examine(data_root, resources)
    if as_json:
        print_json([vars(check) for check in checks])
    else:
        marks = {"ok": "ok", "note": "note", "fault": "FAULT"}
        print_table("This machine", ["what", "", "found"], [[c.name, marks[c.state], c.found] for c in checks])
    if any(check.state == "fault" for check in checks):
        raise typer.Exit(1)


def plan(
    suite: str = typer.Argument(help="Name of a shipped suite, path of a suite file, or its content as JSON."),
    output: Path | None = typer.Option(None, help="Write the plan as JSON to this file, for `collect` and the report."),
    skip_unavailable: bool = typer.Option(False, "--skip-unavailable", help="Skip missing data."),
    as_json: bool = JSON,
    measured: Path = MEASURED_FOLDER,
    data_root: Path | None = typer.Option(
        None, help="Your folder of data sets. Default: `data_root` of the suite, else CONTRASTSEG_DATA."
    ),
    resources: Path = RESOURCES,
) -> None:
    """Show what a suite will run: runs, skipped combinations, missing data, hours, disk space.

    Example: `contrastseg plan demo`
    """
    import dataclasses
    import os

    from contrastseg import planning
    from contrastseg.cli.suites import find_suite
    from contrastseg.errors import UnavailableDataError
    from contrastseg.files import write_json
    from contrastseg.planning.estimates import estimate
    from contrastseg.planning.lengths import lengths
    from contrastseg.planning.rules import check_rules
    from contrastseg.suite import parse_suite

    file = None if suite.lstrip().startswith("{") else find_suite(suite)
    asked, options = parse_suite(read_config(suite if file is None else str(file), what="suite"), file)
    root = planning.data_root(options, os.environ, data_root)
    missing = planning.missing_data(asked, root, resources)
    skip = skip_unavailable or options.skip_unavailable
    if output is not None and missing and not skip:
        raise UnavailableDataError(planning.describe_missing(missing))
    check_rules(asked)
    found = planning.expand(asked, missing if skip else {}, root, resources)
    if output is not None:
        return write_json(output, found.to_json())
    expected, in_epochs = estimate(found, measured, root, resources), lengths(found)
    if as_json:
        counted = {name: dataclasses.asdict(known) for name, known in found.populations.items()}
        more = {"missing": missing, "populations": counted, "lengths": in_epochs, "estimate": expected}
        return print_json({**found.to_json(), **more})
    _print_plan(found, in_epochs)
    _print_totals(found.to_json()["step_totals"])
    if missing:
        typer.secho(planning.describe_missing(missing), fg=typer.colors.RED)
    for name, value in expected.items():
        typer.echo(f"{name.replace('_', ' ')}: {value}")


def _print_plan(found: Plan, in_epochs: list[dict[str, Any]]) -> None:
    """Print tables of the runs, their lengths and the skipped combinations, then the cases of each entry."""
    from contrastseg.report.content.labels import label_counts

    runs = Counter((run.entry, f"{run.method}/{run.variant}", run.labels) for run in found.runs)
    print_table(found.suite.name, ["entry", "method", "labels", "runs"], [[*key, str(n)] for key, n in runs.items()])
    if in_epochs:
        rows = [[str(_UNPREPARED if value is None else value) for value in each.values()] for each in in_epochs]
        print_table("Lengths in epochs", ["entry", "method", "variant", "stage", "labels", "epochs", "steps"], rows)
    skipped: dict[tuple[str, str, str], list[str]] = {}
    for item in found.skipped:
        skipped.setdefault((item["dataset"], item["method"], item["reason"]), []).append(item["labels"])
    if skipped:
        rows = [[entry, method, ", ".join(labels), reason] for (entry, method, reason), labels in skipped.items()]
        print_table("Skipped", ["entry", "method", "labels", "reason"], rows)
    for name, known in found.populations.items():
        if known.unlabelled:
            typer.echo(f"{name}: {label_counts(known.labelled, known.unlabelled)}; {known.usable} of these can train")


def _print_totals(totals: list[dict[str, Any]]) -> None:
    """Print the steps of methods that have a total, stage by stage, and the reason of the total."""
    if not totals:
        return
    rows = [
        [
            total["dataset"],
            f"{total['method']}/{total['variant']}",
            str(total["total"]),
            " + ".join(f"{stage} {steps}" for stage, steps in total["stages"].items()),
            f"as long as {total['as_long_as']}" if total["as_long_as"] else "budget: steps",
        ]
        for total in totals
    ]
    print_table("Equal steps (shares rounded down, the rest in the last stage)", _TOTALS, rows)


COMMANDS = (datasets, methods, networks, check, doctor, plan)
