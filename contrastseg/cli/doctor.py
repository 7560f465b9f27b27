"""Checks of `contrastseg doctor`."""

from __future__ import annotations

import importlib
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, entry_points, version
from pathlib import Path
from typing import Literal

from contrastseg.errors import ContrastsegError
from contrastseg.plugins import described, loaded


@dataclass(frozen=True)
class Check:
    """The result of one check; a `fault` prevents training."""

    name: str
    state: Literal["ok", "note", "fault"]
    found: str


def examine(data_root: Path | None, resources: Path) -> list[Check]:
    """Check everything that a run depends on."""
    return [
        Check(
            "Python",
            "ok" if sys.version_info >= (3, 11) else "fault",
            f"{platform.python_version()} ({sys.executable})",
        ),
        Check("platform", "ok", platform.platform()),
        _torch(),
        _torchvision(),
        _devices(),
        _snakemake(),
        _latex(),
        _disk(resources),
        *_plugins(),
        *_data(data_root),
    ]


def _torch() -> Check:
    try:
        torch = importlib.import_module("torch")
    except (ImportError, OSError, RuntimeError) as error:
        return Check("torch", "fault", f"cannot be imported: {error}")
    cuda = "built for CUDA " + torch.version.cuda if torch.version.cuda else "built for the CPU"
    return Check("torch", "ok", f"{torch.__version__}, {cuda}")


def _torchvision() -> Check:
    users = "needed by deeplabv3plus, resnet_unet and smp"
    try:
        from contrastseg.networks._torchvision import has_stand_ins, import_torchvision

        import_torchvision()
    except (ImportError, OSError, RuntimeError) as error:
        return Check("torchvision", "note", f"unusable ({str(error).splitlines()[0]}); {users}")
    operators = ", without compiled operators (contrastseg uses none of them)" if has_stand_ins() else ""
    return Check("torchvision", "ok", f"{version('torchvision')}{operators}; {users}")


def _devices() -> Check:
    try:
        from contrastseg.training.devices import visible

        devices = visible()
    except (ImportError, OSError) as error:
        return Check("devices", "note", f"cannot be listed: {error}")
    if not devices:
        return Check("devices", "note", "runs use the CPU: no GPU is visible")
    return Check("devices", "ok", ", ".join(device.uuid for device in devices))


def _snakemake() -> Check:
    try:
        return Check("snakemake", "ok", version("snakemake"))
    except PackageNotFoundError:
        return Check("snakemake", "note", "not installed: single commands work, `contrastseg run` does not")


def _latex() -> Check:
    program = shutil.which("pdflatex") or shutil.which("tectonic")
    if program is None:
        return Check("LaTeX", "note", "not installed: .tex tables are written, and cannot be compiled on this machine")
    shown = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    return Check("LaTeX", "ok", shown.splitlines()[0] if shown else program)


def _disk(resources: Path) -> Check:
    folder = next(path for path in [resources.absolute(), *resources.absolute().parents] if path.is_dir())
    free = shutil.disk_usage(folder).free / 1e9
    return Check("disk", "ok" if free > 5 else "note", f"{free:.1f} GB free at {folder}")


def _plugins() -> list[Check]:
    """Check the methods, networks and data sets that other installed packages add."""
    from contrastseg.data.registry import registry as datasets
    from contrastseg.methods import registry as methods
    from contrastseg.networks import registry as networks

    checks = []
    for group in (methods.ENTRY_POINT_GROUP, networks.ENTRY_POINT_GROUP, datasets.ENTRY_POINT_GROUP):
        for point in entry_points(group=group):
            try:
                loaded(point, ContrastsegError)
                if group == methods.ENTRY_POINT_GROUP:
                    methods.get(point.name)
                elif group == datasets.ENTRY_POINT_GROUP and point.name in datasets.unusable():
                    raise datasets.unusable()[point.name]
            except ContrastsegError as error:
                checks.append(Check(group, "note", error.reason))
            else:
                checks.append(Check(group, "ok", described(point)))
    return checks


def _data(data_root: Path | None) -> list[Check]:
    if data_root is None:
        return [Check("CONTRASTSEG_DATA", "note", "not set: contrastseg finds generated and downloaded data sets only")]
    if not data_root.is_dir():
        return [Check("CONTRASTSEG_DATA", "note", f"{data_root} is not a folder")]
    from contrastseg.data.registry import registry

    known = {folder: spec.title for spec in registry.specs().values() for folder in spec.folder_names}
    checks = [Check("CONTRASTSEG_DATA", "ok", str(data_root))]
    for folder in sorted(path.name for path in data_root.iterdir() if path.is_dir()):
        title = known.get(folder)
        checks.append(Check(f"  {folder}", "ok" if title else "note", title or "unknown data set: ignored"))
    return checks
