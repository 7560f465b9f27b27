"""Methods of other packages: found by their entry point, and told what is wrong with them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from contrastseg.errors import SuiteError
from contrastseg.methods import registry
from contrastseg.methods.contract import Method, View
from tests.offered import offered

SUPERVISED = registry.get("supervised")
Good = type("Good", (SUPERVISED,), {"name": "good"})
Renamed = type("Renamed", (SUPERVISED,), {"name": "another"})
Bare = type("Bare", (Method,), {"name": "bare"})
Stageless = type("Stageless", (Method,), {"name": "stageless", "card": SUPERVISED.card})
POINTS = {
    "good": f"{__name__}:Good",
    "renamed": f"{__name__}:Renamed",
    "bare": f"{__name__}:Bare",
    "stageless": f"{__name__}:Stageless",
    "a_module": __name__,
    "nowhere": "no_such_module_anywhere:Method",
    "absent": f"{__name__}:Absent",
}


@pytest.fixture(autouse=True)
def packages() -> Iterator[None]:
    with offered(POINTS):
        yield


def test_an_entry_point_is_a_method_under_its_name() -> None:
    assert registry.get("good") is Good
    assert set(POINTS) <= set(registry.names())


@pytest.mark.parametrize(
    ("name", "said", "remedy"),
    [
        ("renamed", "defines no Method whose name is 'renamed'", "call the class's `name`"),
        ("a_module", "defines no Method whose name is 'a_module'", "point it at the class"),
        ("nowhere", "cannot be imported: ModuleNotFoundError", "correct that package"),
        ("absent", "cannot be imported: AttributeError", "correct that package"),
        ("bare", "the method 'bare' has no `card`", "new-method"),
        ("stageless", "the method 'stageless' has no `stages`", "new-method"),
    ],
)
def test_what_is_wrong_with_one_is_said_when_it_is_asked_for(name: str, said: str, remedy: str) -> None:
    with pytest.raises(SuiteError, match=said) as caught:
        registry.get(name)
    assert remedy in str(caught.value.remedy)


def test_marks_and_sources_that_there_are_not() -> None:
    with pytest.raises(SuiteError, match=r"provenance of .*'mine'; there are: official, published, reconstructed"):
        dataclasses.replace(SUPERVISED.card, provenance="mine")
    with pytest.raises(SuiteError, match=r"'unlabeled'; there are: labelled, unlabelled"):
        View("unlabeled")
