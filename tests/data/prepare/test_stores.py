"""Names of prepared data and splits: the same for what is made alike, another for the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from contrastseg.data.prepare.stores import find_prepared, find_split, prepared_name, split_name
from contrastseg.data.registry import registry
from contrastseg.data.settings import SplitSettings
from contrastseg.errors import SuiteError
from tests.miniatures._nnunet import make_photos


def name(
    options: dict[str, Any], preparation: dict[str, Any], entry: str = "e", dataset: str = "phantom_lesions"
) -> str:
    return prepared_name(entry, registry.get(dataset, options), options, preparation)


def test_what_is_made_alike_has_one_name_however_it_is_written() -> None:
    own = registry.get("phantom_lesions")
    said = {"options": own.options().model_dump(), "preparation": own.preparation.model_dump()}
    assert name({}, {}) == name(said["options"], said["preparation"])
    assert name({}, {"size": [24, 24]}) == name({}, {"size": (24, 24), "intensity": own.preparation.intensity})
    assert name({}, {}).startswith("e-")


def test_what_is_made_otherwise_has_another() -> None:
    found = [
        name({}, {}),
        name({"cases": 9}, {}),
        name({}, {"size": [24, 24]}),
        name({}, {"size": [24, 25]}),
        name({}, {}, entry="f"),
        name({}, {}, dataset="phantom_organs"),
    ]
    assert len(set(found)) == len(found)
    splits = [
        split_name("e", prepared, SplitSettings(**settings), subset)
        for prepared in found[:2]
        for settings in ({}, {"seed": 1}, {"draws": 6}, {"fractions": {"train": 0.5, "val": 0, "test": 0.5}})
        for subset in (False, True)
    ]
    assert len(set(splits)) == len(splits)


def test_two_folders_of_ones_own_are_two_data_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("here", "there"):
        make_photos(Path(folder), cases=2)

    def own(path: str, **options: str) -> str:
        return name({"path": path, **options}, {}, dataset="nnunet")

    assert own("here") == own("./there/../here") == own(str(tmp_path / "here"))
    assert len({own("here"), own("there"), own("here", unlabelled="require_labels")}) == 3


def test_a_person_who_names_the_entry_gets_its_only_store_and_is_asked_where_there_are_several(tmp_path: Path) -> None:
    def prepared(folder: str) -> Path:
        path = tmp_path / "prepared" / folder
        path.mkdir(parents=True)
        (path / "manifest.json").touch()
        return path

    def split(file: str) -> Path:
        path = tmp_path / "splits" / file
        path.parent.mkdir(exist_ok=True)
        path.touch()
        return path

    assert find_prepared("a.b", tmp_path) == tmp_path / "prepared" / "a.b", "where it would lie"
    first, file = prepared("a.b-0123abcd"), split("a.b-0123abcd.json")
    prepared("a.b-c-0123abcd")
    assert (find_prepared("a.b", tmp_path), find_split("a.b", tmp_path)) == (first, file)
    prepared("a.b"), split("a.b.json")
    for find, option in ((find_prepared, "--prepared"), (find_split, "--split")):
        with pytest.raises(SuiteError, match=r"a\.b-0123abcd") as caught:
            find("a.b", tmp_path)
        assert option in str(caught.value.remedy)
