"""Tests on a real GPU, which `make gpu` runs. `CONTRASTSEG_GPU_TESTS=cpu` rehearses them on the processor."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from tests.phantoms import Phantom, found_phantoms, make_phantoms

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def accelerator() -> str:
    """Where the tests compute: `cuda`, or `cpu` in a rehearsal."""
    return os.environ.get("CONTRASTSEG_GPU_TESTS", "cuda")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip before anything is made for a test."""
    if torch.cuda.is_available() or "CONTRASTSEG_GPU_TESTS" in os.environ:
        return
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.skip(reason="no GPU here: `make gpu` runs this where there is one"))


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Phantom]:
    """Those of every test; a bare machine lacks what makes them, and finds them in `CONTRASTSEG_PHANTOMS`."""
    if made := os.environ.get("CONTRASTSEG_PHANTOMS"):
        return found_phantoms(Path(made))
    return make_phantoms(tmp_path_factory.mktemp("phantoms"))
