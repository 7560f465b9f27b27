"""A disk that takes no more: what was there stays whole, nothing half-written is left, and the error says why."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer

from contrastseg import cli
from contrastseg.data.files.formats import write_label
from contrastseg.data.files.geometry import Geometry
from contrastseg.errors import DataError, FileError
from contrastseg.evaluation.scoring.collect import write_table
from contrastseg.evaluation.scoring.scoring import SCORE_COLUMNS, write_scores
from contrastseg.files import disk_error, wrap_write_errors, write_json, write_text

LABEL = np.random.default_rng(0).integers(0, 3, (9, 40, 40)).astype(np.uint8)
GRID = Geometry(LABEL.shape, (1.0, 1.0, 1.0), "mm", np.eye(4).tolist(), "nifti", LABEL.shape)
PLANE = Geometry(LABEL.shape[1:], None, "pixel", None, "png", LABEL.shape[1:])
SCORES = pd.DataFrame([["p"] * 4 + [0.5] + ["1", "scored", 9.0]] * 2000, columns=list(SCORE_COLUMNS))


def checkpoint(path: Path) -> None:
    import torch

    from contrastseg.training import checkpoints

    checkpoints.save(path, {"modules": {"w": torch.zeros(100_000)}, "config": {}})


def figure(path: Path) -> None:
    from matplotlib.figure import Figure

    from contrastseg.files import atomic_path

    with atomic_path(path) as temporary:
        Figure().savefig(temporary, format=path.suffix[1:])


WRITERS: dict[str, Callable[[Path], object]] = {
    "text.md": lambda path: write_text(path, "x" * 100_000),
    "short.txt": lambda path: write_text(path, "x"),
    "index.json": lambda path: write_json(path, {"cases": {}}),
    "last.ckpt": checkpoint,
    "case.nii.gz": lambda path: write_label(path, LABEL, GRID),
    "case.nii": lambda path: write_label(path, LABEL, GRID),
    "case.png": lambda path: write_label(path, LABEL[0], PLANE),
    "last.csv": lambda path: write_scores(SCORES, path),
    "scores.parquet": lambda path: write_table(SCORES, path),
    "box.svg": figure,
    "box.png": figure,
}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here, the disk that is always full")
@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    WRITERS[name](path)
    whole = path.read_bytes()
    (tmp_path / f".{os.getpid()}.{name}").symlink_to("/dev/full")  # where the new file is written first
    with pytest.raises(FileError, match="no space left") as caught:
        WRITERS[name](path)
    assert caught.value.file == path
    assert "free some space" in str(caught.value.remedy)
    assert path.read_bytes() == whole
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EDQUOT, errno.EIO])
def test_a_disk_that_refuses_to_rename(tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: object, target: object) -> None:
        raise OSError(number, os.strerror(number))

    write_text(tmp_path / "a", "old")
    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(FileError) as caught:
        write_text(tmp_path / "a", "new")
    assert caught.value.file == tmp_path / "a"
    assert caught.value.remedy
    assert (tmp_path / "a").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(FileError, match="read-only"):
        write_text(tmp_path / "new" / "a", "x")


def test_other_errors_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), wrap_write_errors(tmp_path):
        print(1 / 0)
    with pytest.raises(FileNotFoundError), wrap_write_errors(tmp_path):
        (tmp_path / "none").read_bytes()
    with pytest.raises(DataError), wrap_write_errors(tmp_path):
        raise DataError("of its own")
    assert disk_error(OSError("without a number")) is None


def test_the_cause_is_found_behind_what_a_writer_makes_of_it(tmp_path: Path) -> None:
    def write() -> None:
        try:
            raise OSError(errno.ENOSPC, "full")
        finally:
            raise RuntimeError("unexpected position")  # as torch's writer ends

    with pytest.raises(FileError, match="no space left"), wrap_write_errors(tmp_path / "a"):
        write()


def test_the_command_says_it_in_a_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "full", "/results/x")

    monkeypatch.setattr(typer.Typer, "__call__", full)
    with pytest.raises(SystemExit) as caught:
        cli.app([])
    assert caught.value.code == 1
    said = capsys.readouterr().err
    assert "no space left on the disk" in said
    assert "/results/x" in said
    assert "Traceback" not in said
