"""Help is printed as it is written: nothing in it is taken for markup."""

from __future__ import annotations

import re

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from contrastseg.cli import _literal, app

NAMES = sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


def printed(app: typer.Typer, *arguments: str) -> str:
    """What help prints, without boxes and line breaks."""
    shown = CliRunner().invoke(app, [*arguments, "--help"], catch_exceptions=False, env={"COLUMNS": "100"}).output
    return "".join(re.sub(r"[│╭╮╰╯─]", "", shown).split())


def written(text: str) -> str:
    """A text without the backticks of code, the backslashes of escaping, and white space."""
    return "".join(re.sub(r"\\(?=[^A-Za-z0-9\s])|`", "", text).split())


@pytest.mark.parametrize("name", NAMES)
def test_every_word_of_a_commands_help_is_printed(name):
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    shown = printed(app, name)
    assert written(command.help) in shown
    lost = [one.help for one in command.params if one.help and written(one.help) not in shown]
    assert not lost


def test_placeholders_are_kept():
    assert "results/<suite>/scores.parquet" in printed(app, "report")
    assert "methods-<hardware>.csv" in printed(app, "methods")


SIGNS = st.text(alphabet="abc <>*_[]#&~|/.-", min_size=1, max_size=30).map(lambda text: f"a {text} z")


@settings(max_examples=40, deadline=None)
@given(SIGNS)
def test_signs_of_markdown_are_printed_as_signs(text):
    one = typer.Typer(rich_markup_mode="markdown", add_completion=False)
    one.command(help=_literal(text))(lambda: None)
    assert "".join(text.split()) in printed(one)
    assert _literal(_literal(text)) == _literal(text)
