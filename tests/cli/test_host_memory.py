"""Memory that a job frees and asks for again is not given back to the system in between."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

# Pages that a block of 64 MiB costs when a block of the same size was freed just before.
AGAIN = """
import resource, sys
import numpy as np
from contrastseg.cli.host_memory import keep_freed_memory

if sys.argv[1] == "kept":
    keep_freed_memory()
block = np.empty(1 << 26, np.uint8)
block.fill(1)
del block
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
block = np.empty(1 << 26, np.uint8)
block.fill(1)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library than glibc")
def test_freed_blocks_are_used_again_without_new_pages() -> None:
    faults = {}
    for state in ("kept", "returned"):
        command = [sys.executable, "-c", AGAIN, state]
        faults[state] = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert faults["kept"] < 10 < faults["returned"]
