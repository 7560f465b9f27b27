"""What reads archives, tables, descriptions and checkpoints, each with a small valid file and what it should give."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from contrastseg.data.download import archives
from contrastseg.data.download.table import DATA_TABLE, read_table
from contrastseg.data.faults import Faults
from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.prepare.preparation import prepare_dataset
from contrastseg.data.registry.nnunet import NnunetOptions, discover
from contrastseg.data.registry.nnunet_description import read_description
from contrastseg.data.splits.folds import read_published
from contrastseg.data.splits.pool_files import Pool, PoolCase, pool_hash
from contrastseg.data.splits.split_files import PARTS, Split
from contrastseg.data.splits.splits import split_dataset
from contrastseg.errors import SplitError
from contrastseg.evaluation.published.published import FOLDER as PUBLISHED
from contrastseg.evaluation.published.published import load_published
from contrastseg.evaluation.scoring import collect
from contrastseg.evaluation.scoring.predictions import expected_predictions
from contrastseg.evaluation.scoring.scoring import SCORE_COLUMNS
from contrastseg.evaluation.statistics.summary import SUMMARY_COLUMNS
from contrastseg.files import write_json
from contrastseg.report.content.results_folder import ResultsFolder
from contrastseg.suite import load_suite
from contrastseg.training import checkpoints
from tests import rar
from tests.fuzz.worker import Target
from tests.miniatures import _files

NOISE = np.random.default_rng(1).bytes(3000)
MEMBERS = {"inner/file.bin": NOISE, "inner/text.txt": b"text " * 100}
SUITE = {
    "name": "fuzz",
    "datasets": [{"name": "lesions", "dataset": "phantom_lesions", "options": {"cases": 8}, "split": {"draws": 2}}],
    "methods": ["supervised", {"name": "mean_teacher", "variants": {"mine": {"consistency_weight": 0.5}}}],
    "labels": ["r0.5", "n2"],
    "seeds": [0, 1],
    "training": {"steps": 10, "network": {"name": "unet"}, "optimiser": {"learning_rate": 0.01}},
    "tables": [{"name": "main", "metrics": ["dice"]}],
}
AXES = {**dict.fromkeys(collect.AXES, "x"), "fold": 0, "draw": 0, "seed": 0, "labelled_patients": 2, "label_ratio": 0.5}


def _zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in MEMBERS.items():
            opened.writestr(name, content)


def _tar(mode: str) -> Callable[[Path], None]:
    def save(path: Path) -> None:
        with tarfile.open(path, mode) as opened:
            for name, content in MEMBERS.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                opened.addfile(info, io.BytesIO(content))

    return save


def _rar(path: Path) -> None:
    path.write_bytes(rar.archive(*(rar.file(name, content) for name, content in MEMBERS.items())))


def _unpack(archive: Path) -> dict[str, bytes]:
    out = archive.parent / "out"
    archives.unpack(archive, out)
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def _archive(suffix: str, save: Callable[[Path], None]) -> Target:
    return Target(
        f"unpack {suffix}",
        f"a{suffix}",
        lambda folder: save(folder / f"a{suffix}"),
        lambda folder: _unpack(folder / f"a{suffix}"),
        lambda files: sum(map(len, files.values())) < 1 << 22,
        # The end of a stored tar or rar may be padding.
        outputs=("out",),
    )


def _prepared(folder: Path) -> None:
    options, rule = {"cases": 5, "size": [16, 16]}, {"superpixels": {"min_size": 4}}
    prepare_dataset("lesions", "phantom_lesions", options, rule, None, folder / "prepared")
    split_dataset("lesions", folder / "prepared", {"draws": 2}, folder / "split.json")


def _open(folder: Path) -> Any:
    dataset = PreparedDataset(folder / "prepared")
    return [dataset.info, dataset.index, [dataset.load(case, with_superpixels=True) for case in dataset.cases]]


def _whole(answer: Any) -> bool:
    for case in answer[2]:
        layers = [layer for layer in (case.image[0], case.label, case.superpixels) if layer is not None]
        if any(layer.shape != case.geometry.shape for layer in layers):
            return False
    return True


def _split(folder: Path) -> None:
    _prepared(folder)
    shutil.rmtree(folder / "prepared")


def _use(path: Path) -> Any:
    split = Split.from_file(path)
    with contextlib.suppress(SplitError):  # it knows the split, not the file
        return [split, [split.labelled("r0.5", 0, fold) for fold in range(len(split.folds))]]
    return [split]


def _pool(path: Path) -> None:
    used, tests = ([PoolCase("e", "d", f"{k}{n}", f"p{k}{n}", f"{k}{n}" * 8) for n in range(2)] for k in "ut")
    value = {"entry": "e", "fold": 0, "sources": ["e"], "left_out": [], "hash": pool_hash(used)}
    write_json(path, {**value, "used": [vars(case) for case in used], "tests": [vars(case) for case in tests]})


def _scores(path: Path) -> None:
    rows = [["p1", "c1", "tumour", metric, 0.5, "1", "scored", 40.0] for metric in ("dice", "hd95", "iou")]
    pd.DataFrame(rows, columns=list(SCORE_COLUMNS)).to_csv(path, index=False)


def _parquet(path: Path) -> None:
    _scores(path.with_suffix(".csv"))
    collect.write_table(collect.collect([(AXES, path.with_suffix(".csv"))]), path)


def _results(folder: Path) -> None:
    suite = {"name": "fuzz", "datasets": [{"name": "e"}], "methods": [{"name": "m"}], "evaluation": {}}
    plan = {"suite": suite, "runs": [], "evaluations": [], "skipped": [], "unavailable": {}}
    write_json(folder / "plan.json", plan)
    write_json(folder / "cards.json", [{"method": "m", "steps": 3}])
    write_json(folder / "data.json", {"infos": [{"entry": "e"}], "splits": [{"entry": "e"}]})
    _parquet(folder / "scores.parquet")
    row = {"dataset": "e", "class": "NA", "mean": "0.5", "n": "3"}
    values = ",".join(row.get(name, "") for name in SUMMARY_COLUMNS)
    (folder / "summary.csv").write_text(f"{','.join(SUMMARY_COLUMNS)}\n{values}\n")


def _stored(folder: Path) -> Any:
    stored = ResultsFolder(folder, folder / "resources")
    return [stored.plan, stored.runs, stored.infos, stored.frame("summary"), stored.entries, stored.skipped]


def _own_data(folder: Path) -> None:
    for case in ("one", "two"):
        _files.save_nifti(folder / f"imagesTr/{case}_0000.nii", np.zeros((2, 3, 4), np.int16))
        _files.save_nifti(folder / f"labelsTr/{case}.nii", np.zeros((2, 3, 4), np.uint8))
    labels = {"background": 0, "organ": 1, "ignore": 2}
    description = {"channel_names": {"0": "T1"}, "labels": labels, "numTraining": 2, "file_ending": ".nii"}
    write_json(folder / "dataset.json", description)
    (folder / "patients.csv").write_text("case,patient\none,anna\ntwo,otto\n")


def _discovered(folder: Path) -> Any:
    faults = Faults()
    found = discover(folder, NnunetOptions(path=str(folder)), faults)
    faults.raise_any()
    return found


def _checkpoint(path: Path) -> None:
    import torch

    modules = {"a.weight": torch.arange(60.0).reshape(6, 10), "a.count": torch.tensor(3)}
    checkpoints.save(
        path, {"modules": modules, "config": {"seed": 0, "names": ["x"]}, "step": 7, "log": [{"loss": 0.5}]}
    )


def _json(
    name: str, file: str, make: Callable[[Path], object], read: Callable[[Path], Any], fits: Any = bool
) -> Target:
    return Target(name, file, make, read, fits, structured=True)


def _open_end(name: str, file: str, make: Callable[[Path], object], read: Callable[[Path], Any], fits: Any) -> Target:
    return Target(name, file, make, read, fits, closed=False)


TARGETS = [
    _archive(".zip", _zip),
    _archive(".tar", _tar("w")),
    _archive(".tar.gz", _tar("w:gz")),
    _archive(".tar.xz", _tar("w:xz")),
    _archive(".rar", _rar),
    Target(
        "load_suite",
        "suite.yaml",
        lambda folder: (folder / "suite.yaml").write_text(json.dumps(SUITE, indent=1)),
        lambda folder: load_suite(folder / "suite.yaml"),
        lambda suite: suite.name and suite.datasets,
        structured=True,
    ),
    *(
        _json(f"PreparedDataset {Path(file).name}", f"prepared/{file}", _prepared, _open, _whole)
        for file in ("dataset.json", "cases/lesion0000/geometry.json")
    ),
    *(
        Target(f"PreparedDataset {Path(file).name}", f"prepared/{file}", _prepared, _open, _whole, closed="npy" in file)
        for file in ("cases.csv", "cases/lesion0000/image.npy", "cases/lesion0000/superpixels.npy")
    ),
    _json(
        "Split.from_file",
        "split.json",
        _split,
        lambda folder: _use(folder / "split.json"),
        lambda answer: all(set(PARTS) <= set(fold) for fold in answer[0].folds),
    ),
    _json(
        "read_published split",
        "mine.json",
        lambda folder: write_json(
            folder / "mine.json",
            {"name": "mine", "dataset": "acdc", "source": "x", "folds": [{"train": ["a"], "val": [], "test": ["b"]}]},
        ),
        lambda folder: read_published("mine", folder),
        lambda value: value["folds"][0]["train"] is not None,
    ),
    _json("Pool.from_file", "p.json", lambda at: _pool(at / "p.json"), lambda at: Pool.from_file(at / "p.json")),
    _json("read_description", "dataset.json", _own_data, read_description),
    _json(
        "expected_predictions",
        "predictions.json",
        lambda folder: write_json(folder / "predictions.json", {"checkpoint": "x", "cases": {"a": "a.png"}}),
        expected_predictions,
        lambda found: all(path.parent.name == "folder" for path in found.values()),
    ),
    *(_json(f"Stored {file}", file, _results, _stored) for file in ("plan.json", "cards.json", "data.json")),
    _open_end("Stored summary.csv", "summary.csv", _results, _stored, bool),
    _open_end("nnU-Net patients.csv", "patients.csv", _own_data, _discovered, bool),
    _open_end(
        "read_table datasets.csv",
        "t.csv",
        lambda folder: (folder / "t.csv").write_text("".join(DATA_TABLE.read_text().splitlines(keepends=True)[:4])),
        lambda folder: read_table(folder / "t.csv"),
        lambda rows: all(row.name for row in rows),
    ),
    _open_end(
        "load_published",
        "t.csv",
        lambda at: (at / "t.csv").write_text(
            "".join(sorted(PUBLISHED.glob("*.csv"))[0].read_text().splitlines(keepends=True)[:4])
        ),
        load_published,
        lambda table: "value" in table,
    ),
    _open_end(
        "collect scores.csv",
        "s.csv",
        lambda folder: _scores(folder / "s.csv"),
        lambda folder: collect.collect([(AXES, folder / "s.csv")]),
        lambda table: list(table) == list(collect.COLUMNS),
    ),
    Target(
        "read_table scores.parquet",
        "scores.parquet",
        _results,
        lambda folder: collect.read_table(folder / "scores.parquet"),
        lambda table: list(table) == list(collect.COLUMNS),
    ),
    Target(
        "checkpoints.load",
        "last.ckpt",
        lambda folder: _checkpoint(folder / "last.ckpt"),
        lambda folder: checkpoints.load(folder / "last.ckpt"),
        lambda content: isinstance(content["modules"], dict),
    ),
]
