"""What learns here learns elsewhere: other vector instructions round sums otherwise, and no test may hang on that."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# What ATen (torch's own kernels) and oneDNN (its convolutions) may use. Unrestricted is what `make test` runs.
SETTINGS = [(aten, onednn) for aten in ("default", "avx2") for onednn in ("SSE41", "AVX2")]


def under(aten: str, onednn: str, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "ATEN_CPU_CAPABILITY": aten, "ONEDNN_MAX_CPU_ISA": onednn}
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True, errors="replace"
    )


@pytest.mark.long
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="these settings are those of x86-64")
@pytest.mark.parametrize(("aten", "onednn"), SETTINGS)
def test_what_learns_learns_under_every_instruction_set(aten: str, onednn: str) -> None:
    told = under(aten, onednn, "-c", "import torch; print(torch.backends.cpu.get_cpu_capability())")
    if told.stdout.strip().lower() != aten:
        pytest.skip(f"this processor has no {aten}: torch says {told.stdout.strip()!r}")
    folders = ("tests/contracts", "tests/losses", "tests/methods", "tests/training")
    found = under(aten, onednn, "-m", "pytest", "-q", "-m", "learns", *folders)
    assert found.returncode == 0, found.stdout[-4000:] + found.stderr[-2000:]
    assert " passed" in found.stdout
