"""`make gpu-pack`: images in 8 bits and the mark of what comes of them, packages that are lacking, and the size."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.splits.split_files import Split

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Imports a module of `benchmarks/gpu`, whose scripts find each other and those of `benchmarks/speed`."""
    for folder in ("speed", "gpu"):
        monkeypatch.syspath_prepend(str(ROOT / "benchmarks" / folder))
    return importlib.import_module


@pytest.mark.parametrize("shape", [(1, 5, 7), (3, 4, 6, 5)])
def test_eight_bits_are_half_a_step_off_at_most(gpu, shape):
    quantised = gpu("_quantised")
    random = np.random.default_rng(0)
    image = (random.normal(size=shape) * 10 ** np.arange(shape[0]).reshape(-1, *[1] * (len(shape) - 1))).astype("f4")
    codes, low, step = quantised.encode(image)
    assert codes.dtype == np.uint8
    restored = quantised.decode(codes, low, step, "float32")
    assert restored.dtype == np.float32
    for channel, size in enumerate(step):
        errors = np.abs(restored[channel] - image[channel])
        assert errors.max() <= 0.51 * size
        assert errors.max() > 0.1 * size, "it is not the image itself"
        assert size == pytest.approx(np.ptp(image[channel].astype("f8")) / 255)
    flat = np.full((1, 3, 3), 0.25, dtype=np.float32)
    assert np.array_equal(quantised.decode(*quantised.encode(flat), "float32"), flat)


def test_a_pack_has_whom_it_names_and_says_that_it_is_8_bit(gpu, phantoms, tmp_path):
    quantised, pack = gpu("_quantised"), gpu("pack")
    phantom = phantoms[3]
    dataset, split = PreparedDataset(phantom.data), Split.from_file(phantom.split)
    patients = quantised.chosen(split, "n1", 2)
    order = list(split.orders["0"]["0"])
    assert patients == {"labelled": order[:1], "unlabelled": order[1:3], "test": split.test()}
    quantised.store_dataset(dataset, split, patients, tmp_path / "made")
    pack.compress(tmp_path / "made", tmp_path / "data.tar.xz")
    folder = quantised.restore_dataset(tmp_path / "data.tar.xz", tmp_path / "back")
    restored, rest = PreparedDataset(folder / "prepared"), Split.from_file(folder / "split.json")
    assert restored.info.notes[-1] == f"8-bit subset: 5 of {len(dataset.patients)} patients"
    assert (rest.labelled("n1"), rest.train(), rest.test()) == (order[:1], sorted(order[:3]), split.test())
    assert sorted(restored.cases) == sorted(dataset.cases_of([*order[:3], *split.test()]))
    for name in restored.cases:
        one, other = restored.load(name), dataset.load(name)
        assert one.image.dtype == other.image.dtype
        step = np.ptp(other.image.astype("f8")) / 255
        # Half a step, and float16's rounding of it.
        assert 0.1 * step < np.abs(one.image.astype("f8") - other.image).max() < 0.7 * step
        assert np.array_equal(one.label, other.label)
    for name in dataset.cases_of(split.test(), labelled=True):
        assert restored.reference_path(name).read_bytes() == dataset.reference_path(name).read_bytes()


def test_a_pack_beyond_its_limit_is_refused_with_what_makes_it_smaller(gpu):
    check = gpu("pack").check_size
    check({"data": 30 * 2**20, "packages": 10 * 2**20})
    with pytest.raises(
        SystemExit, match=r"40\.0 MiB, 40 are allowed: data 30\.0, packages 10\.0\. Fix: .*PACK_UNLABELLED"
    ):
        check({"data": 30 * 2**20, "packages": 10 * 2**20 + 1})


def test_a_pack_has_every_module_that_its_tests_import(gpu):
    carried = {str(path.relative_to(ROOT)) for path in gpu("pack").project_files()}
    tests = [path for path in carried if path.startswith("tests/")]
    assert len(tests) > 4
    for path in tests:
        for module in re.findall(r"^from (tests\.\w+) import", (ROOT / path).read_text(), re.MULTILINE):
            assert module.replace(".", "/") + ".py" in carried, f"{path} imports {module}"


def test_packages_that_are_there_stay_behind_with_their_companions(gpu):
    packages = gpu("_packages")
    everything = packages.needed([])
    assert everything["iniconfig"] == "pytest"
    left = packages.needed(["pytest", "numpy"])
    assert set(everything) - set(left) == {"pytest", "pluggy", "iniconfig", "pygments", "numpy"}
    with pytest.raises(SystemExit, match="not in the pack anyway: monai"):
        packages.needed(["monai"])
    lacking = {*packages.PACKAGES} - set(packages.locked())
    assert not lacking, "every one of them has a version that the project is tested with"


def test_an_installed_package_can_be_used_from_its_folder(gpu, tmp_path):
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    found = gpu("_packages").gather(["iniconfig"], here, tmp_path)
    assert found["iniconfig"]["compiled"] is False
    code = "import iniconfig; from importlib.metadata import version; print(iniconfig.__file__, version('iniconfig'))"
    command = [sys.executable, "-S", "-c", code]
    shown = subprocess.run(command, env={"PYTHONPATH": str(tmp_path / "iniconfig")}, capture_output=True, text=True)
    assert shown.stdout.split() == [str(tmp_path / "iniconfig/iniconfig/__init__.py"), found["iniconfig"]["version"]]


def said(**packages: dict) -> dict:
    return {"python": "3.99", "machine": "x86_64", "expected": {"torch": "2.0"}, "packages": packages}


def test_a_machine_takes_from_a_pack_what_it_lacks(gpu):
    start = gpu("start")
    pure = {"of": "nowhere", "oldest": "", "compiled": False}
    newer = {"of": "pytest", "oldest": "999", "compiled": False}
    there = {"of": "numpy", "oldest": "1.0", "compiled": True}
    assert start.wanting(said(nowhere=pure, numpy=there)) == ["nowhere"]
    assert start.wanting(said(pytest=newer, pluggy=newer)) == ["pytest", "pluggy"], "the companion comes along"
    with pytest.raises(SystemExit, match=r"the pack has nowhere for Python 3\.99 .* Fix: make gpu-pack PACK_PYTHON="):
        start.wanting(said(nowhere=pure | {"compiled": True}))
    with pytest.raises(SystemExit, match="this machine lacks torch 999"):
        start.wanting(said() | {"expected": {"torch": "999"}})
