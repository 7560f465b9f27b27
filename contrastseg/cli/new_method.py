"""new-method: three files of a new method that trains and passes the contract tests."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

TEMPLATES = Path(__file__).parent / "templates"
TITLE_LENGTH = 90  # longer ones do not fit the line they are written to


def new_method(
    name: str = typer.Argument(help="Lower-case identifier, used in suites, paths and tables."),
    title: str | None = typer.Option(None, help="Full name for the card. Default: made of NAME."),
    root: Path = typer.Option(Path("."), help="Checkout of the project to write to."),
) -> None:
    """Create a method, its rule and its test from a template that trains.

    Example: `contrastseg new-method my_idea --title "My idea"`
    """
    for path in write_method(name, title, root, datetime.now(UTC).year):
        typer.echo(f"wrote {path}")
    typer.echo(f"test it: pytest -k {name} tests/contracts/test_methods.py tests/methods/test_{name}.py")


def write_method(name: str, title: str | None, root: Path, year: int) -> list[Path]:
    """Write the three files of a new method; none where one of them cannot be.

    Args:
        name: The method's name.
        title: Its full name; made of `name` if None.
        root: The checkout.
        year: For the card.

    Returns:
        The files written: method, rule, test.

    Raises:
        SuiteError: The name is no lower-case identifier or is taken, the title does not fit a line, or `root` is no
            checkout.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from contrastseg.files import write_text

    sentence = name.replace("_", " ").capitalize()
    title = sentence if title is None else title.strip()
    files = {
        "method.py.j2": root / "contrastseg" / "methods" / f"{name}.py",
        "rule.smk.j2": root / "workflow" / "rules" / "methods" / f"{name}.smk",
        "test.py.j2": root / "tests" / "methods" / f"test_{name}.py",
    }
    _check(name, title, root, list(files.values()))
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False
    )
    words: dict[str, Any] = {"name": name, "sentence": sentence, "year": year}
    words["class_name"] = "".join(part.capitalize() for part in name.split("_"))
    quote = "'" if title.count('"') > title.count("'") else '"'  # as the formatter writes it
    words["title"] = quote + title.replace("\\", "\\\\").replace(quote, f"\\{quote}") + quote
    texts = {path: environment.get_template(template).render(words) for template, path in files.items()}
    for path, text in texts.items():
        write_text(path, text)
    return list(texts)


def _check(name: str, title: str, root: Path, files: list[Path]) -> None:
    """Raise a SuiteError where the files cannot be written."""
    import keyword
    import re

    from contrastseg.errors import SuiteError
    from contrastseg.methods import registry

    # A leading underscore marks what methods share, capitals would meet lower case on some file systems.
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or keyword.iskeyword(name):
        raise SuiteError(
            f"{name!r} is not a valid method name",
            remedy="use lower-case letters, digits and single underscores, beginning with a letter: my_idea",
        )
    if not title or len(title) > TITLE_LENGTH or not title.isprintable():
        raise SuiteError(
            f"found title {title!r}, expected one line of 1 to {TITLE_LENGTH} characters",
            remedy="shorten --title, or write it on one line",
        )
    folders = [file.parent for file in files]
    absent = [folder for folder in folders if not folder.is_dir()]
    if absent:
        raise SuiteError(
            "this folder is not a checkout of contrastseg",
            file=absent[0],
            remedy="change to the checkout, or give --root",
        )
    taken = [file for file in files if file.exists()]
    if taken:
        raise SuiteError(f"the file of {name!r} exists already", file=taken[0], remedy="choose another name")
    if name in registry.names():
        raise SuiteError(f"a method named {name!r} exists already", remedy="choose another name")


COMMANDS = (new_method,)
