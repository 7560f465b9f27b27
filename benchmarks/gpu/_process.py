"""An item as a process that ends when its time is up, and with the program that started it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

CUT_OFF = 124
_PR_SET_PDEATHSIG = 1


def run_for(
    command: Sequence[str], log: Path, seconds: float, environment: Mapping[str, str], folder: Path | None = None
) -> int:
    """Run a command with its output in a file.

    Args:
        command: Program and arguments.
        log: Where its output goes; overwritten.
        seconds: After which the command and every process it has started are killed.
        environment: Its environment.
        folder: Where it runs.

    Returns:
        Its exit code, `CUT_OFF` where it was killed.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "w", encoding="utf-8") as file:
        child = subprocess.Popen(
            command,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=folder,
            start_new_session=True,
            preexec_fn=_end_with_the_parent,  # a kill -9 of this program must not leave a training behind
        )
        try:
            return child.wait(timeout=max(0.1, seconds))
        except subprocess.TimeoutExpired:
            return CUT_OFF
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def _end_with_the_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def end_orderly(signum: int, frame: object) -> None:
    """Turn a signal into an exit that runs every `finally`."""
    raise SystemExit(128 + signum)
