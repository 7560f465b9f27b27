"""From native cases to the prepared store: rules, resuming, faults, the disk."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from contrastseg.data.faults import FaultyCasesError
from contrastseg.data.files.formats import read_label, write_label
from contrastseg.data.files.geometry import Geometry
from contrastseg.data.prepare import preparation
from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.prepare.inference_inputs import prepare_inference_image
from contrastseg.data.prepare.inputs import RECORD
from contrastseg.data.prepare.preparation import prepare_dataset
from contrastseg.data.readers.specs import DatasetSpec, NativeCase, RawCase
from contrastseg.data.registry import registry
from contrastseg.errors import DataError

SHAPE = (4, 12, 10)


def native(seed: int = 0, **changes: Any) -> NativeCase:
    rng = np.random.default_rng(seed)
    image = rng.normal(100, 20, (1, *SHAPE)).astype(np.float32)
    case = NativeCase(image, rng.integers(0, 3, SHAPE).astype(np.uint8), (5.0, 1.5, 1.5), "mm", np.eye(4).tolist())
    return dataclasses.replace(case, **changes)


def spec_of(natives: dict[str, NativeCase], loads: list[str] | None = None) -> DatasetSpec:
    """A data set of these cases, one file each in the raw folder."""

    def load(raw: RawCase, options: Any) -> NativeCase:
        if loads is not None:
            loads.append(raw.case)
        return natives[raw.case]

    def discover(raw: Path | None, options: Any, faults: Any) -> list[RawCase]:
        assert raw is not None
        return [RawCase(name, name.split("_")[0], None, (raw / name,)) for name in natives]

    base = registry.get("phantom_organs")
    return dataclasses.replace(
        base, name="made", classes=("background", "a", "b"), discover=discover, load=load, generated_cases=None
    )


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "raw"
    folder.mkdir()
    for name in ("p1_a", "p1_b", "p2_a"):
        (folder / name).write_text(name)
    return folder


def three(**faulty: NativeCase) -> dict[str, NativeCase]:
    return {name: native(seed) for seed, name in enumerate(("p1_a", "p1_b", "p2_a"))} | faulty


def prepare(natives: dict[str, NativeCase], raw: Path, rule: Any = None, loads: list[str] | None = None) -> Path:
    output = raw.parent / "out"
    prepare_dataset("entry", spec_of(natives, loads), None, rule, raw, output)
    return output


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_store_reads_back_what_was_prepared(raw: Path) -> None:
    natives = three()
    prepared = PreparedDataset(prepare(natives, raw))
    assert prepared.cases == ["p1_a", "p1_b", "p2_a"]
    assert prepared.patients == ["p1", "p2"]
    assert prepared.cases_of(["p2", "p1"]) == ["p2_a", "p1_a", "p1_b"]
    assert (prepared.num_classes, prepared.in_channels) == (3, 1)
    assert prepared.info.unit == "mm"
    assert prepared.info.source["patients"] == 2
    case = prepared.load("p1_b")
    assert case.image.dtype == np.float16
    assert case.label is not None
    assert np.array_equal(case.label, natives["p1_b"].label)
    assert case.image.astype(float).mean() == pytest.approx(0, abs=1e-3)
    assert case.image.astype(float).std() == pytest.approx(1, abs=1e-3)
    assert list(prepared.index.columns) == [
        *("case", "patient", "frame", "part", "stratum", "labelled", "shape", "spacing", "image")
    ]
    assert prepared.index.loc[0, "shape"] == "4x12x10"
    assert prepared.index.loc[0, "spacing"] == "5.0x1.5x1.5"
    assert isinstance(prepared.load("p1_b", mmap=True).image, np.memmap)
    assert prepared.load("p1_b", with_label=False).label is None


def test_references_are_the_native_labels_whatever_the_preparation(raw: Path) -> None:
    natives = three()
    natives["p1_a"].label[0, 0, :3] = 255  # type: ignore[index]
    spec = dataclasses.replace(spec_of(natives), ignore=True)
    prepare_dataset("entry", spec, None, {"size": [6, 5], "intensity": "minmax"}, raw, raw.parent / "out")
    prepared = PreparedDataset(raw.parent / "out")
    for name, original in natives.items():
        label, spacing, affine = read_label(prepared.reference_path(name))
        assert np.array_equal(label, original.label)  # type: ignore[arg-type]
        assert (spacing, affine) == (original.spacing, original.affine)
    case = prepared.load("p1_a")
    assert case.image.shape == (1, 4, 6, 5)
    assert case.geometry.to_native(case.image[0].astype(np.float32), 1).shape == SHAPE


def test_255_is_an_error_where_the_data_set_does_not_declare_it(raw: Path) -> None:
    natives = three()
    natives["p1_a"].label[0, 0, :3] = 255  # type: ignore[index]
    with pytest.raises(DataError, match=r"\[255\] are outside .*nothing declares 255") as caught:
        prepare(natives, raw)
    assert (caught.value.case, caught.value.file) == ("p1_a", raw / "p1_a")
    assert "DatasetSpec" in str(caught.value.remedy)


def test_labels_that_are_all_empty_are_an_error(raw: Path) -> None:
    def empty(case: NativeCase) -> NativeCase:
        return dataclasses.replace(case, label=np.zeros_like(case.label))

    natives = {name: empty(case) for name, case in three().items()}
    with pytest.raises(DataError, match="all 3 are empty") as caught:
        prepare(natives, raw)
    assert caught.value.remedy
    assert not (raw.parent / "out" / "manifest.json").exists()
    natives["p1_b"] = three()["p1_b"]  # one structure in one case is enough
    (raw / "p1_b").write_text("mended")
    prepare(natives, raw)
    natives["p1_b"] = empty(natives["p1_b"])
    (raw / "p1_b").write_text("emptied")
    with pytest.raises(DataError, match="all 3 are empty"):  # the other two are kept from before
        prepare(natives, raw)


def test_without_resampling_the_prepared_label_is_the_reference(raw: Path, tmp_path: Path) -> None:
    prepared = PreparedDataset(prepare(three(), raw))
    for name in prepared.cases:
        case = prepared.load(name)
        assert case.label is not None
        write_label(tmp_path / prepared.native_name(name), case.geometry.to_native(case.label, 0), case.geometry)
        assert (tmp_path / prepared.native_name(name)).read_bytes() == prepared.reference_path(name).read_bytes()


def test_preparing_again_reads_nothing_and_touches_nothing(raw: Path) -> None:
    loads: list[str] = []
    output = prepare(three(), raw, loads=loads)

    def times() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in output.rglob("*") if path.name != RECORD}

    before = times()
    prepare(three(), raw, loads=loads)
    assert loads == ["p1_a", "p1_b", "p2_a"]
    assert times() == before


def test_the_same_input_gives_the_same_bytes_elsewhere(raw: Path, tmp_path: Path) -> None:
    first = contents(prepare(three(), raw, {"size": [7, 9]}))
    prepare_dataset("entry", spec_of(three()), None, {"size": [7, 9]}, raw, tmp_path / "elsewhere")
    assert contents(tmp_path / "elsewhere") == first


def test_a_case_whose_details_changed_is_prepared_again(raw: Path) -> None:
    loads: list[str] = []
    spec = spec_of(three(), loads)
    for details in ({"box": (0, 2)}, {"box": (0, 2)}, {"box": (2, 4)}):

        def discover(*given: Any, details: dict[str, Any] = details) -> list[RawCase]:
            return [dataclasses.replace(case, details=details) for case in spec.discover(*given)][:1]

        changed = dataclasses.replace(spec, discover=discover)
        prepare_dataset("entry", changed, None, None, raw, raw.parent / "out")
    assert loads == ["p1_a", "p1_a"]


def test_only_the_case_whose_file_changed_is_prepared_again(raw: Path) -> None:
    loads: list[str] = []
    output = prepare(three(), raw, loads=loads)
    manifest = json.loads((output / "manifest.json").read_text())
    (raw / "p1_b").write_text("changed")
    prepare(three(p1_b=native(99)), raw, loads=loads)
    again = json.loads((output / "manifest.json").read_text())
    assert loads[3:] == ["p1_b"]
    assert {name for name in manifest if manifest[name] != again[name]} == {"p1_b"}


def test_damaged_and_unfinished_cases_are_prepared_again(raw: Path) -> None:
    loads: list[str] = []
    output = prepare(three(), raw, loads=loads)
    whole = contents(output)
    (output / "cases/p1_a/image.npy").write_bytes(b"damaged")
    (output / "references/p1_b.nii.gz").unlink()
    (output / "cases/p2_a/state.json").unlink()
    prepare(three(), raw, loads=loads)
    assert loads[3:] == ["p1_a", "p1_b", "p2_a"]
    assert contents(output) == whole


def test_another_rule_prepares_everything_again_and_changes_the_manifest(raw: Path) -> None:
    output = prepare(three(), raw)
    before = (output / "manifest.json").read_bytes()
    prepare(three(), raw, {"intensity": "minmax"})
    assert (output / "manifest.json").read_bytes() != before
    image = PreparedDataset(output).load("p1_a").image
    assert (image.min(), image.max()) == (0, 1)


def test_cases_that_left_the_data_set_leave_the_store(raw: Path) -> None:
    output = prepare(three(), raw)
    natives = three()
    del natives["p1_b"]
    prepare(natives, raw)
    assert sorted(path.name for path in (output / "cases").iterdir()) == ["p1_a", "p2_a"]
    assert sorted(path.name for path in (output / "references").iterdir()) == ["p1_a.nii.gz", "p2_a.nii.gz"]


def test_cases_without_a_label(raw: Path) -> None:
    prepared = PreparedDataset(prepare(three(p2_a=native(label=None)), raw))
    assert prepared.load("p2_a").label is None
    assert not prepared.reference_path("p2_a").exists()
    assert prepared.index["labelled"].tolist() == [True, True, False]


@pytest.mark.parametrize("dataset", ["phantom_lesions", "phantom_organs"])
def test_several_workers_write_the_same_store(tmp_path: Path, dataset: str) -> None:
    calls = []
    for workers in (1, 2):
        prepare_dataset(
            "x", dataset, {"cases": 3, "size": [24, 32]}, None, None, tmp_path / str(workers),
            workers=workers, progress=lambda done, total: calls.append((done, total)),
        )  # fmt: skip
    assert contents(tmp_path / "1") == contents(tmp_path / "2")
    assert calls == [(1, 3), (2, 3), (3, 3)] * 2


def broken(value: float) -> np.ndarray:
    image = native().image.copy()
    image[0, 1, 2, 3] = value
    return image


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"image": broken(np.nan)}, "1 image voxels are NaN or infinite"),
        ({"image": broken(-np.inf)}, "1 image voxels are NaN or infinite"),
        ({"label": np.full(SHAPE, 7, dtype=np.uint8)}, r"label values \[7\] are outside"),
        ({"label": np.zeros((4, 12, 9), dtype=np.uint8)}, "its label"),
        ({"image": np.zeros((2, *SHAPE), dtype=np.float32)}, "image of shape"),
        ({"image": np.zeros((1, 12, 10), dtype=np.float32)}, "image of shape"),
        ({"image": np.zeros((1, 0, 12, 10), dtype=np.float32)}, "without voxels"),
        ({"spacing": (5.0, 0.0, 1.5)}, "not positive"),
    ],
)
def test_each_fault_names_case_file_reason_and_remedy(raw: Path, changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(DataError, match=reason) as caught:
        prepare(three(p1_b=native(**changes)), raw)
    assert (caught.value.case, caught.value.file) == ("p1_b", raw / "p1_b")
    assert caught.value.remedy
    assert not (raw.parent / "out" / "manifest.json").exists()


def test_all_faults_are_reported_at_once_and_sound_cases_are_kept(raw: Path) -> None:
    natives = three(p1_a=native(image=broken(np.nan)), p2_a=native(label=np.full(SHAPE, 9, dtype=np.uint8)))
    with pytest.raises(FaultyCasesError, match="2 faults") as caught:
        prepare(natives, raw)
    assert [fault.case for fault in caught.value.faults] == ["p1_a", "p2_a"]
    assert "NaN" in str(caught.value)
    assert "[9]" in str(caught.value)
    loads: list[str] = []
    prepare(three(), raw, loads=loads)
    assert loads == ["p1_a", "p2_a"]


def test_an_earlier_manifest_survives_a_failure(raw: Path) -> None:
    output = prepare(three(), raw)
    before = (output / "manifest.json").read_bytes()
    (raw / "p1_a").write_bytes(b"")
    with pytest.raises(DataError, match="empty"):
        prepare(three(), raw)
    assert (output / "manifest.json").read_bytes() == before


def test_two_cases_of_one_name(raw: Path) -> None:
    spec = spec_of(three())
    doubled = dataclasses.replace(spec, discover=lambda *args: [*spec.discover(*args), *spec.discover(*args)[:1]])
    with pytest.raises(DataError, match="two cases have this name") as caught:
        prepare_dataset("entry", doubled, None, None, raw, raw.parent / "out")
    assert caught.value.case == "p1_a"


def test_units_do_not_mix(raw: Path) -> None:
    with pytest.raises(DataError, match="different units"):
        prepare(three(p2_a=native(spacing=None, unit="voxel", affine=None)), raw)


def test_no_space_left(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any, **kwargs: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(preparation.np, "save", full)
    with pytest.raises(DataError, match="no space left") as caught:
        prepare(three(), raw)
    assert caught.value.remedy
    assert not [path for path in (raw.parent / "out").rglob("*") if path.is_file() and path.name != ".lock"]


def test_a_rule_the_case_cannot_follow_names_the_case(raw: Path) -> None:
    voxels = {name: dataclasses.replace(case, spacing=None, unit="voxel") for name, case in three().items()}
    with pytest.raises(FaultyCasesError) as caught:
        prepare(voxels, raw, {"spacing": [5.0, 1.5, 1.5]})
    assert [fault.case for fault in caught.value.faults] == ["p1_a", "p1_b", "p2_a"]


def test_images_from_outside_are_prepared_like_the_data_set(raw: Path, tmp_path: Path) -> None:
    import nibabel

    natives = three()
    prepared = PreparedDataset(prepare(natives, raw, {"size": [6, 8]}))
    original = natives["p1_a"]
    image = nibabel.Nifti1Image(original.image[0].transpose(), np.diag([1.5, 1.5, 5.0, 1.0]))
    nibabel.save(image, tmp_path / "someone.nii.gz")
    case = prepare_inference_image([tmp_path / "someone.nii.gz"], "someone", prepared.info)
    assert np.array_equal(case.image, prepared.load("p1_a").image)
    assert (case.case, case.label) == ("someone", None)
    assert case.geometry.native_shape == SHAPE
    assert case.geometry.native_spacing == (5.0, 1.5, 1.5)


def test_outside_images_of_another_kind_are_refused(raw: Path, tmp_path: Path) -> None:
    info = PreparedDataset(prepare(three(), raw)).info
    Image.fromarray(np.zeros((8, 8, 3), dtype=np.uint8)).save(tmp_path / "photo.png")
    with pytest.raises(DataError, match="3 channels of 2 dimensions") as caught:
        prepare_inference_image([tmp_path / "photo.png"], "photo", info)
    assert (caught.value.case, caught.value.file) == ("photo", tmp_path / "photo.png")


def test_grey_photographs_serve_where_colour_is_expected(tmp_path: Path) -> None:
    prepare_dataset("x", "phantom_lesions", {"cases": 1, "size": [16, 16]}, None, None, tmp_path / "out")
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(tmp_path / "grey.bmp")
    case = prepare_inference_image([tmp_path / "grey.bmp"], "grey", PreparedDataset(tmp_path / "out").info)
    assert case.image.shape == (3, 8, 8)
    assert case.geometry == Geometry((8, 8), None, "pixel", None, "png", (8, 8))


def test_asking_the_store_for_what_it_lacks(raw: Path, tmp_path: Path) -> None:
    prepared = PreparedDataset(prepare(three(), raw))
    asking: list[Callable[[], object]] = [
        lambda: prepared.load("p9"),
        lambda: prepared.geometry("p9"),
        lambda: prepared.cases_of(["p1", "p9"]),
        lambda: PreparedDataset(tmp_path / "nowhere"),
    ]
    for call in asking:
        with pytest.raises(DataError):
            call()


def test_the_image_hash_is_of_shape_and_values(raw: Path, tmp_path: Path) -> None:
    image = np.arange(480, dtype=np.float32).reshape(1, *SHAPE)
    same = {"p1_a": native(image=image), "p1_b": native(image=np.asfortranarray(image.astype(np.int16)))}
    prepared = PreparedDataset(prepare(same | {"p2_a": native(image=-0.0 * image)}, raw))
    assert prepared.image_hash("p1_a") == prepared.image_hash("p1_b") != prepared.image_hash("p2_a")
    elsewhere = tmp_path / "other"
    changed = {"p1_a": native(image=image[:, ::-1]), "p2_a": native(image=0 * image)}
    prepare_dataset("entry", spec_of(changed), None, {"intensity": "minmax", "size": [6, 6]}, raw, elsewhere)
    assert PreparedDataset(elsewhere).image_hash("p1_a") != prepared.image_hash("p1_a")
    assert PreparedDataset(elsewhere).image_hash("p2_a") == prepared.image_hash("p2_a"), "the native image counts"
