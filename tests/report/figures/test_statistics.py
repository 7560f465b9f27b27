"""The figures that show statistics: what stands in them is what was tested and ranked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from contrastseg.evaluation.statistics import pairwise
from contrastseg.report.content.suite_info import SuiteInfo
from contrastseg.report.figures import wording
from contrastseg.report.figures.build import make_figures
from contrastseg.report.figures.kind import FigureSource, figure_kind
from contrastseg.report.figures.label_ratio import label_ratio
from contrastseg.report.figures.ranks import critical_diagram, rank_stability
from contrastseg.report.figures.significance import CELLS, significance_map
from contrastseg.report.settings import FigureSettings

KINDS = ("significance", "rank_stability", "critical_difference")


def drawn_text(figure: Figure) -> list[str]:
    found = [text for ax in figure.axes if ax.get_visible() for text in ax.texts]
    return [text.get_text() for text in found]


def settings_of(kind: str, **fields: object) -> FigureSettings:
    return FigureSettings.model_validate({"name": kind, "kind": kind, "dpi": 50} | fields)


@pytest.fixture
def wide(world):
    """The invented scores on three data sets, so that methods can be compared across them."""
    third = world.scores[world.scores["dataset"] == "organs"].assign(dataset="third", evaluated_on="third")
    return pd.concat([world.scores.astype(object), third.astype(object)], ignore_index=True).astype(world.scores.dtypes)


@pytest.mark.parametrize("kind", KINDS)
def test_they_are_drawn_and_captioned_and_reproducible(world, wide, tmp_path, kind):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        settings = [settings_of(kind)]
        make_figures(replace(world.data, scores=wide), settings, tmp_path / folder)
    svg = (tmp_path / "a" / f"{kind}.svg").read_bytes()
    assert svg == (tmp_path / "b" / f"{kind}.svg").read_bytes()
    assert svg.count(b"<path") > 20
    assert figure_kind(kind).caption


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_to_draw_is_said_in_the_figure(world, tmp_path, kind):
    make_figures(world.nothing, [settings_of(kind)], tmp_path)
    one = world.scores[world.scores["method"] == "pdcr"]
    make_figures(replace(world.data, scores=one), [settings_of(kind)], tmp_path)
    assert (tmp_path / f"{kind}.svg").stat().st_size > 1000


def test_a_cell_says_what_its_test_found(world):
    scores = world.scores[(world.scores["dataset"] == "organs") & (world.scores["labels"] == "r0.1")]
    figure = significance_map(FigureSource(replace(world.data, scores=scores)), settings_of("significance"))
    (ax,) = (ax for ax in figure.axes if ax.get_visible())
    names = [label.get_text() for label in ax.get_yticklabels()]
    cells = {(names[round(t.get_position()[1])], names[round(t.get_position()[0])]): t.get_text() for t in ax.texts}
    tests = pairwise(scores)
    assert {"better", "worse"} & set(tests["verdict"])
    for row in tests.itertuples():
        first, second = (
            world.data.label(*p).plain for p in ((row.method, row.variant), (row.other, row.other_variant))
        )
        signs = {"better": ("+", "−"), "worse": ("−", "+"), "n.s.": ("·", "·"), "n too small": ("n", "n")}[row.verdict]
        assert (cells[first, second], cells[second, first]) == signs


def test_a_method_that_was_not_run_does_not_look_like_one_without_a_difference(world):
    """`pdcr` was not run on the lesions at half of the labels."""
    scores = world.scores[(world.scores["dataset"] == "lesions")]
    figure = significance_map(FigureSource(replace(world.data, scores=scores)), settings_of("significance"))
    *_, ax = (ax for ax in figure.axes if ax.get_visible())
    first = next(ax for ax in figure.axes if ax.get_visible())
    names = [label.get_text().split(" ")[0] for label in first.get_yticklabels()]
    gone = names.index("pdcr")
    signs = {(round(t.get_position()[1]), round(t.get_position()[0])): t.get_text() for t in ax.texts}
    struck = {signs.get((gone, other)) for other in range(len(names))}
    struck |= {signs.get((other, gone)) for other in range(len(names))}
    assert len(struck) == 1
    others = {sign for place, sign in signs.items() if gone not in place}
    assert not struck & others
    assert struck != {None}
    assert "not run here" in [text.get_text()[3:] for text in figure.legends[0].get_texts()]
    looks = [(colour, sign) for colour, sign, _ in CELLS.values()]
    assert len(set(looks)) == len(CELLS)
    assert len({sign for _, sign in looks}) == len(CELLS), "the sign alone is enough where there is no colour"
    assert all(sign for _, sign in looks)


def test_the_level_is_the_suites(world):
    scores = world.scores[world.scores["labels"] == "r0.1"]
    strict = replace(world.data, scores=scores, suite=replace(world.suite, alpha=1e-9))
    assert set(drawn_text(significance_map(FigureSource(strict), settings_of("significance")))) == {"n"}


def test_the_ranking_stands_best_first_with_how_often_it_held(world):
    scores = world.scores[(world.scores["dataset"] == "organs") & (world.scores["labels"] == "r0.1")]
    figure = rank_stability(FigureSource(replace(world.data, scores=scores)), settings_of("rank_stability"))
    (ax,) = (ax for ax in figure.axes if ax.get_visible())
    assert [label.get_text().split(" ")[0] for label in ax.get_yticklabels()] == [
        "pdcr",
        "uafr",
        "mean_teacher",
        "supervised",
    ]
    firsts = [float(text.split()[1]) for text in drawn_text(figure)]
    assert sum(firsts) == pytest.approx(100, abs=2)
    assert firsts == sorted(firsts, reverse=True)
    assert "n = 12, Kendall τ" in ax.get_xlabel()


def test_distances_rank_the_lowest_first(world):
    scores = world.scores[(world.scores["dataset"] == "organs") & (world.scores["labels"] == "r0.1")]
    figure = rank_stability(
        FigureSource(replace(world.data, scores=scores)), settings_of("rank_stability", metric="hd95")
    )
    (ax,) = (ax for ax in figure.axes if ax.get_visible())
    assert ax.get_yticklabels()[0].get_text().startswith("pdcr")


def test_a_diagram_over_data_sets_states_its_low_power(world, wide):
    figure = critical_diagram(FigureSource(replace(world.data, scores=wide)), settings_of("critical_difference"))
    shown = [ax for ax in figure.axes if ax.get_visible()]
    assert len(shown) == 1, "of half the labels only two methods are complete on all data sets"
    assert all("3 data sets" in ax.get_xlabel() for ax in shown)
    assert all("cannot reject" in ax.get_xlabel() or "power at 1 SD" in ax.get_xlabel() for ax in shown)
    ranks = [float(text) for text in drawn_text(figure) if text.replace(".", "").isdigit()]
    assert np.allclose(ranks[: len(ranks) // 2], sorted(ranks[: len(ranks) // 2]))


def test_a_method_that_lacks_predictions_is_named_and_neither_ranked_nor_tested(world, wide):
    scores = world.scores[(world.scores["dataset"] == "organs") & (world.scores["labels"] == "r0.5")]
    source = FigureSource(replace(world.data, scores=scores))
    ranked = rank_stability(source, settings_of("rank_stability"))
    (ax,) = (ax for ax in ranked.axes if ax.get_visible())
    assert "uafr" not in " ".join(label.get_text() for label in ax.get_yticklabels())
    assert any("predictions missing: uafr (rf)" in text.get_text() for text in ranked.findobj(Text))
    cells = [text for text in drawn_text(significance_map(source, settings_of("significance"))) if text == "m"]
    assert len(cells) == 6, "its three pairs, both ways"
    holed = wide[wide["labels"] == "r0.1"].reset_index(drop=True)
    holed.loc[holed["method"].eq("uafr").idxmax(), ["outcome", "value"]] = ["hole", np.nan]
    diagram = critical_diagram(FigureSource(replace(world.data, scores=holed)), settings_of("critical_difference"))
    assert any(text.get_text().startswith("Left out") and "uafr" in text.get_text() for text in diagram.findobj(Text))


def test_means_over_fewer_predictions_are_crossed_out(world):
    source = FigureSource(world.data)
    figure = label_ratio(source, settings_of("label_ratio"))
    crosses = [line for ax in figure.axes for line in ax.lines if line.get_marker() == "x"]
    mean = world.summary.query("dataset == 'organs' and method == 'uafr' and labels == 'r0.5' and metric == 'dice'")
    (value,) = mean[mean["class"] == "mean"]["mean"]
    assert [line.get_ydata().tolist() for line in crosses] == [[value]]
    (box,) = figure.legends
    assert box.get_texts()[-1].get_text() == wording.MISSING_CROSSED


def test_two_data_sets_make_no_diagram(world):
    figure = critical_diagram(FigureSource(world.data), settings_of("critical_difference"))
    assert not figure.axes
    assert figure.texts[0].get_text() == wording.no_critical_difference("dice", 3)


def test_methods_nobody_ranked_before_are_drawn_too(world):
    """Names outside the suite's list, and a suite without facts."""
    bare = replace(world.data, suite=SuiteInfo("suite"), runs=[])
    assert drawn_text(rank_stability(FigureSource(bare), settings_of("rank_stability")))
    assert drawn_text(significance_map(FigureSource(bare), settings_of("significance")))
