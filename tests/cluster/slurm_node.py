"""A Slurm of one node on loopback: munged, slurmctld and slurmd in a folder of their own, with two GPUs that are names.

Only for tests: the node claims more CPUs and memory than there are, nothing is accounted for in a data base, and no
control group holds a job to what it asked for; memory and time limits are enforced by polling. By hand:

    python -m tests.cluster.slurm_node FOLDER COMMAND...      runs a command with that Slurm around it
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DAEMONS = ("munged", "slurmctld", "slurmd")
CLIENTS = ("sbatch", "srun", "squeue", "scontrol", "scancel", "sinfo")
PARTITIONS = ("main", "urgent")
WAIT_S = 120
# Debian keeps daemons outside the PATH of ordinary users.
SEARCHED = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])

CONF = """\
ClusterName=contrastseg
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
# A requeued job waits until the credential of its last start has run out: two minutes, were nothing said.
AuthInfo=socket={folder}/munge/socket,cred_expire=20
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
# squeue answers for jobs that have ended, since there is no data base that sacct could ask.
AccountingStorageType=accounting_storage/none
MinJobAge=3600
# By groups of processes: descent (linuxproc) loses the child of a shell that ends before it.
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
# A job of the partition `urgent` takes the place of those of `main`, which start again later.
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SchedulerParameters=batch_sched_delay=0,sched_interval=2
SlurmdParameters=config_overrides
GresTypes=gpu
KillWait=5
MpiDefault=none
ReturnToService=2
SlurmctldTimeout=300
SlurmdTimeout=300
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory_mb} Gres=gpu:{gpus} State=UNKNOWN
PartitionName=main Nodes={host} Default=YES PriorityTier=1 MaxTime=INFINITE State=UP
PartitionName=urgent Nodes={host} PriorityTier=2 PreemptMode=OFF MaxTime=INFINITE State=UP
"""


@dataclass(frozen=True)
class SlurmJob:
    """A job as Slurm shows it, waiting, running or ended."""

    state: str
    memory_mb: int
    limit_minutes: int
    gpus: int
    restarts: int
    reason: str


@dataclass(frozen=True)
class SlurmNode:
    """A Slurm that runs; `environment` is that of its clients."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """Variables with which sbatch, srun, … find it."""
        return {
            "SLURM_CONF": str(self.folder / "slurm.conf"),
            "PATH": os.pathsep.join([str(self.folder / "bin"), os.environ["PATH"]]),
        }

    def ask(self, *command: str) -> str:
        """The output of a client of Slurm."""
        done = subprocess.run(command, env=os.environ | self.environment, capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
        return done.stdout

    def jobs(self) -> dict[int, SlurmJob]:
        """All jobs there were, by number."""
        return {int(row["JobId"]): _job(row) for row in self._shown("job")}

    def _shown(self, kind: str) -> list[dict[str, str]]:
        lines = self.ask("scontrol", "show", kind, "--oneliner").splitlines()
        return [dict(part.partition("=")[::2] for part in line.split() if "=" in part) for line in lines]


def _job(row: dict[str, str]) -> SlurmJob:
    hours, minutes, _ = row["TimeLimit"].rpartition("-")[2].split(":")
    days = int(row["TimeLimit"].rpartition("-")[0] or 0)
    size = row["MinMemoryNode"]
    memory = float(size.rstrip("MG")) * (1024 if size.endswith("G") else 1)
    gpus = row.get("TresPerJob", "").rpartition("gpu:")[2] or 0
    limit = (days * 24 + int(hours)) * 60 + int(minutes)
    return SlurmJob(row["JobState"], int(memory), limit, int(gpus), int(row["Restarts"]), row["Reason"])


def lacking() -> list[str]:
    """Which programs of Slurm and munge are not on this machine."""
    return [name for name in (*DAEMONS, *CLIENTS) if shutil.which(name, path=SEARCHED) is None]


@contextlib.contextmanager
def slurm_node(folder: Path, *, cpus: int = 8, memory_mb: int = 64_000, gpus: int = 2) -> Iterator[SlurmNode]:
    """Start Slurm, and end it with all its jobs.

    Args:
        folder: An empty or new folder with a short name, for a socket lies in it; everything is written there.
        cpus: What the node claims to have.
        memory_mb: The same of memory.
        gpus: The same of GPUs.

    Raises:
        RuntimeError: A daemon ended, or the node was not ready in time; with the last lines of its log.
    """
    node = SlurmNode(folder.resolve())
    _write(node.folder, cpus, memory_mb, gpus)
    started: list[subprocess.Popen[bytes]] = []
    try:
        munge = node.folder / "munge"
        files = {"socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed", "key-file": "key"}
        # By force: a temporary folder is closed to others, and nobody else has to reach the socket.
        options = ("--foreground", "--force", *(f"--{name}={munge / file}" for name, file in files.items()))
        started.append(_start(node, "munged", *options))
        _wait(node, started, lambda: (munge / "socket").exists())
        started.append(_start(node, "slurmctld", "-D", "-c"))
        started.append(_start(node, "slurmd", "-D"))
        _wait(node, started, lambda: "idle" in node.ask("sinfo", "--noheader", "--format=%T"))
        yield node
    finally:
        with contextlib.suppress(RuntimeError, subprocess.TimeoutExpired):
            for partition in PARTITIONS:
                node.ask("scancel", "--quiet", "--signal=KILL", "--full", f"--partition={partition}")
                node.ask("scancel", "--quiet", f"--partition={partition}")
        for process in reversed(started):
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _write(folder: Path, cpus: int, memory_mb: int, gpus: int) -> None:
    for name in ("munge", "state", "spool", "bin"):
        (folder / name).mkdir(parents=True, mode=0o755)
    key = folder / "munge" / "key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        ports = [each.getsockname()[1] for each in sockets]
    host, user = socket.gethostname().partition(".")[0], os.getuid()
    values = {"cpus": cpus, "memory_mb": memory_mb, "gpus": gpus}
    (folder / "slurm.conf").write_text(CONF.format(folder=folder, host=host, user=user, ports=ports, **values))
    for number in range(gpus):  # what stands for a device; Slurm numbers GPUs by the names of their files
        (folder / f"gpu{number}").symlink_to("/dev/null")
    devices = f"{folder}/gpu[0-{gpus - 1}]"
    (folder / "gres.conf").write_text(f"AutoDetect=off\nNodeName={host} Name=gpu File={devices}\n")
    # The executor's job steps drop every SLURM_ variable before they call srun, the place of this slurm.conf with them.
    script = folder / "bin" / "srun"
    script.write_text(f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {shutil.which("srun", path=SEARCHED)} "$@"\n')
    script.chmod(0o755)


def _start(node: SlurmNode, name: str, *options: str) -> subprocess.Popen[bytes]:
    program = shutil.which(name, path=SEARCHED)
    assert program is not None, f"{name} is not installed"
    with open(node.folder / f"{name}.out", "wb") as out:
        environment = os.environ | node.environment | {"PATH": SEARCHED}
        return subprocess.Popen(
            [program, *options], stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment, cwd=node.folder
        )


def _wait(node: SlurmNode, started: list[subprocess.Popen[bytes]], ready: Any) -> None:
    deadline = time.monotonic() + WAIT_S
    while True:
        with contextlib.suppress(RuntimeError):
            if ready():
                return
        ended = [str(each.args[0]) for each in started if each.poll() is not None]
        if ended or time.monotonic() > deadline:
            logs = {path.name: path.read_text(errors="replace")[-1500:] for path in node.folder.glob("*.out")}
            raise RuntimeError(f"Slurm did not start (ended: {', '.join(ended) or 'none'}): {logs}")
        time.sleep(0.2)


if __name__ == "__main__":
    with slurm_node(Path(sys.argv[1])) as running:
        sys.exit(subprocess.run(sys.argv[2:], env=os.environ | running.environment).returncode)
