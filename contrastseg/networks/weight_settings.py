"""What a suite says of a file of weights that a network starts from. Torch-free, like the settings it is part of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contrastseg.errors import SuiteError, unknown_name

OPTIONS = ("weights", "weights_map", "weights_from")
_NO_FILE = ("none", "imagenet")
_STATED = ("stated", "unknown")


@dataclass(frozen=True)
class WeightFile:
    """A file of weights.

    Attributes:
        path: A state dict: safetensors, or a file of torch that holds tensors alone.
        prefix: What the names in it begin with, to be left out; None: found by comparing names.
        source: Where it comes from, as the suite states it.
        data: What it was trained on, as the suite states it.
        test_cases: `stated` where the source states that no test case was among that data, otherwise `unknown`.
    """

    path: str
    prefix: str | None
    source: str
    data: str
    test_cases: str


def weight_file(settings: Mapping[str, Any]) -> tuple[dict[str, Any], WeightFile | None]:
    """Take the file of weights out of a network's settings.

    Args:
        settings: Of a network. `weights: imagenet` and `weights: none` are options of networks themselves.

    Returns:
        The other settings, and the file; None where there is none.

    Raises:
        SuiteError: `weights` is a bare word that is neither, `weights_map` or `weights_from` says something that is not
            known, or there is no file for them.

    Example:
        >>> settings, file = weight_file({"name": "unet", "weights": "encoder.safetensors"})
        >>> settings, file.path, file.prefix, file.test_cases
        ({'name': 'unet'}, 'encoder.safetensors', None, 'unknown')
    """
    path = settings.get("weights")
    if path is None or path in _NO_FILE:
        if given := [name for name in OPTIONS[1:] if name in settings]:
            raise SuiteError(f"{given[0]} of a network without a file of weights", remedy="set weights to a file")
        return dict(settings), None
    if Path(str(path)).parts == (Path(str(path)).stem,) and not str(path).startswith("./"):
        raise SuiteError(
            unknown_name("weights of a network", str(path), list(_NO_FILE)),
            remedy=f"name one of them, or a file: ./{path} if it has no suffix",
        )
    mapped, stated = settings.get("weights_map", "auto"), settings.get("weights_from", {})
    if mapped != "auto" and not (isinstance(mapped, Mapping) and list(mapped) == ["prefix"]):
        raise SuiteError(f"weights_map of a network is {mapped!r}", remedy="set it to auto or {prefix: NAME.}")
    for name in stated if isinstance(stated, Mapping) else (str(stated),):
        if name not in ("source", "data", "test_cases"):
            raise SuiteError(unknown_name("part of weights_from", name, ["source", "data", "test_cases"]))
    test_cases = str(stated.get("test_cases", "unknown"))
    if test_cases not in _STATED:
        raise SuiteError(unknown_name("test_cases of weights_from", test_cases, list(_STATED)))
    prefix = None if mapped == "auto" else str(mapped["prefix"])
    rest = {name: value for name, value in settings.items() if name not in OPTIONS}
    source, data = (str(stated.get(name, "")) for name in ("source", "data"))
    return rest, WeightFile(str(path), prefix, source, data, test_cases)
