"""What the values in masks mean: decided over all files of a set, by what occurs in any of them."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from contrastseg.cli import app
from contrastseg.data.faults import FaultyCasesError
from contrastseg.data.files.formats import read_label
from contrastseg.data.inspect.dataset_check import check_dataset
from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.prepare.native import NativeCases
from contrastseg.data.prepare.preparation import prepare_dataset
from contrastseg.data.readers.mask_values import Coding, FileValues, count_values, structure_coding
from contrastseg.errors import DataError
from tests.miniatures import chaos, la, montgomery, msd_hippocampus, ph2
from tests.miniatures._files import boxes, save_h5

BOX = np.zeros((48, 64), dtype=np.uint8)
BOX[9:31, 12:40] = 1
EMPTY = np.zeros_like(BOX)


def jpeg(array: np.ndarray) -> np.ndarray:
    """What a mask is after lossy compression."""
    buffer = BytesIO()
    Image.fromarray(array).save(buffer, format="JPEG", quality=60)
    return np.asarray(Image.open(buffer))


def shrunk(array: np.ndarray, side: int = 31) -> np.ndarray:
    """What a mask is after resizing with interpolation."""
    return np.asarray(Image.fromarray(array).resize((side, side), Image.Resampling.BICUBIC))


def files(*masks: np.ndarray) -> list[FileValues]:
    return [FileValues(f"c{n}", Path(f"c{n}.png"), count_values(mask)) for n, mask in enumerate(masks)]


def read(*masks: np.ndarray) -> list[np.ndarray]:
    """The masks, each with the one meaning of all."""
    coding = structure_coding(files(*masks))
    return [Coding.from_json(coding.to_json()).apply(mask, "c", Path("c.png")) for mask in masks]


@given(st.integers(1, 255), st.lists(st.integers(0, 40), min_size=1, max_size=5))
def test_the_only_value_beside_0_is_the_structure_in_every_file(value: int, tops: list[int]) -> None:
    masks = [np.where(np.arange(48)[:, None] < top, value, EMPTY).astype(np.uint8) for top in tops]
    for found, mask in zip(read(*masks), masks, strict=True):
        assert np.array_equal(found, mask > 0)
        assert found.dtype == np.uint8


def test_the_higher_of_two_values_is_the_structure_where_0_never_occurs() -> None:
    assert np.array_equal(read(BOX + 1)[0], BOX)
    assert np.array_equal(read(29 + 197 * BOX)[0], BOX)
    assert read(EMPTY + 255, EMPTY)[0].all()


@pytest.mark.parametrize("value", [255, 254, 100, 63])
@pytest.mark.parametrize("spoil", [jpeg, shrunk])
def test_greys_of_compressed_and_resized_masks_are_thresholded_half_way(
    value: int, spoil: Callable[[np.ndarray], np.ndarray]
) -> None:
    clean = [value * BOX, value * BOX[::-1], EMPTY]
    masks = [spoil(np.ascontiguousarray(mask)) for mask in clean]
    coding = structure_coding(files(*masks))
    assert coding.threshold == (127 if value > 250 else value // 2)
    for found, mask in zip(read(*masks), clean, strict=True):
        expected = (spoil(np.ascontiguousarray(mask)) > value / 2).astype(np.uint8)
        assert np.mean(found != expected) < 0.002


def test_a_clean_file_among_greys_is_read_by_the_same_threshold() -> None:
    found = read(jpeg(255 * BOX), 255 * BOX, EMPTY)
    assert np.array_equal(found[1], BOX)
    assert not found[2].any()


@pytest.mark.parametrize(
    ("masks", "odd", "words"),
    [
        ((BOX, 255 * BOX, 255 * BOX[::-1]), "c0", "2 hold 255"),
        ((255 * BOX, 63 * BOX, 255 * BOX), "c1", "1 hold 63"),
        ((jpeg(255 * BOX), BOX), "c1", "1 hold 1 (c1.png)"),
        ((BOX + BOX[::-1], BOX), "c0", "0, 1, 2"),
        ((255 * BOX - 127 * BOX[:, ::-1] * BOX,), "c0", "0, 128, 255"),
        (
            (
                np.where(EMPTY + np.arange(64) < 3, 255, BOX).astype(np.uint8),
                np.where(EMPTY + np.arange(64) < 4, 255, BOX).astype(np.uint8),
            ),
            "c0",
            "nothing declares 255",
        ),
        ((np.choose(np.arange(64) // 13 + 0 * BOX, [0, 63, 126, 189, 252]).astype(np.uint8),), "c0", "5 values"),
    ],
)
def test_values_without_a_common_meaning_are_refused_and_named(
    masks: tuple[np.ndarray, ...], odd: str, words: str
) -> None:
    with pytest.raises(DataError) as caught:
        structure_coding(files(*masks))
    assert words in caught.value.reason
    assert (caught.value.case, caught.value.file) == (odd, Path(f"{odd}.png"))
    assert caught.value.remedy


def test_a_value_that_no_file_of_the_set_had_is_an_error() -> None:
    with pytest.raises(DataError, match="changed"):
        structure_coding(files(100 * BOX)).apply(99 * BOX, "c", Path("c.png"))


def recode(path: Path, value: Callable[[np.ndarray], np.ndarray]) -> None:
    with Image.open(path) as opened:
        mask = np.asarray(opened.convert("L"))
    Image.fromarray(value(mask).astype(np.uint8)).save(path, format="PNG")  # readers go by content


def prepared(dataset: str, raw: Path, **options: Any) -> dict[str, np.ndarray]:
    """The references by case."""
    prepare_dataset("entry", dataset, options, {"size": [24, 24]}, raw, raw.parent / "out")
    store = PreparedDataset(raw.parent / "out")
    return {case: read_label(store.reference_path(case))[0] for case in store.cases}


def same(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> bool:
    return first.keys() == second.keys() and all(np.array_equal(first[case], second[case]) for case in first)


LAYOUTS = [
    ("ph2", ph2, "*_lesion.bmp", {}),
    ("montgomery", montgomery, "MCUCXR*.png", {}),
    ("chaos", chaos, "liver_GT_*.png", {"image": "ct"}),
]


@pytest.mark.parametrize(("dataset", "small", "pattern", "options"), LAYOUTS, ids=[row[0] for row in LAYOUTS])
def test_a_layouts_masks_of_any_two_values_are_the_same_data(
    tmp_path: Path, dataset: str, small: Any, pattern: str, options: dict[str, Any]
) -> None:
    raw = tmp_path / "raw"
    small.MINIATURE.make(raw)
    masks = [path for path in raw.rglob(pattern) if "CXR_png" not in path.parts]
    truth = prepared(dataset, raw, **options)
    assert all(label.any() for label in truth.values())
    for value in (1, 63, 100):
        for path in masks:
            recode(path, lambda mask, value=value: value * (mask > 0))  # type: ignore[misc]
        assert same(prepared(dataset, raw, **options), truth)
        found = check_dataset(raw, dataset, options)
        assert not found.faults
        assert [item.text for item in found.warnings if item.kind == "masks"] == [
            f"masks: {value} is the structure and 0 the background"
        ]
        source = PreparedDataset(tmp_path / "out").info.source
        assert source["masks"] == {"table": [[0, 0], [value, 1]], "threshold": None}
    store = PreparedDataset(tmp_path / "out")
    case = store.cases[0]
    assert np.array_equal(NativeCases(store, raw).load(case).label, truth[case])  # type: ignore[arg-type]
    recode(masks[0], lambda mask: 255 * (mask > 0))
    said = check_dataset(raw, dataset, options).faults
    assert [fault.file for fault in said] == [masks[0]]
    assert "different values" in said[0].reason
    with pytest.raises(DataError, match="different values"):
        prepared(dataset, raw, **options)
    for path in masks:  # the remedy
        recode(path, lambda mask: 255 * (mask > 0))
    assert same(prepared(dataset, raw, **options), truth)
    for path in masks:
        recode(path, lambda mask: 0 * mask)
    assert "empty" in check_dataset(raw, dataset, options).faults[0].reason
    with pytest.raises(DataError, match="empty"):
        prepared(dataset, raw, **options)


def test_h5_crops_of_0_and_255(tmp_path: Path) -> None:
    la.make_h5(tmp_path / "raw")
    truth = prepared("la", tmp_path / "raw")
    crops = sorted((tmp_path / "raw").rglob("mri_norm2.h5"))

    def rewrite(path: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
        with h5py.File(path, "r+") as file:
            file["label"][...] = change(file["label"][()])

    for path in crops:
        rewrite(path, lambda label: 255 * (label > 0))
    assert same(prepared("la", tmp_path / "raw"), truth)
    rewrite(crops[0], lambda label: label // 255)
    with pytest.raises(DataError, match="different values") as caught:
        prepared("la", tmp_path / "raw")
    assert caught.value.file == crops[0]


def test_one_decision_serves_worker_processes_and_is_said(tmp_path: Path) -> None:
    ph2.MINIATURE.make(tmp_path / "raw")
    for path in (tmp_path / "raw").rglob("*_lesion.bmp"):
        recode(path, lambda mask: 100 * (mask > 0))
    rule = '{"preparation": {"size": [24, 24]}}'
    call = ("prepare", "ph2", "--raw", str(tmp_path / "raw"), "--output", str(tmp_path / "out"), "--config", rule)
    done = CliRunner().invoke(app, [*call, "--workers", "2"], catch_exceptions=False)
    assert done.exit_code == 0
    assert "100 is the structure" in done.stderr
    assert PreparedDataset(tmp_path / "out").info.notes == ["masks: 100 is the structure and 0 the background"]
    # Clean masks retrain nothing: the same labels have the same manifest.
    before = (tmp_path / "out" / "manifest.json").read_bytes()
    for path in (tmp_path / "raw").rglob("*_lesion.bmp"):
        recode(path, lambda mask: 255 * (mask > 0))
    CliRunner().invoke(app, list(call), catch_exceptions=False)
    assert (tmp_path / "out" / "manifest.json").read_bytes() == before


def test_an_unreadable_mask_is_reported_once_beside_the_decision(tmp_path: Path) -> None:
    ph2.MINIATURE.make(tmp_path / "raw")
    masks = sorted((tmp_path / "raw").rglob("*_lesion.bmp"))
    masks[0].write_bytes(b"")
    recode(masks[1], lambda mask: 100 * (mask > 0))
    found = check_dataset(tmp_path / "raw", "ph2")
    assert sorted(fault.file for fault in found.faults if fault.file) == masks[:2]
    with pytest.raises((DataError, FaultyCasesError), match="different values"):
        prepared("ph2", tmp_path / "raw")


def test_255_is_an_error_in_published_labels_that_do_not_declare_it(tmp_path: Path) -> None:
    def spoil(path: Path) -> None:
        if path.suffix == ".h5":
            with h5py.File(path, "r+") as file:
                label = file["label"][()]
                label.flat[0] = 255
                file["label"][...] = label
        else:
            image = nibabel.load(path)
            label = np.asarray(image.dataobj).copy()
            label.flat[0] = 255
            nibabel.save(nibabel.Nifti1Image(label, image.affine), path)

    msd_hippocampus.MINIATURE.make(tmp_path / "msd_hippocampus" / "raw")
    image, label = boxes((4, 20, 16), 0)
    save_h5(tmp_path / "acdc" / "raw" / "data" / "patient001_frame01.h5", image, label)
    save_h5(tmp_path / "acdc" / "raw" / "data" / "patient001_frame02.h5", image, label)
    for name, pattern in (("msd_hippocampus", "labelsTr/hippo*.nii.gz"), ("acdc", "*.h5")):
        path = sorted((tmp_path / name / "raw").rglob(pattern))[0]
        prepared(name, tmp_path / name / "raw")
        spoil(path)
        with pytest.raises(DataError, match=r"label values \[255\] are outside.*nothing declares 255") as caught:
            prepared(name, tmp_path / name / "raw")
        assert caught.value.file == path
        assert caught.value.remedy
