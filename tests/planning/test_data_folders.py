"""Edits of published files: what is noticed, what is not, and at which cost."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from contrastseg.data.prepare import inputs
from contrastseg.data.prepare.inputs import Inputs
from contrastseg.data.prepare.preparation import prepare_dataset
from contrastseg.data.registry.described import keep_description
from contrastseg.errors import DataError, UnavailableDataError
from contrastseg.planning import DataFolders, missing_data
from contrastseg.planning.availability import population
from contrastseg.planning.data_paths import prepared_of
from contrastseg.suite import DatasetEntry, parse_suite
from tests.miniatures._nnunet import make_photos

RAW = Path("raw/Dataset001_Moles")
IMAGE, LABEL = "imagesTr/mole_00_0000.png", "labelsTr/mole_00.png"


def asked() -> Any:
    suite = {"name": "own", "datasets": [{"name": "moles", "nnunet": str(RAW)}], "methods": ["supervised"]}
    return parse_suite({**suite, "labels": ["n1"]})[0]


def entry() -> DatasetEntry:
    return asked().datasets[0]


def prepare() -> Path:
    """Prepare the entry as the workflow does."""
    wanted = entry()
    folder = prepared_of(wanted)
    prepare_dataset(wanted.name, "nnunet", wanted.options, wanted.preparation, wanted.spec.folder, folder)
    keep_description(RAW, Path("resources"))
    return folder


def edits() -> list[str]:
    """What a new process finds."""
    return DataFolders().edits(entry())


@pytest.fixture
def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with data of one's own, prepared."""
    monkeypatch.chdir(tmp_path)
    make_photos(RAW, cases=6)
    return prepare()


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files whose content is read while planning, by name."""
    read, undisturbed = [], inputs.sha256

    def sha256(file: Path) -> str:
        read.append(Path(file).name)
        return undisturbed(file)

    monkeypatch.setattr(inputs, "sha256", sha256)
    return read


def settle(prepared: Path) -> None:
    """What waiting for two seconds does: times say enough."""
    record = json.loads((prepared / inputs.RECORD).read_text())
    record["files"] = {name: [inputs._stamp(RAW / name), content] for name, (_, content) in record["files"].items()}
    (prepared / inputs.RECORD).write_text(json.dumps(record))


def redraw(file: Path) -> None:
    image = np.array(Image.open(file))
    image.flat[0] = int(image.flat[0] != 1)
    Image.fromarray(image).save(file)


def keep_the_times(change: Callable[[Path], None], file: Path) -> None:
    """Change a file as `rsync --times` does: neither its size nor its time tells."""
    before = file.stat()
    change(file)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def one_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-20] ^= 1
    file.write_bytes(content)


def describe(change: Callable[[dict[str, Any]], object]) -> None:
    said = json.loads((RAW / "dataset.json").read_text())
    change(said)
    (RAW / "dataset.json").write_text(json.dumps(said))


def add_a_case() -> None:
    shutil.copy(RAW / IMAGE, RAW / IMAGE.replace("00_", "77_"))
    shutil.copy(RAW / LABEL, RAW / LABEL.replace("00.", "77."))
    describe(lambda said: said.update(numTraining=7))


def remove_a_case() -> None:
    (RAW / IMAGE).unlink()
    (RAW / LABEL).unlink()
    describe(lambda said: said.update(numTraining=5))


def table(text: str) -> None:
    (RAW / "patients.csv").write_text(text)


PAIRS = "case,patient\n" + "".join(f"mole_{case:02d},p{case // 2}\n" for case in range(6))


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda: redraw(RAW / IMAGE), [IMAGE]),
        (lambda: redraw(RAW / LABEL), [LABEL]),
        (lambda: keep_the_times(one_byte, RAW / LABEL), [LABEL]),
        (add_a_case, ["mole_77 is new"]),
        (remove_a_case, ["mole_00 is gone"]),
        (lambda: describe(lambda said: said["labels"].update(spot=said["labels"].pop("mole"))), ["dataset.json"]),
        (lambda: table(PAIRS), ["mole_00", "mole_05"]),
        (lambda: table("case;patient\n"), ["fault"]),
        (lambda: (RAW / LABEL).unlink(), ["mole_00"]),
    ],
    ids=["image", "label", "times kept", "case added", "case gone", "class", "patients", "wrong table", "no label"],
)
def test_an_edit_is_noticed_and_preparing_again_settles_it(
    prepared: Path, edit: Callable[[], object], words: list[str]
) -> None:
    assert edits() == []
    edit()
    found = edits()
    assert found
    assert not [word for word in words if word not in " ".join(found)], found
    with contextlib.suppress(DataError):  # what is wrong now stays to be settled
        prepare()
        assert edits() == []


def test_the_cohort_is_the_edited_one(prepared: Path) -> None:
    before = population(entry()).train
    table(PAIRS)
    assert (before, population(entry()).train) == (4, 1), "of six patients, then of three"


def test_nothing_is_read_where_nothing_changed_and_once_where_files_were_touched(
    prepared: Path, hashed: list[str]
) -> None:
    settle(prepared)
    assert (edits(), hashed) == ([], [])
    for file in RAW.rglob("*.png"):
        os.utime(file)
    copy = RAW.with_name("copy")
    shutil.copytree(RAW, copy)
    shutil.rmtree(RAW)
    copy.rename(RAW)
    record = (prepared / inputs.RECORD).read_bytes()
    assert edits() == []
    assert len(hashed) == 13, "six images, six labels and dataset.json"
    assert (prepared / inputs.RECORD).read_bytes() == record, "who only asks writes nothing"
    sources = DataFolders()
    sources.edits(entry())
    sources.remember()
    settle(prepared)
    hashed.clear()
    assert (edits(), hashed) == ([], [])


def test_times_of_the_last_two_seconds_say_nothing_yet(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a disk that tells times to two seconds, a file of the same size may be another within them."""
    stamp = inputs._stamp(RAW / LABEL)
    monkeypatch.setattr(inputs.time, "time_ns", lambda: stamp[2] + 1_000_000_000)
    assert inputs.Input.read(RAW / LABEL).stamp is None
    monkeypatch.setattr(inputs.time, "time_ns", lambda: stamp[2] - 3600_000_000_000)
    assert inputs.Input.read(RAW / LABEL).stamp is None, "the disk's clock is an hour ahead"
    os.utime(RAW / LABEL, ns=(2**62, 2**62))
    monkeypatch.setattr(inputs.time, "time_ns", lambda: inputs._stamp(RAW / LABEL)[2] + 3_000_000_000)
    assert inputs.Input.read(RAW / LABEL).stamp is not None, "a time in the future that somebody set does no harm"


@pytest.mark.parametrize("left", ["nothing", "an empty folder", "the description"])
def test_a_folder_that_was_deleted_after_the_preparation_changes_nothing(prepared: Path, left: str) -> None:
    before = entry().spec
    shutil.rmtree(RAW)
    if left != "nothing":
        RAW.mkdir()
        keep_description = next(Path("resources/described").rglob("dataset.json"))
        shutil.copy(keep_description, RAW)
    assert prepared_of(entry()) == prepared
    assert (entry().spec.classes, entry().spec.title) == (before.classes, before.title)
    assert edits() == []
    assert missing_data(asked()) == {}
    assert population(entry()).train == 4


def test_a_folder_that_was_deleted_before_it_was_prepared_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_photos(RAW, cases=6)
    wanted = asked()
    shutil.rmtree(RAW)
    assert str(RAW) in missing_data(wanted)["moles"]
    with pytest.raises(UnavailableDataError):
        _ = wanted.datasets[0].spec


def test_a_job_on_a_cluster_lists_no_folder(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contrastseg.planning.data_folders.Published.look", None)
    sources = DataFolders(look=False)
    assert population(entry(), sources).train == 4
    redraw(RAW / IMAGE)
    assert sources.edits(entry()) == []


def test_links_are_followed(prepared: Path) -> None:
    kept = Path("elsewhere.png")
    (RAW / LABEL).rename(kept)
    (RAW / LABEL).symlink_to(kept.absolute())
    assert edits() == [], "the same content"
    redraw(kept)
    assert edits() == [f"{LABEL} has another content"]


def test_data_that_was_moved_with_the_project_is_the_same(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = Path.cwd()
    there = here.with_name(f"{here.name}-moved")
    here.rename(there)
    monkeypatch.chdir(there)
    assert prepared_of(entry()) == prepared
    assert edits() == []


def test_a_record_that_is_damaged_prepares_again(prepared: Path) -> None:
    (prepared / inputs.RECORD).write_text("{}")
    assert Inputs.of_prepared(prepared) is None
    assert edits()
    prepare()
    assert edits() == []
