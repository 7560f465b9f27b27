"""A suite: what to compare, read from YAML and validated before anything starts."""

from contrastseg.suite.entries import NAME, DatasetEntry, MethodEntry
from contrastseg.suite.models import Options, Suite, json_schema, load_suite, parse_suite

__all__ = [
    "NAME",
    "DatasetEntry",
    "MethodEntry",
    "Options",
    "Suite",
    "json_schema",
    "load_suite",
    "parse_suite",
]
