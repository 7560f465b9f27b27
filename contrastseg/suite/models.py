"""What a suite asks for: data sets x methods x label budgets x draws x folds x seeds, and the tables wanted of it.

The models compose those of the packages, so a key means the same in a suite as in the package that obeys it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError, model_validator

from contrastseg.errors import ContrastsegError, SuiteError
from contrastseg.renamed import with_new_keys
from contrastseg.suite.consistency import check_consistency
from contrastseg.suite.entries import Strict
from contrastseg.suite.fields import SuiteFields
from contrastseg.suite.parsing import explain, read_yaml


class Suite(SuiteFields):
    """One comparison."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        check_consistency(self)
        return self


class Options(Strict):
    """What a person says beside the suite: `--config skip_unavailable=true`."""

    skip_unavailable: bool = Field(False, description="run the rest; the tables report what is missing")
    data_root: Path | None = Field(None, description="folder with one sub-folder per data set, as published")


def parse_suite(config: Mapping[str, Any], source: str | Path | None = None) -> tuple[Suite, Options]:
    """A suite and the options beside it, from Snakemake's config.

    Args:
        config: The content of a suite file, with keys of `Options` among it.
        source: The file, for messages that name the line.

    Raises:
        SuiteError: It asks for something that does not exist or contradicts itself; every fault is listed.

    Warns:
        RenamedWarning: A key is written as the last version called it.
    """
    options = {key: value for key, value in config.items() if key in Options.model_fields}
    wanted = {key: value for key, value in config.items() if key not in options}
    try:
        wanted = with_new_keys(wanted)
        return Suite.model_validate(wanted), Options.model_validate(options)
    except ValidationError as error:
        raise SuiteError(explain(error, Suite, source), file=source, remedy="correct the suite") from error
    except ContrastsegError as error:
        raise SuiteError(error.reason, file=source, remedy=error.remedy or "correct the suite") from error


def load_suite(path: str | Path) -> Suite:
    """Read and validate a suite file.

    Raises:
        SuiteError: It is no YAML, or asks for something that does not exist.
    """
    return parse_suite(read_yaml(path), path)[0]


def json_schema() -> str:
    """The JSON schema of a suite file."""
    return json.dumps(Suite.model_json_schema(), indent=2, sort_keys=True) + "\n"
