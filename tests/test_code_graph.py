"""A hash of code that follows what it does: moves and renames leave it, edits and other bindings change it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from contrastseg.code_graph import code_fingerprint, definition, graph
from contrastseg.fingerprints import _ROOTS, stage_fingerprint
from tests.moving import move

ROOT = Path(__file__).resolve().parent.parent

ENTRY = '''
import math
from dataclasses import dataclass

from parcel.tools import half, pair
from parcel import shapes


@dataclass
class Box:
    """A box."""

    side: float

    def area(self, factor: float = 1.0) -> float:
        total = factor * self.side**2
        return total


def run(values, *, scale=1.0):
    found = [half(value) for value in values if value > 0]
    if not found:
        raise ValueError(f"nothing of {values}")
    for one in found:
        scale += pair(one, other=2)
    return Box(scale).area(factor=math.pi) + shapes.corner(found)
'''
TOOLS = """
STEP = 2


def half(x):
    return x / STEP


def pair(x, other):
    return x if other == 0 else pair(x, other - 1) + STEP
"""
SHAPES = "def corner(points):\n    first, *rest = points\n    return first, [point for point in rest]\n"
FILES = {"__init__.py": "", "entry.py": ENTRY, "tools.py": TOOLS, "shapes.py": SHAPES}


@pytest.fixture
def fingerprint(tmp_path, monkeypatch):
    """The fingerprint of `parcel.entry:run` in a package of these files."""
    monkeypatch.syspath_prepend(tmp_path)

    def of(changed: dict[str, str | None] | None = None, root: str = "parcel.entry:run") -> str:
        shutil.rmtree(tmp_path / "parcel", ignore_errors=True)
        for name, text in {**FILES, **(changed or {})}.items():
            if text is not None:
                path = tmp_path / "parcel" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
        graph.clear()
        return code_fingerprint((root,))

    yield of
    graph.clear()


def edited(text: str, *changes: tuple[str, str]) -> str:
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


SAME = {
    "a module was moved into a package": {
        "tools.py": None,
        "deep/__init__.py": "",
        "deep/kit.py": TOOLS,
        "entry.py": edited(ENTRY, ("parcel.tools", "parcel.deep.kit")),
    },
    "a module became a package": {"tools.py": None, "tools/__init__.py": TOOLS},
    "a relative import": {"entry.py": edited(ENTRY, ("from parcel.tools", "from .tools"))},
    "a module was split": {
        "tools.py": "from parcel.step import STEP\nfrom parcel.halves import half\n" + TOOLS.split("\n\n\n")[2],
        "step.py": "STEP = 2\n",
        "halves.py": "from parcel.step import STEP as S\n\n\ndef half(x):\n    return x / S\n",
    },
    "modules were joined": {
        "shapes.py": None,
        "tools.py": TOOLS + SHAPES,
        "entry.py": edited(ENTRY, ("from parcel import shapes", "from parcel import tools"), ("shapes.", "tools.")),
    },
    "a module instead of its names": {
        "entry.py": edited(
            ENTRY,
            ("from parcel.tools import half, pair", "import parcel.tools as kit"),
            ("half(", "kit.half("),
            ("pair(", "kit.pair("),
        )
    },
    "an import inside the function": {
        "entry.py": edited(
            ENTRY,
            ("from parcel import shapes\n", ""),
            ("    found = [", "    from parcel import shapes\n\n    found = ["),
        )
    },
    "passed on by another module": {
        "all.py": "from parcel.tools import *\n",
        "entry.py": edited(ENTRY, ("parcel.tools", "parcel.all")),
    },
    "functions and classes were renamed": {
        "tools.py": edited(TOOLS, ("half", "divided"), ("pair", "couple"), ("STEP", "_STRIDE")),
        "entry.py": edited(ENTRY, ("half", "divided"), ("pair", "couple"), ("Box", "Square")),
    },
    "local names were renamed": {
        "entry.py": edited(ENTRY, ("found", "positive"), ("one", "item"), ("total", "sum_of_all")),
        "tools.py": edited(TOOLS, ("(x", "(number"), ("x /", "number /"), ("x if", "number if")),
        "shapes.py": edited(SHAPES, ("points", "corners"), ("rest", "others"), ("point ", "p ")),
    },
    "the words of an error": {"entry.py": edited(ENTRY, ("nothing of {values}", "no positive value in {values}"))},
    "a docstring, a comment": {
        "entry.py": edited(ENTRY, ("A box.", "A square box."), ("self.side**2", "(self.side**2)"))
    },
    "another order in the file": {"tools.py": "\n\n".join(reversed(TOOLS.split("\n\n\n")))},
    "a function that nobody calls": {"tools.py": TOOLS + "\n\ndef unused():\n    return 7\n"},
    "another name for a library": {"entry.py": edited(ENTRY, ("import math", "import math as m"), ("math.pi", "m.pi"))},
}
OTHER = {
    "another constant": {"tools.py": edited(TOOLS, ("STEP = 2", "STEP = 3"))},
    "another method body": {"entry.py": edited(ENTRY, ("self.side**2", "self.side**3"))},
    "the import binds another function": {
        "entry.py": edited(ENTRY, ("import half, pair", "import pair, pair as half"))
    },
    "another module of the same name for the same function": {
        "entry.py": edited(ENTRY, ("parcel.tools import half, pair", "parcel.more import half, pair")),
        "more.py": edited(TOOLS, ("x / STEP", "x // STEP")),
    },
    "two locals were exchanged": {"entry.py": edited(ENTRY, ("pair(one, other=2)", "pair(scale, other=2)"))},
    "parameters passed by name were exchanged": {
        "tools.py": edited(TOOLS, ("pair(x, other)", "pair(other, x)")),
    },
    "parameters of what is called from outside were exchanged": {
        "entry.py": edited(ENTRY, ("run(values, *, scale=1.0)", "run(values, *, size=1.0)"), ("scale", "size"))
    },
    "another default": {"entry.py": edited(ENTRY, ("scale=1.0", "scale=2.0"))},
    "another attribute": {"entry.py": edited(ENTRY, ("self.side", "self.edge"))},
    "another library function": {"entry.py": edited(ENTRY, ("math.pi", "math.e"))},
    "another library of the same name": {"entry.py": edited(ENTRY, ("import math", "import cmath as math"))},
    "another error": {"entry.py": edited(ENTRY, ("raise ValueError", "raise KeyError"))},
    "a decorator": {"entry.py": edited(ENTRY, ("@dataclass", "@dataclass(frozen=True)"))},
    "something done when a module is imported": {"tools.py": TOOLS + "\nimport random\n\nrandom.seed(1)\n"},
    "something done to a name": {"tools.py": TOOLS + "\nhalf.cached = {}\n"},
    "a name bound twice": {"tools.py": TOOLS + "\nSTEP += 1\n"},
    "a name bound in a branch": {"tools.py": TOOLS + "\nif half(2) > 1:\n    STEP = 4\n"},
    "a definition that a decorator keeps": {
        "tools.py": TOOLS
        + "\n\nKEPT = []\n\n\ndef keep(one):\n    return KEPT.append(one)\n\n\n@keep\ndef more():\n    return 1\n"
    },
    "something done by the package around it": {"__init__.py": "import random\n\nrandom.seed(1)\n"},
}


@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_what_does_the_same_has_the_same_fingerprint(fingerprint, change):
    assert fingerprint(change) == fingerprint()


@pytest.mark.parametrize("change", OTHER.values(), ids=OTHER)
def test_what_does_something_else_has_another(fingerprint, change):
    assert fingerprint(change) != fingerprint()


# Whatever binds a name, in one module.
CONSTRUCTS = """
import os.path as path
from parcel.tools import *
from parcel import shapes

first, *others = [total := 3, 4]
for index, (a, b) in enumerate([(1, 2)]):
    kept = [seen := a + c for c in range(index) if c]
with open(os.devnull) as file, shapes.corner([1]) as (low, *high):
    pass
try:
    import json
except ImportError as error:
    json = None
else:
    found: int = 3
finally:
    done: bool


class Table(dict, metaclass=type):
    size = 3
    rows = [size for _ in range(3)]

    @property
    def half(self, /, other=lambda x=total: x, *rest: int, scale=(wide := 2), **named) -> "Table":
        global counted
        counted = self.size
        nonlocal_ = 0

        async def inner(deep):
            nonlocal nonlocal_
            from math import tau

            nonlocal_ = {k: [v for v in row if (last := v)] for k, row in deep.items()}
            async with deep as handle:
                yield tau, handle, last, __class__
            del nonlocal_

        match other:
            case {"key": value, **more} if value > wide:
                return more
            case [1, *tail]:
                return tail
            case Table(size=length) as whole:
                return whole, length
        assert rest, "words"
        return f"{pair(named['x'], other=scale)!r:>{wide}}", half(3), path.sep, json.dumps(inner), STEP
"""


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="another Python has other syntax trees")
def test_what_earlier_versions_found_is_found_again(fingerprint):
    """Every finished run was stored with a fingerprint: another way to find it must find the same."""
    assert fingerprint() == "256436a3291842ee"
    assert fingerprint({"entry.py": CONSTRUCTS}, "parcel.entry:Table") == "a8a915b680b8422a"
    assert fingerprint({"entry.py": CONSTRUCTS}, "parcel.*") == "fe4282d8611679ec"


def test_functions_that_call_each_other_end(fingerprint):
    even = "def even(n):\n    return n == 0 or odd(n - 1)\n\n\ndef odd(n):\n    return n != 0 and even(n - 1)\n"
    before = fingerprint({"entry.py": even}, "parcel.entry:even")
    assert before == fingerprint({"entry.py": edited(even, ("even", "straight"))}, "parcel.entry:straight")
    assert before != fingerprint({"entry.py": edited(even, ("n == 0", "n == 1"))}, "parcel.entry:even")


def test_a_whole_module_is_what_nothing_else_in_it_leads_to(fingerprint):
    before = fingerprint(root="parcel.entry")
    assert before == fingerprint(root="parcel.entry:run")
    moved = {
        "boxes.py": "from dataclasses import dataclass\n\n\n"
        + ENTRY[ENTRY.index("@dataclass") : ENTRY.index("def run")]
    }
    rest = ENTRY[: ENTRY.index("@dataclass")] + "from parcel.boxes import Box\n\n\n" + ENTRY[ENTRY.index("def run") :]
    assert before == fingerprint({**moved, "entry.py": rest}, "parcel.entry")
    assert before != fingerprint({"more.py": "def more():\n    return 1\n"}, "parcel.*")


def test_what_runs_where_types_are_not_checked_counts(fingerprint):
    checked = "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    STEP = 2\nelse:\n    STEP = 4"
    tools = edited(TOOLS, ("STEP = 2", checked))
    before = fingerprint({"tools.py": tools})
    assert before == fingerprint({"tools.py": edited(tools, ("    STEP = 2", "    STEP: int"))})
    assert before != fingerprint({"tools.py": edited(tools, ("STEP = 4", "STEP = 5"))})


def test_a_root_that_is_not_there_is_an_error(fingerprint):
    with pytest.raises(LookupError, match="defines no walk"):
        fingerprint(root="parcel.entry:walk")


def test_a_definition_is_named_by_its_module_where_that_does_not_bind_it():
    def inner() -> None:
        pass

    assert definition(edited) == f"{__name__}:edited"
    assert definition(inner) == __name__


MOVES = {
    "losses/pdcr.py": "losses/regional/pairs.py",
    "training/loop.py": "training/engine/steps.py",
    "networks/unet.py": "networks/unet/__init__.py",
    "data/files/resampling.py": "data/files/grids.py",
    "evaluation/metrics/surfaces.py": "evaluation/metrics_of/surface.py",
    "report/figures/_layout.py": "report/figures_of/layout.py",
}
RENAMES = {"build_optimiser": "make_optimiser", "Progress": "HowFar", "case_logits": "logits_of_a_case"}
STAGES = """
import sys
from contrastseg.fingerprints import _ROOTS, stage_fingerprint
for stage in _ROOTS:
    print(stage, stage_fingerprint(stage, method="pdcr", dataset="phantom_organs"))
"""


def test_moving_and_renaming_in_this_package_changes_no_stage(tmp_path):
    for part in ("contrastseg", "benchmarks"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__", "results"))
    move(tmp_path / "contrastseg", MOVES, RENAMES)
    done = subprocess.run([sys.executable, "-c", STAGES], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    after = dict(line.split() for line in done.stdout.splitlines())
    assert after == {stage: stage_fingerprint(stage, method="pdcr", dataset="phantom_organs") for stage in _ROOTS}
