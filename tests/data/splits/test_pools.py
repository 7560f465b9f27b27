"""Pre-training pools: everything is used or left out with a reason, and nothing that is tested on is inside."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.splits.pool_files import Pool, pool_cases, pool_hash
from contrastseg.data.splits.pools import PoolSettings, make_pool, write_pool
from contrastseg.data.splits.split_files import Split
from contrastseg.data.splits.splits import split_dataset
from contrastseg.errors import PoolError
from contrastseg.files import write_json
from tests.pooling import prepared, renamed


@dataclass(frozen=True)
class World:
    """`home` is trained on; `archive` shows the same people's first 14 and is another data set; `again` is the same."""

    folder: Path
    data: dict[str, PreparedDataset]
    splits: dict[str, Split]

    def make(self, *sources: str, tests: dict[str, Any] | None = None) -> dict[str, Any]:
        settings = PoolSettings(entry="home", sources=sources, tests=tests or {"home": (0,)})
        return make_pool(settings, self.data, self.splits)

    def write(self, path: Path, *sources: str) -> Path:
        settings = PoolSettings(entry="home", sources=sources, tests={"home": (0,)})
        folders = {name: data.folder for name, data in self.data.items()}
        files = {name: self.folder / f"{name}.json" for name in self.splits}
        return write_pool(settings, folders, files, path)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("pools")
    data = {
        "home": prepared(folder, "home", "phantom_lesions", cases=10),
        "again": prepared(folder, "again", "phantom_lesions", cases=12, seed=3),
        "archive": prepared(folder, "archive", renamed("archive"), {"intensity": "uint8"}, cases=14),
        "clinic": prepared(folder, "clinic", renamed("clinic"), cases=3, seed=3),
    }
    splits = {}
    for entry in ("home", "clinic"):
        settings = {"name": "official"} if entry == "clinic" else {}
        splits[entry] = Split.from_file(split_dataset(entry, data[entry].folder, settings, folder / f"{entry}.json"))
    return World(folder, data, splits)


def of(value: dict[str, Any], key: str, entry: str) -> dict[str, Any]:
    return {case["case"]: case for case in value[key] if case["entry"] == entry}


def number(case: str) -> int:
    return int(case[-4:])


@pytest.mark.parametrize(
    "sources", [("home",), ("home", "archive"), ("archive",), ("archive", "home"), ("again", "home")]
)
def test_every_case_of_every_source_is_used_or_left_out_with_a_reason(world: World, sources: tuple[str, ...]) -> None:
    value = world.make(*sources)
    for entry in sources:
        used, left = of(value, "used", entry), of(value, "left_out", entry)
        assert not used.keys() & left.keys()
        assert used.keys() | left.keys() == set(world.data[entry].cases)
        assert all(case["reason"] for case in left.values())
        for name, case in {**used, **left}.items():
            assert case["image"] == world.data[entry].image_hash(name)
            assert len(case["image"]) == 64
    images = [case["image"] for case in value["used"]]
    assert len(images) == len(set(images)), "an image is seen once"


def test_test_images_are_found_under_other_names(world: World) -> None:
    value, home = world.make("home", "archive"), world.splits["home"]
    assert set(of(value, "used", "home")) == set(home.train())
    left = of(value, "left_out", "archive")
    tested, trained = ({number(case) for case in cases} for cases in (home.test(), home.train()))
    for name, case in left.items():
        if number(name) in tested:
            assert case["reason"] == f"the image of test case home/lesion{number(name):04d}"
        else:
            assert case["reason"] == f"the same image as home/lesion{number(name):04d}, which is used"
            assert number(name) in trained
    assert {number(name) for name in left} == tested | trained
    assert {number(name) for name in of(value, "used", "archive")} == set(range(14)) - tested - trained


def test_a_tested_patient_of_the_same_data_set_stays_out_whatever_the_image(world: World) -> None:
    value, tested = world.make("again"), set(world.splits["home"].test())
    left = of(value, "left_out", "again")
    assert set(left) == tested
    assert all("is tested on in home" in case["reason"] for case in left.values())


def test_what_others_are_tested_on_stays_out_too(world: World) -> None:
    value = world.make("again", tests={"home": (0,), "clinic": (0,)})
    reasons = {case: entry["reason"] for case, entry in of(value, "left_out", "again").items()}
    for shown in range(3):
        if (patient := f"lesion{shown:04d}") not in world.splits["home"].test():
            assert reasons[patient] == f"the image of test case clinic/clinic{shown:04d}"
    assert set(reasons) == {f"lesion{shown:04d}" for shown in range(3)} | set(world.splits["home"].test())
    assert {test["entry"] for test in value["tests"]} == {"home", "clinic"}


def test_own_patients_that_do_not_train_are_left_out(world: World) -> None:
    reasons = {case: entry["reason"] for case, entry in of(world.make("home"), "left_out", "home").items()}
    assert all("tested on in home" in reasons[patient] for patient in world.splits["home"].test())
    for patient in world.splits["home"].val():
        assert reasons[patient] == "no training patient of home, fold 0"


def test_a_list_of_patients_narrows_one_s_own_and_nobody_else_s(world: World) -> None:
    training = world.splits["home"].train()
    settings = {"entry": "home", "sources": ("home", "archive"), "tests": {"home": (0,)}}
    listed = (*training[:2], *world.splits["home"].test()[:1])
    whole, narrowed = (
        make_pool(PoolSettings.model_validate({**settings, "patients": patients}), world.data, world.splits)
        for patients in (None, listed)
    )
    patients = {case["patient"] for case in narrowed["used"] if case["entry"] == "home"}
    assert patients == set(training[:2]), "who is tested stays out, listed or not"
    assert {case["patient"] for case in whole["used"] if case["entry"] == "home"} == set(training)
    everything = world.data["archive"].cases
    for value in (whole, narrowed):
        assert of(value, "used", "archive").keys() | of(value, "left_out", "archive").keys() == set(everything)


def test_a_pool_with_nothing_in_it_is_refused(world: World) -> None:
    with pytest.raises(PoolError, match="no case of clinic is left") as caught:
        world.make("clinic", tests={"home": (0,), "clinic": (0,)})
    assert caught.value.remedy


def test_the_file_reads_back_and_stays_as_it_is(world: World, tmp_path: Path) -> None:
    path = world.write(tmp_path / "pool.json", "home", "archive")
    stamp = path.stat().st_mtime_ns
    world.write(path, "home", "archive")
    assert path.stat().st_mtime_ns == stamp
    pool = Pool.from_file(path)
    assert pool.sources == ("home", "archive")
    assert pool.cases_of("home") == sorted(world.splits["home"].train())
    assert pool.hash == pool_hash(pool.used)
    pool.check(world.data)


def test_a_file_that_was_changed_is_refused(world: World, tmp_path: Path) -> None:
    path = world.write(tmp_path / "pool.json", "home", "archive")
    value = json.loads(path.read_text())
    value["used"].pop()
    write_json(path, value)
    with pytest.raises(PoolError, match="hash does not fit"):
        Pool.from_file(path)


@pytest.mark.parametrize("source", ["home", "archive"])
def test_a_test_case_that_got_inside_is_refused(world: World, tmp_path: Path, source: str) -> None:
    path = world.write(tmp_path / "pool.json", "home", "archive")
    value = json.loads(path.read_text())
    tested = world.splits["home"].test()[0].replace("lesion", "lesion" if source == "home" else "archive")
    (case,) = pool_cases(source, world.data[source], [tested])
    value["used"].append(vars(case))
    value["hash"] = pool_hash([*Pool.from_file(path).used, case])
    write_json(path, value)
    with pytest.raises(PoolError, match="a test case is inside") as caught:
        Pool.from_file(path)
    assert caught.value.case == f"{source}/{tested}"
    assert caught.value.file == path


def test_other_data_than_the_pool_was_made_of_is_refused(world: World, tmp_path: Path) -> None:
    pool = Pool.from_file(world.write(tmp_path / "pool.json", "home", "archive"))
    other = prepared(tmp_path, "archive", renamed("archive"), cases=14, seed=1)
    with pytest.raises(PoolError, match="not the one this pool was made of"):
        pool.check({**world.data, "archive": other})
    fewer = prepared(tmp_path / "fewer", "archive", renamed("archive"), cases=3)
    with pytest.raises(PoolError, match="not the one this pool was made of"):
        pool.check({**world.data, "archive": fewer})
    shutil.copytree(world.data["archive"].folder, tmp_path / "moved")
    pool.check({**world.data, "archive": PreparedDataset(tmp_path / "moved")})
