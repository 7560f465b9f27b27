"""Whether a method computes with the number of the step: a replay would keep the number of the recording."""

from __future__ import annotations

from typing import Any


class WatchedStep(int):
    """The number of a step that knows whether Python computed with it."""

    read: bool = False


def _reading(name: str) -> Any:
    plain = getattr(int, name)

    def method(self: WatchedStep, *rest: Any) -> Any:
        self.read = True
        return plain(self, *rest)

    return method


_OPERATIONS = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "divmod")
for _name in (
    *_OPERATIONS,
    *(f"r{operation}" for operation in _OPERATIONS),
    *("lt", "le", "gt", "ge", "eq", "ne", "bool", "float", "int", "neg", "hash", "index"),
):
    setattr(WatchedStep, f"__{_name}__", _reading(f"__{_name}__"))
