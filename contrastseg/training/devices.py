"""Which devices a run may use: taken by kernel locks that die with the process.

`snakemake --resources gpu=4` limits how many runs there are at once but assigns no device. `allocate` does: it takes a
free slot of as many free GPUs as the run needs, within the visible set. Locks lie on node-local disk, one file per
device UUID and slot.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from contrastseg.errors import DeviceError

PRETENDED = "CONTRASTSEG_PRETEND_DEVICES"
SLOTS = "CONTRASTSEG_RUNS_PER_GPU"
_CLAIMED = "CONTRASTSEG_CLAIMED"  # the accelerator that the first process of a run has allocated for all of them


@dataclass(frozen=True)
class Device:
    """A GPU by its UUID; pretended ones compute on the CPU."""

    uuid: str
    pretended: bool = False


class DeviceAllocation:
    """Devices held until `release` or the end of the process; none where the CPU computes.

    Attributes:
        devices: In the order of CUDA_VISIBLE_DEVICES.
        accelerator: What Lightning Fabric calls them: `cuda` or `cpu`.
    """

    def __init__(self, devices: Sequence[Device] = (), locks: Sequence[FileLock] = (), accelerator: str = "") -> None:
        self.devices = tuple(devices)
        self._locks = tuple(locks)
        real = bool(self.devices) and not self.devices[0].pretended
        self.accelerator = accelerator or ("cuda" if real else "cpu")

    def release(self) -> None:
        """Give the devices back. The kernel does it too when the process ends, however it ends."""
        for lock in self._locks:
            lock.release()


def is_first(environment: Mapping[str, str] | None = None) -> bool:
    """Say whether this process writes for the run: the only one, or the first of several that train it together."""
    return (os.environ if environment is None else environment).get("LOCAL_RANK", "0") == "0"


def _installed(environment: Mapping[str, str]) -> list[Device]:
    """All devices of the machine in the driver's order; none where there is no driver."""
    if environment.get(PRETENDED):
        return [Device(f"PRETENDED-{index}", pretended=True) for index in range(int(environment[PRETENDED]))]
    try:
        # Not through torch: asking it creates a context on the first GPU, for every run.
        listing = subprocess.run(
            ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"], capture_output=True, text=True, timeout=60
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return []
    if listing.returncode != 0:
        return []
    return [Device(line.strip()) for line in listing.stdout.splitlines() if line.strip()]


def visible(environment: Mapping[str, str] | None = None) -> list[Device]:
    """List the devices this process may use: the machine's, restricted by CUDA_VISIBLE_DEVICES as CUDA reads it.

    Entries are indices or UUID prefixes; the first invalid one ends the list.
    """
    environment = os.environ if environment is None else environment
    devices = _installed(environment)
    restriction = environment.get("CUDA_VISIBLE_DEVICES")
    if restriction is None:
        return devices
    allowed = []
    for entry in (text.strip() for text in restriction.split(",")):
        if entry.isdigit():
            matches = devices[int(entry) : int(entry) + 1]
        else:
            matches = [device for device in devices if entry and device.uuid.startswith(entry)]
        if len(matches) != 1 or matches[0] in allowed:
            break
        allowed += matches
    return allowed


def allocate(
    accelerator: str = "auto",
    *,
    count: int = 1,
    slots: int | None = None,
    folder: Path | None = None,
    timeout_s: float = 3600.0,
    environment: Mapping[str, str] | None = None,
) -> DeviceAllocation:
    """Allocate free devices, all that a run needs or none; wait when too many are taken.

    Args:
        accelerator: `cpu` takes none, `cuda` insists on one, `auto` takes one where there is one.
        count: Devices that the run needs.
        slots: Runs that may share a device; CONTRASTSEG_RUNS_PER_GPU, or 1, if unset.
        folder: Where the locks lie; node-local, shared by all runs of a user.
        timeout_s: How long to wait.
        environment: Environment variables, those of the process if unset.

    Returns:
        The allocation. CUDA_VISIBLE_DEVICES is set to its devices, so CUDA must not be in use yet. Processes that the
        first one of a run has started share its allocation.

    Raises:
        DeviceError: There are too few devices, or too few came free in time.
    """
    environment = os.environ if environment is None else environment
    if not is_first(environment) and environment.get(_CLAIMED):
        return DeviceAllocation(accelerator=environment[_CLAIMED])
    devices = _usable(accelerator, count, environment)
    if not devices:
        return _shared(DeviceAllocation(), count)
    slots = int(environment.get(SLOTS, "1")) if slots is None else slots
    folder = folder or Path(tempfile.gettempdir()) / f"contrastseg-{os.getuid()}" / "devices"
    folder.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + timeout_s
    while True:
        held = _lock_free(devices, count=count, slots=slots, folder=folder)
        if len(held) == count:
            if not devices[0].pretended:
                os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(device.uuid for device in held)
            return _shared(DeviceAllocation(list(held), list(held.values())), count)
        for lock in held.values():  # two runs that each hold a part would wait for ever
            lock.release()
        if time.monotonic() > deadline:
            raise DeviceError(
                f"{count} of {len(devices)} devices with {slots} slots each did not become free in {timeout_s:.0f} s",
                remedy=f"start fewer runs at once (--resources gpu=...), or let more share a device ({SLOTS})",
            )
        time.sleep(0.2)


def _usable(accelerator: str, count: int, environment: Mapping[str, str]) -> list[Device]:
    """The devices to choose `count` from; none where the CPU computes."""
    devices = [] if accelerator == "cpu" else visible(environment)
    if not devices and accelerator == "cuda":
        raise DeviceError("no visible GPU", remedy="set accelerator: auto (or cpu) in the suite's training settings")
    if devices and count > len(devices):
        raise DeviceError(
            f"a run needs {count} devices; visible: {len(devices)}",
            remedy="lower `devices` in the suite's training settings, or widen CUDA_VISIBLE_DEVICES",
        )
    return devices


def _lock_free(devices: Sequence[Device], *, count: int, slots: int, folder: Path) -> dict[Device, FileLock]:
    """Lock a slot of up to `count` devices, as many as have one free at present."""
    held: dict[Device, FileLock] = {}
    for slot in range(slots):  # slot by slot, so that runs spread over the devices before they share one
        for device in devices:
            if device in held or len(held) == count:
                continue
            lock = FileLock(folder / f"{device.uuid}.{slot}.lock", blocking=False)
            with contextlib.suppress(Timeout):
                lock.acquire()
                held[device] = lock
    return held


def _shared(allocation: DeviceAllocation, count: int) -> DeviceAllocation:
    """The allocation, known to the processes that this one will start."""
    if count > 1:
        os.environ[_CLAIMED] = allocation.accelerator
    return allocation
