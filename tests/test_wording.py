"""What users read keeps to the glossary and to short sentences: pages, help, errors, the report.

A page is read as Markdown. A module is read for its texts: every string of three words or more that is no docstring.
Generated pages are covered twice, as committed and through the texts of the modules that make them.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import typer

from contrastseg import errors
from contrastseg.cli import app

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "results").glob("*/*/README.md")),
    *sorted((ROOT / "workflow" / "report").glob("*.rst")),
]
MODULES = sorted((ROOT / "contrastseg").rglob("*.py"))
MOST_WORDS = 35

# The word that is not used, and what to write.
WORDS = {
    r"told apart|tell(?:s|ing)? (?:\S+ ){0,6}?apart": "significantly different",
    r"hopeless": "cannot reject",
    r"nobody|somebody|whoever": "name the person or thing, or use the passive",
    r"none of our business": "ignored",
    r"nothing of": "missing",
    r"(?<!there )(?:is|are|was|were) no(?! longer)": "say what it is: missing, unknown, not a number",
    r"invented": "false positive",
    r"holes?": "missing prediction",
    r"whole road": "whole workflow",
    r"(?:goes|go|going|went) on": "continue or resume",
    r"contests?": "score matrix",
    r"roster": "cohort",
    r"understandings?": "meaning of the values",
}
WORD = re.compile("|".join(rf"(?P<w{n}>\b(?:{pattern})\b)" for n, pattern in enumerate(WORDS)), re.IGNORECASE)
START = re.compile(r"(?:^|(?<=[.!?:] ))(?:What|Whoever|Where|Behind|Of)\b[^.?!]*(?![^.?!]*\?)")

# Texts that a fingerprint hashes: other words would prepare, train or score everything again. They change when the code
# beside them does.
HASHED = {
    "data/prepare/cases.py",
    "data/prepare/extremes.py",
    "data/registry/nnunet_files.py",
    "evaluation/metrics/case_scores.py",
    "evaluation/metrics/conventions.py",
    "evaluation/scoring/meaning.py",
    "evaluation/scoring/predictions.py",
    "labels.py",
    "methods/glcl.py",
    "training/device_errors.py",
}

# Lists of names and numbers, which read as one sentence to a counter of words.
LONG_LISTS = {"findings.md", "results.md", "published.md", "datasets.md", "long-tests.md"}


def findings(text: str) -> list[str]:
    """The words and openings of a text that it should not have, each with what to write."""
    plain = " ".join(re.sub(r"`[^`]*`", "`x`", text).split())
    words = [f"{found[0]!r}: {WORDS[_pattern(found)]}" for found in WORD.finditer(plain)]
    return words + [f"begins with {found[0]!r:.40}: subject first" for found in START.finditer(plain)]


def _pattern(found: re.Match[str]) -> str:
    return list(WORDS)[int(str(found.lastgroup)[1:])]


def prose(page: Path) -> str:
    """A page without blocks of code and comments."""
    text = page.read_text(encoding="utf-8")
    return re.sub(r"<!--.*?-->|^(`{3,}).*?^\1$", "", text, flags=re.MULTILINE | re.DOTALL)


def sentences(text: str) -> Iterator[str]:
    """The sentences of Markdown, without headings and tables; an item of a list is a text of its own."""
    for block in re.split(r"\n\s*\n|\n(?=\s*(?:[-*]|\d+\.) )", text):
        if not block.strip().startswith(("#", "|", "    python")):
            plain = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", block)
            plain = re.sub(r"`[^`]*`", "x", plain)
            yield from re.split(r"(?<=[.!?])[*)]*\s+(?=[\[*(√]?[A-Zx0-9])", " ".join(plain.split()).lstrip("-* "))


@cache
def nodes(module: Path) -> tuple[ast.AST, ...]:
    """The syntax of a module: strings, f-strings, calls and statements of one expression, each before its parts."""
    wanted = (ast.Constant, ast.JoinedStr, ast.Call, ast.Expr)
    walked = ast.walk(ast.parse(module.read_text(encoding="utf-8")))
    return tuple(node for node in walked if isinstance(node, wanted))


@cache
def texts(module: Path) -> tuple[tuple[int, str], ...]:
    """The texts of a module by line: strings of three words or more, f-strings with `x` for values, no docstrings."""
    apart, found = set(), []
    for node in nodes(module):
        if isinstance(node, ast.Expr):
            apart.add(id(node.value))
        elif isinstance(node, ast.JoinedStr):
            apart.update(map(id, node.values))
            parts = (str(part.value) if isinstance(part, ast.Constant) else "`x`" for part in node.values)
            found.append((node.lineno, "".join(parts)))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in apart:
            found.append((node.lineno, node.value))
    return tuple((line, text) for line, text in found if text.strip().count(" ") >= 2)


def found_in(module: Path) -> list[str]:
    return [f"{module.name}:{line}: {found}" for line, text in texts(module) for found in findings(text)]


def test_pages_keep_to_the_words() -> None:
    wrong = []
    for page in PAGES:
        text = prose(page)
        plain = re.sub(r"`[^`]*`", "`x`", text)
        wrong += [f"{page.name}: {found[0]!r}: {WORDS[_pattern(found)]}" for found in WORD.finditer(plain)]
        opened = (found[0] for sentence in sentences(text) for found in START.finditer(sentence))
        wrong += [f"{page.name}: begins with {opening!r:.60}: subject first" for opening in opened]
    assert wrong == []


def test_sentences_of_pages_are_short() -> None:
    long = [
        f"{page.name}: {len(sentence.split())} words: {sentence:.100}"
        for page in PAGES
        if page.name not in LONG_LISTS
        for sentence in sentences(prose(page))
        if len(sentence.split()) > MOST_WORDS
    ]
    assert long == []


def test_texts_in_code_keep_to_the_words() -> None:
    wrong = [found for module in MODULES if _name(module) not in HASHED for found in found_in(module)]
    assert wrong == []


def test_the_exceptions_only_shrink() -> None:
    assert {_name(module) for module in MODULES if found_in(module)} >= HASHED, "take them off the list"


def _name(module: Path) -> str:
    return str(module.relative_to(ROOT / "contrastseg"))


def test_help_keeps_to_the_words() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    told = {name: command.help or "" for name, command in commands.items()}
    told |= {f"{name} {p.name}": getattr(p, "help", "") or "" for name, c in commands.items() for p in c.params}
    assert len(told) > 50
    assert {name: found for name, text in told.items() if (found := findings(text))} == {}


def test_every_error_says_what_to_do() -> None:
    """An error of ours has a remedy, or lists the known names, or passes on what a model of settings said."""
    kinds = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)}
    said = {"unknown_name", "explain", "invalid_values", "describe_missing"}
    without = []
    for module in MODULES:
        for node in nodes(module):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in kinds:
                calls = {ast.unparse(each.func).split(".")[-1] for each in ast.walk(node) if isinstance(each, ast.Call)}
                if not {keyword.arg for keyword in node.keywords} & {"remedy", None} and not calls & said:
                    without.append(f"{_name(module)}:{node.lineno}: {ast.unparse(node)[:80]}")
    assert without == []


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("The two methods are told apart nowhere.", 1),
        ("This tells a method from another, apart from noise", 1),
        ("Nobody invented a hole.", 3),
        ("this is no JSON", 1),
        ("This is no longer so, and `invented` is a stored name.", 0),
        ("What is unchanged is kept.", 1),
        ("Unchanged cases are skipped. Where a file is missing, it is named.", 1),
        ("Whoever reads. Of these", 3),
        ("Which one wins?", 0),
    ],
)
def test_a_wrong_word_is_found(text: str, count: int) -> None:
    assert len(findings(text)) == count


def test_a_long_sentence_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# A title\n\nShort. {'Word ' * 36}.\n\n```sh\n{'word ' * 50}\n```\n\n- {'item ' * 36}\n", "utf-8")
    assert [len(found.split()) for found in sentences(prose(page)) if len(found.split()) > MOST_WORDS] == [37, 36]
