"""The data table: where the published files of the data sets are, and how they are known to be the right ones."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from contrastseg.data.faults import Faults
from contrastseg.data.read_errors import wrap_read_errors
from contrastseg.errors import DataError
from contrastseg.paths import SHIPPED

DATA_TABLE = SHIPPED / "benchmarks" / "datasets.csv"

Said = Annotated[str, StringConstraints(min_length=1)]
_PART = r"[A-Za-z0-9_][\w.+-]*"
_ADDRESS = r"https?://\S+"

_REMEDIES = {
    "sha256": "64 hexadecimal digits in lower case, or nothing",
    "md5": "32 hexadecimal digits in lower case, or nothing",
    "size": "a count of bytes, or nothing",
    "file": "a plain file name of letters, digits and _ . + -",
    "unpack": "'.' for the data set's folder, a folder below it, or nothing",
    "address": "one address that starts with http:// or https://",
    "mirror": "addresses that start with http:// or https://, with a space between them",
    "registration": "'required', or nothing",
    "client": "synapse:syn<number>, tcia:<collection>, or nothing",
}


class PublishedFile(BaseModel):
    """A row of the data table; empty where it is not known.

    Attributes:
        name: The data set.
        version: As its publisher calls it.
        file: Name of the file; empty where it cannot be downloaded, or where `client` gives a whole collection.
        address: Where the file is; the data set's site where there is no file.
        mirror: Further addresses of the same file.
        sha256: Of the file, where somebody verified it.
        md5: The same.
        size: Of the file in bytes.
        licence: Terms of use.
        registration: ``required`` where an account is needed.
        citation: Whom to cite.
        unpack: The folder an archive is unpacked into, seen from the data set's folder; empty for what stays as it is.
        client: What fetches it instead of an address: ``synapse:<entity>`` or ``tcia:<collection>``.
        source: Where the address and the checksums were read.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Said
    version: str = ""
    file: Annotated[str, StringConstraints(pattern=rf"^({_PART})?$")] = ""
    address: Annotated[str, StringConstraints(pattern=rf"^({_ADDRESS})?$")] = ""
    mirror: Annotated[str, StringConstraints(pattern=rf"^({_ADDRESS}( {_ADDRESS})*)?$")] = ""
    sha256: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64})?$")] = ""
    md5: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{32})?$")] = ""
    size: Annotated[int, Field(gt=0)] | None = None
    licence: Said
    registration: Literal["", "required"] = ""
    citation: Said
    unpack: Annotated[str, StringConstraints(pattern=rf"^(\.|{_PART}(/{_PART})*)?$")] = ""
    client: Annotated[str, StringConstraints(pattern=r"^(synapse:syn\d+|tcia:[\w.-]+)?$")] = ""
    source: str = ""

    @field_validator("size", mode="before")
    @classmethod
    def _unknown(cls, value: object) -> object:
        return None if value == "" else value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        known = self.sha256 or self.md5 or self.size
        if known and not self.file:
            raise ValueError("a checksum or size without a file")
        if known and not self.source:
            raise ValueError("a checksum or size without a source that verified it")
        if self.registration and self.file and not self.client:
            raise ValueError("a file behind a registration, and no client that could fetch it")
        if not self.registration and not self.client and not (self.file and self.address):
            raise ValueError("neither a file with its address, nor a client, nor a registration")
        if self.unpack and not self.file and not self.client:
            raise ValueError("something to unpack without a file")
        return self

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where to try, in turn."""
        return (self.address, *self.mirror.split())


def published_files(dataset: str, table: Path = DATA_TABLE) -> list[PublishedFile]:
    """The rows of one data set, after the whole table was checked.

    Raises:
        DataError: The table has other columns, or rows that are not valid: all of them, with line and column.
    """
    return [row for row in read_table(table) if row.name == dataset]


def read_table(table: Path = DATA_TABLE) -> list[PublishedFile]:
    """All rows of the data table.

    Raises:
        DataError: As `published_files`.
    """
    columns, faults, rows = tuple(PublishedFile.model_fields), Faults(), []
    line_of: dict[tuple[str, str], int] = {}
    with wrap_read_errors(table), open(table, newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file, restkey="too many columns")
        if tuple(reader.fieldnames or ()) != columns:
            remedy = f"its first line is {','.join(columns)}"
            raise DataError("the data table has other columns", file=table, remedy=remedy)
        for values in reader:
            line = reader.line_num
            try:
                row = PublishedFile.model_validate({key: value for key, value in values.items() if value is not None})
            except ValidationError as error:
                for fault in error.errors():
                    _explain(faults, table, line, fault["loc"], fault["msg"])
                continue
            first = line_of.setdefault((row.name, row.file), line)
            if first != line:
                faults.add(
                    f"line {line}, column file: {row.file or 'no file'} stands in line {first} already",
                    case=row.name,
                    file=table,
                    remedy="keep one of the two lines",
                )
            rows.append(row)
    faults.raise_any()
    return rows


def _explain(faults: Faults, table: Path, line: int, location: tuple[int | str, ...], message: str) -> None:
    column = str(location[0]) if location else ""
    where = f"line {line}, column {column}" if column else f"line {line}"
    remedy = f"write {_REMEDIES[column]}" if column in _REMEDIES else "correct the line"
    faults.add(f"{where}: {message.removeprefix('Value error, ')}", file=table, remedy=remedy)
