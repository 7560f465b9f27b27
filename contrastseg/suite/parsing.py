"""Says what is wrong with a suite: where (line and key), what, and what there is instead."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from contrastseg.errors import SuiteError, unknown_name

Location = Sequence[int | str]
_LARGEST = 100_000


def read_yaml(path: str | Path, what: str = "suite") -> dict[str, Any]:
    """The mapping in a YAML file.

    Args:
        path: The file.
        what: What it should be, for messages.

    Raises:
        SuiteError: There is no such file, it is no YAML, holds no mapping, or names a key twice.
    """
    path = Path(path)
    if not path.is_file():
        folder = path.absolute().parent
        suites = sorted(str(other) for other in path.parent.glob("*.yaml")) if folder.is_dir() else []
        there = f"choose one of: {', '.join(suites)}" if suites else f"correct the path: {folder} holds no *.yaml"
        raise SuiteError(f"{what} not found", file=path, remedy=there)
    try:
        text = path.read_text(encoding="utf-8")
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        _check_size(node)
        twice = _repeated_key(node)  # first: merge keys (<<) are written into the node when values are made of it
        value = None if node is None else loader.construct_document(node)
    except (
        yaml.YAMLError,
        ArithmeticError,
        AttributeError,
        LookupError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        # Not YAML's own errors alone: a date of month 13 is a ValueError, `!!bool x` a KeyError.
        remedy = "correct the file at that line; put text with special characters in quotes"
        raise SuiteError(f"the file is not valid YAML: {error}", file=path, remedy=remedy) from error
    if not isinstance(value, dict):
        raise SuiteError(
            f"a {what} must be a mapping of names to values", file=path, remedy="write lines of `name: value`"
        )
    if twice:
        raise SuiteError(twice, file=path, remedy="keep one of them; YAML would silently use the last")
    return value


def _check_size(node: yaml.Node | None) -> None:
    """Refuse a document that refers to itself, or that grows beyond measure through references to references."""
    waiting, visited = [node], 0
    while waiting:
        inner = waiting.pop()
        visited += 1
        if visited > _LARGEST:
            raise ValueError(f"its references (&, *) make more than {_LARGEST} values of it, or one that holds itself")
        if isinstance(inner, yaml.SequenceNode):
            waiting += inner.value
        elif isinstance(inner, yaml.MappingNode):
            waiting += [part for pair in inner.value for part in pair]


def explain(error: ValidationError, model: type[BaseModel], source: str | Path | None = None) -> str:
    """Every fault in one line each, such as ``line 12, training.stepz: unknown key; there are: ...``."""
    node = None
    if source is not None and Path(source).is_file():
        node = yaml.compose(Path(source).read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    lines = []
    for fault in error.errors():
        if fault["type"] == "default_factory_not_called":  # for want of another field, which has a fault of its own
            continue
        location = fault["loc"]
        message = fault["msg"].removeprefix("Value error, ")
        if fault["type"] == "extra_forbidden":
            message = unknown_name("key", str(location[-1]), _fields(model, location[:-1]))
        elif fault["type"] == "list_type":
            message = f"must be a list, such as [{fault['input']}]"
        elif fault["type"] == "missing":
            message = "is missing"
        elif fault["type"] == "string_pattern_mismatch":
            message = f"{fault['input']!r} must start with a letter or digit and hold only these, '_', '.' and '-'"
        where = [f"line {line}"] if (line := _line(node, location)) else []
        where += [".".join(map(str, location))] if location else []
        lines.append(f"{', '.join(where)}: {message}" if where else message)
    return "\n  ".join(lines)


@contextmanager
def wrap_validation_errors(model: type[BaseModel], where: str = "") -> Iterator[None]:
    """Raise what a model says of its values as an error of the suite, with the place where they are written."""
    try:
        yield
    except ValidationError as error:
        raise SuiteError(f"{where}: {explain(error, model)}" if where else explain(error, model)) from error


def _fields(model: type[BaseModel], location: Location) -> list[str]:
    """The keys there are at a place of a model."""
    inner: Any = model
    for key in location:
        if isinstance(inner, type) and issubclass(inner, BaseModel) and key in inner.model_fields:
            inner = _model_in(inner.model_fields[str(key)].annotation)
    return list(inner.model_fields) if isinstance(inner, type) and issubclass(inner, BaseModel) else []


def _model_in(annotation: Any) -> Any:
    """The model inside `list[Model]`, `Model | None` and the like."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for argument in typing.get_args(annotation) if (model := _model_in(argument))), None)


def _line(node: yaml.Node | None, location: Location) -> int | None:
    """The line (from 1) of a place in a YAML document, or of the nearest one around it."""
    if node is None or not location:
        return None
    line = None
    for step in location:
        if isinstance(node, yaml.MappingNode):
            pair = next(((key, value) for key, value in node.value if key.value == str(step)), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line + 1
        else:
            break
    return line


def _repeated_key(node: yaml.Node | None) -> str | None:
    """Says which key stands twice in one mapping, if any does."""
    if isinstance(node, yaml.SequenceNode):
        return next((reason for item in node.value if (reason := _repeated_key(item))), None)
    if not isinstance(node, yaml.MappingNode):
        return None
    seen: Mapping[str, int] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            continue  # refused when values are made of it
        if key.value in seen:
            line = key.start_mark.line + 1
            return f"line {line}: key {key.value!r} is there twice (first in line {seen[key.value]})"
        seen = {**seen, key.value: key.start_mark.line + 1}
        if reason := _repeated_key(value):
            return reason
    return None
