"""A Python with the big imports behind it, from which the jobs of a workflow are forked.

A job that trains two steps spends seconds on importing torch. `interpreter` gives a Python to run Snakemake with, in an
environment like this one but for its `python`. That one hands `python -m contrastseg …` to a server here, which forks,
and the child becomes the job: its arguments, folder, environment, files and exit code; it is killed when that `python`
is. Whatever else is asked of it goes to the real one. Only packages from outside are imported beforehand; the project's
own code is read anew by each job, from where PYTHONPATH says. Snakemake itself may be such a job where it only plans,
and so may pytest, a command that is called by hand or a program after `-c`: `planner` is the Python for these.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

IMPORTED = (
    *("numpy", "pandas", "pyarrow.parquet", "scipy.ndimage", "scipy.spatial", "scipy.stats", "h5py", "nibabel"),
    *("SimpleITK", "PIL.Image", "skimage.segmentation", "pydantic", "typer.rich_utils", "rich.progress", "yaml"),
    *("filelock", "jinja2", "matplotlib.figure", "matplotlib.backends.backend_agg", "torch"),
    *("torch.utils.tensorboard", "snakemake.cli"),
)
CLIENT = """#!{python} -IS
import json, os, socket, sys
if sys.argv[1:2] != ["-c"] and sys.argv[1:3] not in (["-m", "contrastseg"], ["-m", "snakemake"], ["-m", "pytest"]):
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
job = json.dumps({{"arguments": sys.argv[1:], "folder": os.getcwd(), "environment": dict(os.environ)}}).encode()
socket.send_fds(server, [b"+"], [0, 1, 2])
server.sendall(job + b"\\n")
answer = server.recv(16)
sys.exit(int(answer) if answer else 1)
"""


@functools.cache
def interpreter() -> str:
    """The Python to run Snakemake with; the server is started once and ends with this process."""
    folder = Path(tempfile.mkdtemp(prefix="warm"))
    address = str(folder / "socket")
    # Jobs look for `python` beside the interpreter that runs Snakemake: so a virtual environment of its own, whose
    # packages are those of this one.
    (folder / "bin").mkdir()
    (folder / "lib").symlink_to(Path(sys.prefix) / "lib")
    (folder / "pyvenv.cfg").write_text(f"home = {Path(sys.base_prefix) / 'bin'}\n")
    started = folder / "bin" / "snakemake-python"
    started.symlink_to(Path(sys.executable).resolve())
    client = folder / "bin" / "python"
    client.write_text(CLIENT.format(python=sys.executable, address=address))
    client.chmod(0o755)
    reading, writing = os.pipe()  # its other end closes when this process is gone, however it goes
    os.set_inheritable(writing, False)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONPATH", None)
    server = subprocess.Popen(
        [sys.executable, __file__, address], stdin=reading, stdout=subprocess.PIPE, env=environment, cwd="/"
    )
    os.close(reading)
    assert server.stdout is not None
    assert server.stdout.readline() == b"ready\n", "the server of workflow tests did not start"
    return str(started)


def planner() -> str:
    """The Python to let Snakemake plan with or to call a command with: a fork, which no signal reaches but its end."""
    return str(Path(interpreter()).with_name("python"))


def serve(address: str) -> None:
    """Fork a job for every connection, and tell each client how its job ended."""
    for name in IMPORTED:
        importlib.import_module(name)
    here = str(Path(__file__).parent)
    paths = [path for path in sys.path if path != here]
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(address)
    listening.listen(64)
    os.fsync = lambda fd: None  # nobody cuts the power of a test
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    gc.freeze()
    watched = select.poll()
    watched.register(0)
    watched.register(listening, select.POLLIN)
    running: dict[int, tuple[int, socket.socket]] = {}
    clients: dict[int, int] = {}
    while True:
        ready = {handle for handle, _ in watched.poll()}
        if 0 in ready:
            return
        for client in ready & set(clients):  # it was killed
            os.kill(clients.pop(client), signal.SIGKILL)
            watched.unregister(client)
        for pidfd in ready & set(running):
            child, connection = running.pop(pidfd)
            _, status = os.waitpid(child, 0)
            watched.unregister(pidfd)
            os.close(pidfd)
            if clients.pop(connection.fileno(), None):
                watched.unregister(connection)
                code = os.waitstatus_to_exitcode(status)
                with contextlib.suppress(BrokenPipeError):
                    connection.sendall(str(code if code >= 0 else 128 - code).encode())
            connection.close()
        if listening.fileno() in ready:
            connection, _ = listening.accept()
            child = os.fork()
            if child == 0:
                listening.close()
                become(connection, paths)
            pidfd = os.pidfd_open(child)
            running[pidfd] = child, connection
            clients[connection.fileno()] = child
            watched.register(pidfd, select.POLLIN)
            watched.register(connection, 0)  # that its other end closes is told without being asked for


def become(connection: socket.socket, paths: list[str]) -> None:
    """Be the job that the client was asked for."""
    _, files, _, _ = socket.recv_fds(connection, 1, 3)
    received = b""
    while not received.endswith(b"\n"):
        received += connection.recv(1 << 16)
    connection.close()
    job = json.loads(received)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(job["environment"])
    os.chdir(job["folder"])
    before = [path for path in job["environment"].get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:] = [job["folder"], *before, *paths]
    option, program, *options = job["arguments"]
    sys.argv = [program if option == "-m" else option, *options]
    sys.modules["snakemake.workflow"].Workflow._rundir = job["folder"]  # type: ignore[attr-defined]  # kept since import
    sys.dont_write_bytecode = bool(job["environment"].get("PYTHONDONTWRITEBYTECODE"))
    importlib.invalidate_caches()
    code = 0
    try:
        if option == "-m":
            runpy.run_module(program, run_name="__main__", alter_sys=True)
        else:
            exec(compile(program, "<string>", "exec"), {"__name__": "__main__"})
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)  # without taking every module apart, which would copy all memory that is shared so far


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve(sys.argv[1])
