"""Two processes that would train one run: the second is told who the first is."""

from __future__ import annotations

import errno
import fcntl
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from contrastseg.errors import TrainingError
from contrastseg.training.run_lock import LOCK, exclusive_lock

HOLD = """
import sys, time
from pathlib import Path
from contrastseg.training.run_lock import exclusive_lock
with exclusive_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_the_second_process_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE) as first:
        try:
            assert first.stdout is not None
            assert first.stdout.readline() == b"held\n"
            with pytest.raises(TrainingError, match=f"process {first.pid} on ") as caught, exclusive_lock(folder):
                pass
            assert caught.value.file == folder
        finally:  # a failed assertion must not wait for it
            first.send_signal(signal.SIGKILL)
    with exclusive_lock(folder):
        assert (folder / LOCK).is_file(), "what a killed process leaves is in nobody's way"
    assert list(folder.iterdir()) == []


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "lockf", refuse)
    with exclusive_lock(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []
