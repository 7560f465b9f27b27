"""Which cases show one patient: a table that the owner of the data writes, in an editor or a spreadsheet."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Collection
from pathlib import Path

from contrastseg.data.faults import Faults
from contrastseg.data.read_errors import wrap_read_errors
from contrastseg.errors import DataError

COLUMNS = ("case", "patient")
_SEPARATORS = ",;\t"
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_IMAGE = re.compile(r"(_\d{4})?(\.[A-Za-z]{2,4}){1,2}$")


def read_patients(table: Path, cases: Collection[str], faults: Faults, others: Collection[str] = ()) -> dict[str, str]:
    """The patient of every case.

    Read are commas, semicolons and tabs, in UTF-8 and in UTF-16 with its mark, as spreadsheets write them. Case and
    order of the columns do not matter, and further columns are passed over.

    Args:
        table: The file.
        cases: Those there are.
        faults: Takes what is wrong with single rows.
        others: Cases whose files are there and make no case: left aside, or faults already. They may have rows.

    Raises:
        DataError: The file cannot be read, or lacks a column.
    """
    patients: dict[str, str] = {}
    with wrap_read_errors(table):
        lines = _text(table).splitlines()
        if lines and re.fullmatch(r"sep=.", lines[0].strip()):  # a line for the spreadsheet alone
            lines = lines[1:]
        rows = list(csv.reader(lines, delimiter=_separator(lines[0] if lines else "", table)))
    places = [[name.strip().casefold() for name in rows[0]].index(column) for column in COLUMNS]
    for number, row in enumerate(rows[1:], start=2):
        if not any(value.strip() for value in row):
            continue
        case, patient = (row[place].strip() if place < len(row) else "" for place in places)
        if not case or not re.fullmatch(r'[^,"\x00-\x1f]+', patient):
            faults.add("a row without case or patient", case=case or None, file=table, remedy=f"complete line {number}")
        elif case in patients:
            faults.add("the table names the case twice", case=case, file=table, remedy=f"remove line {number}")
        else:
            patients[case] = patient
    _check_names(table, {name for name in patients if name in cases or name not in others}, cases, faults)
    return patients


def _text(table: Path) -> str:
    content = table.read_bytes()
    if content.startswith(_UTF_16):
        return content.decode("utf-16")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"the table is not UTF-8 text: {error.reason} at byte {error.start}",
            file=table,
            remedy="save it as `CSV UTF-8` (of spreadsheets) or as UTF-8 (of editors)",
        ) from error


def _separator(header: str, table: Path) -> str:
    for separator in _SEPARATORS:
        names = [name.strip().strip('"').casefold() for name in header.split(separator)]
        if set(COLUMNS) <= set(names):
            return separator
    raise DataError(
        f"the first line is {header[:80]!r}, expected columns case and patient",
        file=table,
        remedy="begin the table with the line case,patient",
    )


def _check_names(table: Path, named: Collection[str], cases: Collection[str], faults: Faults) -> None:
    """Note rows of cases that are not there and cases without a row, and which of them belong together."""
    strange, lacking = sorted(set(named) - set(cases)), sorted(set(cases) - set(named))
    for name in strange:
        if meant := [case for case in lacking if _without_zeros(case) == _without_zeros(name)]:
            faults.add(
                f"the table names {name}, and the case is called {meant[0]}: spreadsheets drop leading zeros",
                case=meant[0],
                file=table,
                remedy=f"write {meant[0]} instead of {name}; in a spreadsheet, import the column `case` as text",
            )
        elif (bare := _IMAGE.sub("", name)) in lacking:
            meant = [bare]
            faults.add(
                f"the table names the file {name} instead of its case",
                case=bare,
                file=table,
                remedy=f"write {bare}: without the channel's number and the ending",
            )
        else:
            faults.add(
                "the table names a case that is not there", case=name, file=table, remedy="remove or correct its row"
            )
        lacking = [case for case in lacking if case not in meant[:1]]
    for case in lacking:
        faults.add(
            "the table has no row for the case",
            case=case,
            file=table,
            remedy=f"add its row, or the row {case},{case} if it shows a patient of its own",
        )


def _without_zeros(name: str) -> str:
    """The name as a spreadsheet leaves it, where it is a number."""
    return name.lstrip("0") or "0" if name.isascii() and name.isdigit() else name
