"""Names become folders, wildcards and words of shell commands: none of them may be more than a name."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest

from contrastseg.errors import SuiteError
from contrastseg.suite import NAME, parse_suite

ROOT = Path(__file__).resolve().parents[1]
HOSTILE = [
    "a;rm -rf x",
    "../x",
    "a b",
    "$(x)",
    "",
    "..",
    ".x",
    "-x",
    "a/b",
    "a\n",
    "`x`",
    "a'b",
    'a"b',
    "{x}",
    "a|b",
    "ä",
]
SUITE: dict[str, Any] = {
    "name": "safe",
    "datasets": [
        {
            "name": "lesions",
            "dataset": "phantom_lesions",
            "evaluate_on": ["lesions"],
            "pool": ["lesions"],
            "split": {"name": "random"},
        }
    ],
    "methods": [
        {"name": "simclr", "variants": {"mine": {"temperature": 0.2}}, "stages": {"pretrain": {"steps": 3}}},
        {"name": "supervised"},
    ],
    "labels": ["r0.5"],
    "checkpoints": ["last"],
    "comparison": {"baseline": "supervised"},
    "tables": [{"name": "main"}],
    "figures": [{"name": "box", "kind": "box"}],
}
# Where names stand; a place that ends in `*` is the key of a mapping.
PLACES = [
    "name",
    "datasets.0.name",
    "datasets.0.dataset",
    "datasets.0.evaluate_on.0",
    "datasets.0.pool.0",
    "datasets.0.split.name",
    "methods.0.name",
    "methods.0.variants.*",
    "methods.0.stages.*",
    "labels.0",
    "checkpoints.0",
    "comparison.baseline",
    "tables.0.name",
    "figures.0.name",
]


def with_name(place: str, name: str) -> dict[str, Any]:
    suite = copy.deepcopy(SUITE)
    *path, last = [int(part) if part.isdigit() else part for part in place.split(".")]
    holder: Any = suite
    for part in path:
        holder = holder[part]
    if last == "*":
        holder[name] = holder.pop(next(iter(holder)))
    else:
        holder[last] = name
    return suite


def test_the_suite_itself_is_fine() -> None:
    assert parse_suite(SUITE)[0].name == "safe"


@pytest.mark.parametrize("place", PLACES)
def test_a_name_that_is_more_than_a_name_is_refused(place: str) -> None:
    for name in HOSTILE:
        with pytest.raises(SuiteError):
            parse_suite(with_name(place, name))


def constraints() -> dict[str, str]:
    """The workflow's constraints of wildcards, in whichever file of rules they are."""
    texts = [file.read_text(encoding="utf-8") for file in sorted((ROOT / "workflow" / "rules").glob("*.smk"))]
    blocks = [text.partition("\nwildcard_constraints:\n")[2].partition("\n\n")[0] for text in texts]
    found = dict(re.findall(r"^    (\w+)=(.+),$", "\n".join(blocks), re.MULTILINE))
    return {name: NAME if value == "NAME" else value.removeprefix("r")[1:-1] for name, value in found.items()}


def test_every_wildcard_of_the_workflow_is_constrained_to_names() -> None:
    named = set()
    for file in [*(ROOT / "workflow" / "rules").rglob("*.smk")]:
        text = file.read_text(encoding="utf-8").replace("{{", "{").replace("}}", "}")
        named |= set(re.findall(r"\{wildcards\.(\w+)", text))
        # Paths: what stands in braces between slashes, or before a suffix.
        named |= set(re.findall(r"[/-](?:draw|fold|seed)?\{([a-z_]+)\}", text))
    known = constraints()
    assert {"dataset", "method", "variant", "table", "figure", "seed"} <= named
    assert named <= set(known), f"say in common.smk what these wildcards may be: {sorted(named - set(known))}"
    for wildcard in named - {"budget"}:
        for name in HOSTILE:
            assert not re.fullmatch(known[wildcard], name), f"{wildcard} may be {name!r}"
