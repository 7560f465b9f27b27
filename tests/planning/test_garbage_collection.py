"""A process that plans does not look through what it keeps."""

from __future__ import annotations

import subprocess
import sys

import pytest

from contrastseg.planning.garbage_collection import ALLOCATIONS

CYCLE = """
import gc
class Plan:
    def __del__(self):
        print("taken apart")
plan = Plan()
plan.itself = plan
{keep}
del plan
print(gc.get_threshold()[0])
"""
KEEP = "from contrastseg import planning; planning.keep_objects()"


@pytest.mark.parametrize(
    ("keep", "printed"), [("", ["700", "taken apart"]), (KEEP, [str(ALLOCATIONS)])], ids=["python's way", "ours"]
)
def test_objects_that_hold_each_other_are_left_to_the_end_of_the_process(keep: str, printed: list[str]):
    done = subprocess.run([sys.executable, "-c", CYCLE.format(keep=keep)], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:-1] == printed
