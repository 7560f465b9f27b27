"""One look for a method, whatever the figure, the suite and the methods beside it."""

from __future__ import annotations

import random

from contrastseg.methods import registry
from contrastseg.report.figures._style import GLYPHS, KNOWN, method_styles


def looks(names, order):
    return {name: style for (name, _), style in method_styles([(one, "default") for one in names], order).items()}


def test_every_method_of_the_project_has_a_marker_of_its_own():
    assert set(KNOWN) == set(registry.names()), "a new method is appended to KNOWN"
    styles = looks(KNOWN, KNOWN)
    assert len({style.marker for style in styles.values()}) == len(KNOWN), "a grey print must tell them apart"
    assert len(set(GLYPHS.values())) == len(GLYPHS)


def test_a_method_looks_the_same_in_every_suite_and_subset():
    every = looks(KNOWN, KNOWN)
    rng = random.Random(1)
    for _ in range(20):
        few = rng.sample(KNOWN, 5)
        assert looks(few, (*few, "mine")) == {name: every[name] for name in few}


def test_another_method_keeps_its_look_in_every_figure_of_its_suite():
    order = ("supervised", "mine", "pdcr", "yours", "uafr")
    every = looks(order, order)
    assert looks(["yours", "pdcr"], order) == {name: every[name] for name in ("yours", "pdcr")}
    assert looks(["mine"], ("supervised", "mine"))["mine"] == looks(["mine"], ("supervised", "mine", "cps"))["mine"]
    assert len({style.marker for style in every.values()}) == len(order), "a grey print must tell them apart"


def test_many_methods_never_share_colour_and_marker():
    names = [*KNOWN, *(f"m{number:02d}" for number in range(80))]
    assert len({(style.colour, style.marker) for style in looks(names, names).values()}) == len(names)


def test_variants_keep_their_methods_colour():
    styles = method_styles([("a", "default"), ("a", "rf")], ("a",))
    assert styles["a", "default"].colour == styles["a", "rf"].colour
    assert (styles["a", "default"].filled, styles["a", "rf"].filled) == (True, False)
    assert styles["a", "default"].line != styles["a", "rf"].line
