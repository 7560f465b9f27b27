"""download, prepare, split, pool: from published files to the inputs of training."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import typer

from contrastseg.cli.shared import DATA_ROOT, JSON, RESOURCES, named_paths, print_json, progress, read_config
from contrastseg.paths import prepared_folder, split_file

DATASET = typer.Argument(help="Name of the data set (`contrastseg datasets`).")
ENTRY = typer.Option(None, help="Name of the entry in the suite. Default: the name of the data set.")


def download(
    names: list[str] = typer.Argument(metavar="DATASET...", help="Names of the data sets (`contrastseg datasets`)."),
    as_json: bool = JSON,
    data_root: Path | None = DATA_ROOT,
    resources: Path = RESOURCES,
) -> None:
    """Download, verify and unpack data sets. Interrupted downloads resume.

    Data that needs an account is not downloaded: the command prints the steps.

    Example: `contrastseg download isic2016 msd_hippocampus`
    """
    from contrastseg.data.download.download import download_dataset
    from contrastseg.data.faults import Faults
    from contrastseg.data.registry import registry

    rows: list[dict[str, str | None]] = []
    faults = Faults()
    for spec in [registry.get(name) for name in dict.fromkeys(names)]:
        with faults.collect(), progress(f"downloading {spec.name}", in_bytes=True) as update:
            announce = partial(typer.echo, err=as_json)
            folder = download_dataset(spec, data_root, resources, announce=announce, progress=update)
            rows.append({"name": spec.name, "folder": None if folder is None else str(folder)})
    if as_json:
        print_json(rows)
    else:
        for row in rows:
            where = row["folder"] or "generated data: no download needed"
            typer.echo(where if len(names) == 1 else f"{row['name']}: {where}")
    faults.raise_any()


def prepare(
    dataset: str = DATASET,
    entry: str | None = ENTRY,
    config: str | None = typer.Option(
        None, help="Settings `options` and `preparation`: YAML or JSON file, or JSON text."
    ),
    raw: Path | None = typer.Option(
        None, help="Folder with the published files. Default: searched for in DATA_ROOT and RESOURCES."
    ),
    output: Path | None = typer.Option(
        None, help="Output folder. Default: RESOURCES/prepared/ENTRY-<digest of CONFIG>."
    ),
    workers: int = typer.Option(1, min=1, help="Number of processes."),
    data_root: Path | None = DATA_ROOT,
    resources: Path = RESOURCES,
) -> None:
    """Prepare a data set: read, resample and store image, label and geometry of every case. Skip unchanged cases.

    Example: `contrastseg prepare phantom_lesions --entry lesions --config '{"options": {"cases": 20}}'`
    """
    from contrastseg.data.download.download import locate
    from contrastseg.data.prepare.cases import PreparedDataset
    from contrastseg.data.prepare.preparation import prepare_dataset
    from contrastseg.data.prepare.stores import prepared_name
    from contrastseg.data.readers.mask_values import CODING, Coding
    from contrastseg.data.registry import registry
    from contrastseg.data.registry.described import keep_description

    given = read_config(config, {"options": dict, "preparation": dict})
    options, rule = given.get("options"), given.get("preparation")
    spec = registry.get(dataset, options)
    folder = output or prepared_folder(prepared_name(entry or dataset, spec, options, rule, resources), resources)
    source = raw or locate(spec, data_root, resources)
    with progress(f"preparing {entry or dataset}") as update:
        done = prepare_dataset(
            entry or dataset, dataset, options, rule, source, folder, workers=workers, progress=update
        )
    info = PreparedDataset(done.parent).info
    masks = info.source.get(CODING)
    if masks is not None:
        typer.echo(f"masks: {Coding.from_json(masks)}", err=True)
    for note in info.notes:
        if masks is None or not note.startswith("masks: "):
            typer.echo(note, err=True)
    if spec.folder is not None and spec.folder.is_dir():
        keep_description(spec.folder, resources)
    typer.echo(str(done))


def split(
    dataset: str = DATASET,
    entry: str | None = ENTRY,
    config: str | None = typer.Option(
        None,
        help="Settings `split` (override those of the data set), `subset` (true: accept absent patients of a published"
        " split) and `options`: YAML or JSON file, or JSON text.",
    ),
    prepared: Path | None = typer.Option(
        None, help="Folder of the prepared data set. Default: the entry's in RESOURCES."
    ),
    output: Path | None = typer.Option(
        None, help="Output file. Default: RESOURCES/splits/ENTRY-<digest of CONFIG>.json."
    ),
    resources: Path = RESOURCES,
) -> None:
    """Split a prepared data set by patient, with nested label budgets in several draws.

    Example: `contrastseg split acdc --config '{"split": {"name": "acdc_70_10_20"}, "subset": true}'`
    """
    from contrastseg.cli.shared import validated
    from contrastseg.data.prepare.stores import find_prepared, split_name
    from contrastseg.data.registry import registry
    from contrastseg.data.settings import SplitSettings
    from contrastseg.data.splits.splits import split_dataset

    given = read_config(config, {"options": dict, "split": dict, "subset": None})
    name = entry or dataset
    source = prepared or find_prepared(name, resources)
    own = registry.get(dataset, given.get("options")).split
    settings = validated(SplitSettings, own.under(given.get("split", {})))
    subset = bool(given.get("subset"))
    target = output or split_file(split_name(name, source.name, settings, subset), resources)
    typer.echo(str(split_dataset(name, source, settings, target, subset=subset)))


def pool(
    config: str = typer.Option(
        help="Settings `entry`, `fold`, `sources` and `tests`: YAML or JSON file, or JSON text."
    ),
    output: Path = typer.Option(help="Output file."),
    prepared: list[str] = typer.Option(
        [], help="Prepared data of an entry as ENTRY=FOLDER; may be repeated. Default: found in RESOURCES."
    ),
    split: list[str] = typer.Option(
        [], help="Split of an entry as ENTRY=FILE; may be repeated. Default: found in RESOURCES."
    ),
    resources: Path = RESOURCES,
) -> None:
    """Collect the cases that pre-training without labels draws from, out of several entries. Exclude all test cases.

    Example: `contrastseg pool --config '{"entry": "a", "sources": ["a", "b"], "tests": {"a": [0]}}' --output pool.json`
    """
    from contrastseg.cli.shared import validated
    from contrastseg.data.prepare.stores import find_prepared, find_split
    from contrastseg.data.splits.pools import PoolSettings, write_pool
    from contrastseg.files import require_path

    settings = validated(PoolSettings, read_config(config))
    entries = dict.fromkeys([*settings.sources, *settings.tests])
    folders, files = named_paths(prepared, "--prepared"), named_paths(split, "--split")
    folders |= {name: find_prepared(name, resources) for name in entries if name not in folders}
    splits = {name: files.get(name) or find_split(name, resources) for name in (settings.entry, *settings.tests)}
    for name, file in splits.items():
        require_path(file, f"split of {name!r}", "run `contrastseg split` first")
    typer.echo(str(write_pool(settings, {name: folders[name] for name in entries}, splits, output)))


COMMANDS = (download, prepare, split, pool)
