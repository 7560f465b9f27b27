"""A suite: what to compare, read from YAML and validated before anything starts."""

from contrastseg.suite.models import (
    DatasetEntry,
    MethodEntry,
    Options,
    Suite,
    json_schema,
    load_suite,
    merge,
    parse_suite,
)

__all__ = ["DatasetEntry", "MethodEntry", "Options", "Suite", "json_schema", "load_suite", "merge", "parse_suite"]
