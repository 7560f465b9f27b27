"""One run, one device: within the visible set, across processes, and given back when a process dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from contrastseg.errors import DeviceError
from contrastseg.training import devices

FOUR = {devices.PRETENDED: "4"}


def uuids(environment: dict[str, str]) -> list[str]:
    return [device.uuid for device in devices.visible(environment)]


@pytest.mark.parametrize(
    ("restriction", "expected"),
    [
        (None, [0, 1, 2, 3]),
        ("", []),
        ("2", [2]),
        ("3,1", [3, 1]),
        ("1,9,2", [1]),
        ("1,-1,2", [1]),
        ("PRETENDED-2,0", [2, 0]),
        ("PRETENDED", []),
        ("1,1", [1]),
    ],
)
def test_the_visible_set_is_read_as_cuda_reads_it(restriction: str | None, expected: list[int]) -> None:
    environment = dict(FOUR) if restriction is None else {**FOUR, "CUDA_VISIBLE_DEVICES": restriction}
    assert uuids(environment) == [f"PRETENDED-{index}" for index in expected]


def test_allocations_are_all_different_and_the_fifth_waits(tmp_path: Path) -> None:
    allocations = [devices.allocate(folder=tmp_path, environment=FOUR) for _ in range(4)]
    assert len({device.uuid for allocation in allocations for device in allocation.devices}) == 4
    with pytest.raises(DeviceError, match="1 of 4 devices"):
        devices.allocate(folder=tmp_path, environment=FOUR, timeout_s=0.1)
    allocations[2].release()
    fifth = devices.allocate(folder=tmp_path, environment=FOUR, timeout_s=0.1)
    assert fifth.devices == allocations[2].devices
    for allocation in (*allocations, fifth):
        allocation.release()


def test_allocations_stay_inside_a_restricted_set(tmp_path: Path) -> None:
    environment = {**FOUR, "CUDA_VISIBLE_DEVICES": "3,1"}
    allocations = [devices.allocate(folder=tmp_path, environment=environment) for _ in range(2)]
    assert [device.uuid for allocation in allocations for device in allocation.devices] == [
        "PRETENDED-3",
        "PRETENDED-1",
    ]
    with pytest.raises(DeviceError, match="1 of 2 devices"):
        devices.allocate(folder=tmp_path, environment=environment, timeout_s=0.1)
    for allocation in allocations:
        allocation.release()


def test_slots_spread_before_they_share(tmp_path: Path) -> None:
    environment = {devices.PRETENDED: "2", devices.SLOTS: "2"}
    allocations = [devices.allocate(folder=tmp_path, environment=environment) for _ in range(4)]
    held = [device.uuid for allocation in allocations for device in allocation.devices]
    assert held == ["PRETENDED-0", "PRETENDED-1", "PRETENDED-0", "PRETENDED-1"]
    for allocation in allocations:
        allocation.release()


def test_a_killed_process_gives_its_device_back(tmp_path: Path) -> None:
    code = (
        "from contrastseg.training import devices; from pathlib import Path; import sys, time;"
        f"c = devices.allocate(folder=Path({str(tmp_path)!r})); print(c.devices[0].uuid, flush=True); time.sleep(600)"
    )
    environment = {**os.environ, devices.PRETENDED: "1"}
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == "PRETENDED-0"
        with pytest.raises(DeviceError):
            devices.allocate(folder=tmp_path, environment={devices.PRETENDED: "1"}, timeout_s=0.1)
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    allocation = devices.allocate(folder=tmp_path, environment={devices.PRETENDED: "1"}, timeout_s=5)
    assert allocation.devices
    allocation.release()


def test_the_cpu_needs_no_device_and_cuda_insists() -> None:
    assert devices.allocate("cpu", environment=FOUR).devices == ()
    assert devices.allocate("auto", environment={"CUDA_VISIBLE_DEVICES": ""}).accelerator == "cpu"
    with pytest.raises(DeviceError, match="GPU"):
        devices.allocate("cuda", environment={"CUDA_VISIBLE_DEVICES": ""})
