"""`score --classes`: names in words, nnU-Net's dataset.json in both versions, and that of a prepared data set."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from contrastseg.cli import app
from contrastseg.data.registry.nnunet_description import read_description
from contrastseg.errors import ContrastsegError
from contrastseg.evaluation.scoring.class_names import ClassNames, read_class_names

V2 = {"background": 0, "liver": 1, "tumour": 2}
V1 = {"2": "tumour", "0": "background", "1": "liver"}
REGIONS = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": 3}


def described(folder: Path, **content: Any) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset.json").write_text(json.dumps(content), encoding="utf-8")
    return str(folder / "dataset.json")


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """A liver that is a quarter off, a perfect tumour, and a stripe of 3 in the reference that the prediction fills."""
    truth = np.zeros((40, 48), np.uint8)
    truth[8:24, 10:30], truth[30:34, 4:8], truth[:, 40:] = 1, 2, 3
    guess = np.zeros_like(truth)
    guess[12:28, 10:30], guess[30:34, 4:8], guess[5:9, 40:] = 1, 2, 1
    for name, mask in (("p", guess), ("r", truth)):
        (tmp_path / name).mkdir()
        Image.fromarray(mask).save(tmp_path / name / "case1.png")
    return tmp_path / "p", tmp_path / "r"


def score(folders: tuple[Path, Path], classes: str, *more: str) -> dict[str, float]:
    asked = ["score", "--prediction", str(folders[0]), "--reference", str(folders[1]), "--metric", "dice", "--json"]
    done = CliRunner().invoke(app, [*asked, "--classes", classes, *more], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return {row["class"]: row["value"] for row in json.loads(done.stdout)}


@pytest.mark.parametrize(
    "labels", [V2 | {"ignore": 3}, V1 | {"3": "ignore"}, {k: str(v) for k, v in (V2 | {"ignore": 3}).items()}]
)
def test_an_ignore_label_of_nnunet_is_left_out(
    tmp_path: Path, folders: tuple[Path, Path], labels: dict[str, Any]
) -> None:
    """Voxels of 3 have no truth: what is predicted there is no false positive, and 3 is no class."""
    file = described(tmp_path, labels=labels, channel_names={"0": "CT"}, numTraining=1, file_ending=".png")
    assert score(folders, file) == {"liver": 0.75, "tumour": 1.0}


def test_a_file_that_begins_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    file = tmp_path / "dataset.json"
    content = {"labels": V2, "channel_names": {"0": "CT"}, "numTraining": 1, "file_ending": ".png"}
    file.write_text(json.dumps(content), encoding="utf-8-sig")
    assert read_class_names(str(file)).names == ("background", "liver", "tumour")
    assert read_description(tmp_path).classes == ("background", "liver", "tumour")


def test_without_one_the_values_are_classes(tmp_path: Path, folders: tuple[Path, Path]) -> None:
    found = score(folders, described(tmp_path, labels=V2 | {"stripe": 3}))
    assert found == {"liver": pytest.approx(2 * 240 / (320 + 320 + 32)), "tumour": 1.0, "stripe": 0.0}
    with pytest.raises(ContrastsegError, match=r"reference with labels \[3\]"):
        score(folders, described(tmp_path, labels=V2))
    assert score(folders, described(tmp_path, labels=V2), "--ignore", "3") == {"liver": 0.75, "tumour": 1.0}


def test_a_prepared_data_set_names_its_classes(tmp_path: Path, folders: tuple[Path, Path]) -> None:
    names = ["background", "liver", "tumour", "stripe"]
    found = score(folders, described(tmp_path, classes=names, entry="mine", unit="pixel"))
    assert list(found) == names[1:]
    assert read_class_names(described(tmp_path, classes=names)) == ClassNames(tuple(names), True, 255)


def test_regions_are_refused_with_labels_to_copy(tmp_path: Path, folders: tuple[Path, Path]) -> None:
    file = described(tmp_path, labels=REGIONS, regions_class_order=[1, 2, 3])
    with pytest.raises(ContrastsegError, match="regions are not supported: whole, core") as error:
        score(folders, file)
    assert error.value.file == Path(file)
    copied = re.search(r"\{.*\}", str(error.value.remedy))
    assert copied is not None
    found = score(folders, described(tmp_path / "copy", **json.loads(copied[0])))
    assert list(found) == ["label 1", "label 2", "enhancing"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{}", "names no classes"),
        ("[1, 2]", "names no classes"),
        ('{"classes": {"a": 1}}', "names no classes"),
        ('{"classes": ["background"]}', "background"),
        ('{"classes": ["background", "a", "a"]}', "named twice: a"),
        ('{"labels": {"background": 0}}', "background"),
        ('{"labels": {"background": 0, "a": 2}}', "not 0, 1, 2"),
        ('{"labels": {"background": 0, "ignore": 1, "a": 2}}', "ignore is not the highest label"),
        ('{"labels": null}', "labels are missing"),
        ("{", "JSON"),
    ],
)
def test_files_that_name_no_classes_are_named(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "dataset.json"
    file.write_text(text)
    with pytest.raises(ContrastsegError, match=reason) as error:
        read_class_names(str(file))
    assert error.value.file == file
    assert error.value.remedy


def test_names_in_words(tmp_path: Path) -> None:
    assert read_class_names("background, liver ,tumour") == ClassNames(("background", "liver", "tumour"))
    for wrong, reason in (("liver", "beside"), ("", "beside"), ("background,,a", "without a name"), ("a,b,b", "twice")):
        with pytest.raises(ContrastsegError, match=reason):
            read_class_names(wrong)
    with pytest.raises(ContrastsegError, match="not found"):
        read_class_names(str(tmp_path / "dataset.json"))
