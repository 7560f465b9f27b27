"""Which device a run may use: one GPU each, taken by a kernel lock that dies with the process.

`snakemake --resources gpu=4` limits how many runs there are at once but assigns no device. `claim` does: it takes a
free slot of a free GPU within the visible set. Locks lie on node-local disk, one file per device UUID and slot.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from contrastseg.errors import DeviceError

PRETENDED = "CONTRASTSEG_PRETEND_DEVICES"
SLOTS = "CONTRASTSEG_RUNS_PER_GPU"


@dataclass(frozen=True)
class Device:
    """A GPU by its UUID; pretended ones compute on the CPU."""

    uuid: str
    pretended: bool = False


class Claim:
    """A device held until `release` or the end of the process."""

    def __init__(self, device: Device | None, lock: FileLock | None) -> None:
        self.device = device
        self._lock = lock

    @property
    def accelerator(self) -> str:
        """What Lightning Fabric calls it: `cuda` or `cpu`."""
        return "cpu" if self.device is None or self.device.pretended else "cuda"

    def release(self) -> None:
        """Give the device back. The kernel does it too when the process ends, however it ends."""
        if self._lock is not None:
            self._lock.release()


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
    """The devices this process may use: those of the machine, restricted by CUDA_VISIBLE_DEVICES as CUDA reads it.

    Entries are indices or UUID prefixes; the first invalid one ends the list.
    """
    environment = os.environ if environment is None else environment
    devices = _installed(environment)
    restriction = environment.get("CUDA_VISIBLE_DEVICES")
    if restriction is None:
        return devices
    allowed = []
    for entry in (part.strip() for part in restriction.split(",")):
        if entry.isdigit():
            matches = devices[int(entry) : int(entry) + 1]
        else:
            matches = [device for device in devices if entry and device.uuid.startswith(entry)]
        if len(matches) != 1 or matches[0] in allowed:
            break
        allowed += matches
    return allowed


def claim(
    accelerator: str = "auto",
    *,
    slots: int | None = None,
    folder: Path | None = None,
    timeout_s: float = 3600.0,
    environment: Mapping[str, str] | None = None,
) -> Claim:
    """Take a free device; wait for one when all are taken.

    Args:
        accelerator: `cpu` takes none, `cuda` insists on one, `auto` takes one where there is one.
        slots: Runs that may share a device; CONTRASTSEG_RUNS_PER_GPU, or 1, if unset.
        folder: Where the locks lie; node-local, shared by all runs of a user.
        timeout_s: How long to wait.
        environment: Environment variables, those of the process if unset.

    Returns:
        The claim. CUDA_VISIBLE_DEVICES is set to its device, so CUDA must not be in use yet.

    Raises:
        DeviceError: There is no device, or none came free in time.
    """
    environment = os.environ if environment is None else environment
    devices = [] if accelerator == "cpu" else visible(environment)
    if not devices:
        if accelerator == "cuda":
            raise DeviceError(
                "no GPU is visible", remedy="set accelerator: auto (or cpu) in the suite's training settings"
            )
        return Claim(None, None)
    slots = int(environment.get(SLOTS, "1")) if slots is None else slots
    folder = folder or Path(tempfile.gettempdir()) / f"contrastseg-{os.getuid()}" / "devices"
    folder.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + timeout_s
    while True:
        # Slot by slot, so that runs spread over the devices before they share one.
        for slot in range(slots):
            for device in devices:
                lock = FileLock(folder / f"{device.uuid}.{slot}.lock", blocking=False)
                try:
                    lock.acquire()
                except Timeout:
                    continue
                if not device.pretended:
                    os.environ["CUDA_VISIBLE_DEVICES"] = device.uuid
                return Claim(device, lock)
        if time.monotonic() > deadline:
            raise DeviceError(
                f"all {len(devices) * slots} slots on {len(devices)} devices were taken for {timeout_s:.0f} s",
                remedy="start fewer runs at once (--resources gpu=...), or raise runs_per_gpu in the profile",
            )
        time.sleep(0.2)
