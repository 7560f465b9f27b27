"""Super-pixel maps of prepared images: what they are, where they lie, and when they are made again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.prepare.preparation import prepare_dataset
from contrastseg.data.prepare.superpixels import superpixel_map
from contrastseg.data.settings import SuperpixelSettings
from contrastseg.errors import DataError


def halves(depth: int | None = None, dtype: Any = np.float32, channels: int = 1) -> np.ndarray:
    """Dark left, bright right, in every slice and channel."""
    plane = np.zeros((20, 24), dtype=dtype)
    plane[:, 12:] = 200
    shape = (channels, *(() if depth is None else (depth,)), 20, 24)
    return np.broadcast_to(plane, shape).astype(dtype)


COARSE = SuperpixelSettings(scale=100, sigma=0, min_size=20)


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_two_halves_are_two_regions(dtype: Any, channels: int) -> None:
    found = superpixel_map(halves(dtype=dtype, channels=channels), COARSE)
    assert found.dtype == np.int32
    assert found.shape == (20, 24)
    assert np.unique(found).tolist() == [1, 2]
    assert len(np.unique(found[:, :12])) == len(np.unique(found[:, 12:])) == 1


def test_ids_continue_over_the_slices_of_a_volume() -> None:
    found = superpixel_map(halves(depth=3), COARSE)
    assert [np.unique(plane).tolist() for plane in found] == [[1, 2], [3, 4], [5, 6]]


def test_the_air_around_a_body_is_no_region() -> None:
    body = SuperpixelSettings(scale=100, sigma=0, min_size=20, body=0.1)
    found = superpixel_map(halves(depth=2, channels=2), body)
    assert [np.unique(plane).tolist() for plane in found] == [[0, 1], [0, 2]]
    assert not found[:, :, :12].any()


def test_an_image_of_one_value_is_one_region() -> None:
    assert np.unique(superpixel_map(np.full((1, 2, 8, 9), 7.0), COARSE)).tolist() == [1, 2]


def test_the_scale_is_that_of_8_bit_values_and_decides_how_coarse() -> None:
    image = np.random.default_rng(0).random((1, 64, 64)).cumsum(axis=2)
    counts = [
        int(superpixel_map(image, SuperpixelSettings(scale=scale, sigma=0.8, min_size=5)).max()) for scale in (1, 400)
    ]
    assert counts[0] > 2 * counts[1] >= 2
    eight_bits = np.rint(image / image.max() * 255).astype(np.uint8)
    eight_bits[0, 0, :2] = 0, 255
    as_float = eight_bits.astype(np.float32)
    assert np.array_equal(superpixel_map(eight_bits, COARSE), superpixel_map(as_float, COARSE))


def prepare(folder: Path, dataset: str, rule: dict[str, Any] | None, workers: int = 1) -> PreparedDataset:
    options = {"cases": 3, "size": [40, 40]}
    prepare_dataset("made", dataset, options, rule, None, folder, workers=workers)
    return PreparedDataset(folder)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("dataset", ["phantom_lesions", "phantom_organs"])
def test_the_store_holds_the_map_of_the_prepared_image(tmp_path: Path, dataset: str) -> None:
    rule = {"superpixels": {"scale": 50, "min_size": 10}, "size": [32, 36]}
    prepared = prepare(tmp_path / "one", dataset, rule)
    name = prepared.cases[1]
    case = prepared.load(name, with_superpixels=True)
    assert case.superpixels is not None
    assert case.superpixels.shape == case.image.shape[1:]
    settings = prepared.info.preparation.superpixels
    assert settings is not None
    assert np.array_equal(case.superpixels, superpixel_map(case.image, settings))
    assert prepared.load(name).superpixels is None
    mapped = prepared.load(name, mmap=True, with_superpixels=True)
    assert isinstance(mapped.superpixels, np.memmap)
    prepare(tmp_path / "two", dataset, rule, workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_a_map_that_was_changed_or_lost_is_made_again(tmp_path: Path) -> None:
    prepared = prepare(tmp_path, "phantom_lesions", {"superpixels": {}})
    before = contents(tmp_path)
    folder = tmp_path / "cases"
    (folder / prepared.cases[0] / "superpixels.npy").unlink()
    (folder / prepared.cases[1] / "superpixels.npy").write_bytes(b"other")
    kept = (folder / prepared.cases[2] / "superpixels.npy").stat().st_mtime_ns
    prepare(tmp_path, "phantom_lesions", {"superpixels": {}})
    assert contents(tmp_path) == before
    assert (folder / prepared.cases[2] / "superpixels.npy").stat().st_mtime_ns == kept


def test_asking_for_maps_changes_the_manifest_and_not_asking_removes_them(tmp_path: Path) -> None:
    prepare(tmp_path, "phantom_lesions", None)
    without = contents(tmp_path)
    prepare(tmp_path, "phantom_lesions", {"superpixels": {}})
    assert contents(tmp_path)["manifest.json"] != without["manifest.json"]
    prepared = prepare(tmp_path, "phantom_lesions", None)
    assert contents(tmp_path) == without
    with pytest.raises(DataError, match="without super-pixels") as caught:
        prepared.load(prepared.cases[0], with_superpixels=True)
    assert "superpixels: {}" in str(caught.value.remedy)
