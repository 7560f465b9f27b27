"""A crowd of methods, and names that would break or enter a figure: all text is inside, large enough, and only text."""

from __future__ import annotations

import functools
import time
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.axis import Tick
from matplotlib.text import Text

from contrastseg.evaluation.statistics.convention_ranks import convention_ranks
from contrastseg.report.content.labels import budget_short
from contrastseg.report.figures._layout import CROWD
from contrastseg.report.figures._style import KNOWN, drawing
from contrastseg.report.figures.build import FORMATS, make_figures
from contrastseg.report.figures.kind import FigureSource, figure_kind
from contrastseg.report.figures.ranks import rank_stability
from contrastseg.report.settings import FigureSettings, default_figures
from contrastseg.report.settings.kinds import FIGURE_KINDS
from tests.report.conftest import RATIOS

KIND_NAMES = list(FIGURE_KINDS)
# Just a crowd, where how large it is does not matter.
SMALL_CROWD = (*KNOWN[:CROWD], "cps")
HOSTILE = {
    "supervised": "<script>alert(1)</script>",
    "mean_teacher": "$x_1^{\\frac{$ & \"quoted\" 'name'",
    "pdcr": "a_method_with_a_name_of_two_hundred_letters_" * 5,
    "uafr": "Größe 方法 \u202e --> ]]> \x07",
}


def hostile(world):
    """The same comparison, its methods, data sets and cases called what nobody should call them."""
    for old, new in HOSTILE.items():
        world = world.rename(old, new)
    names = {"organs": "<img src=x onerror=alert(1)> $\\sum_$", "lesions": "long title of a data set " * 10}
    infos = [info | {"title": names[info["entry"]]} for info in world.infos]
    logs = {}
    for key, log in world.logs.items():
        dataset, method, rest = key.split("/", 2)
        logs[f"{dataset}/{HOSTILE[method].replace('/', ' ')}/{rest}"] = log
    return replace(world, infos=infos, logs=logs)


@pytest.fixture
def hostile_overlays(overlays_of):
    case = "<b>case</b> $\\alpha$ \"'" + "c" * 200
    return [replace(one, case=case) for one in overlays_of(list(HOSTILE.values()), ["organs", "lesions"])]


def ranks_of(scores):
    """Ranks under two conventions, one of which drops what was missed."""
    other = scores.assign(convention="drop", value=scores["value"].mask(scores["outcome"] == "missed"))
    return convention_ranks(pd.concat([scores.assign(convention="default"), other]), "default")


def figure_of(world, kind, overlays):
    frames = {"conventions": ranks_of(world.scores)} if kind == "conventions" else {}
    source = FigureSource(replace(world.data, frames=frames), world.logs, overlays)
    with drawing():
        figure = figure_kind(kind).draw(source, FigureSettings(name="f", kind=kind))
        figure.draw_without_rendering()
    return figure


@pytest.fixture(scope="module")
def figures_of_the_crowd(crowd, overlays_of):
    """Draws a kind of figure of the whole crowd, once for all tests; how long that took is with it."""
    overlays = overlays_of(crowd.suite.methods, ["one"])

    @functools.cache
    def draw(kind):
        started = time.process_time()
        return figure_of(crowd, kind, overlays), time.process_time() - started

    return draw


def check_texts(figure):
    page = figure.bbox
    # Ticks beyond the limits are objects too, though never drawn, so only the sizes of their numbers are looked at.
    beside = {text for tick in figure.findobj(Tick) for text in (tick.label1, tick.label2)}
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    for text in texts:
        assert text.get_fontsize() >= 7, text.get_text()
        if text in beside:
            continue
        box = text.get_window_extent()
        inside = (box.x0 > -2, box.y0 > -2, box.x1 < page.x1 + 2, box.y1 < page.y1 + 2)
        assert all(inside), f"{text.get_text()!r} sticks out: {box.extents} of {page.extents}"
    return texts


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_the_methods_of_a_crowd_are_all_named_in_a_readable_size(crowd, figures_of_the_crowd, kind):
    figure, _ = figures_of_the_crowd(kind)
    written = {text.get_text().split(" [")[0] for text in check_texts(figure)}
    missing = [name for name in crowd.suite.methods if name not in written]
    assert not missing


MARKUP = {
    *("svg", "metadata", "RDF", "Work", "type", "format"),
    *("defs", "style", "g", "path", "use", "clipPath", "rect", "image"),
}


def check_tags(file):
    assert {element.tag.split("}")[1] for element in ET.parse(file).iter()} <= MARKUP


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_hostile_names_stay_inside_the_figure_and_are_no_markup(world, hostile_overlays, kind, tmp_path):
    named = hostile(world)
    figure = figure_of(named, kind, hostile_overlays)
    check_texts(figure)
    with drawing():
        figure.savefig(tmp_path / "figure.svg", dpi=50, metadata=dict(FORMATS["svg"]))
    check_tags(tmp_path / "figure.svg")


def test_hostile_names_are_written_in_every_format(world, hostile_overlays, tmp_path):
    """With the fonts that these names need; the largest kinds of figure, since fonts take most of a PDF's time."""
    named = hostile(world)
    settings = [one.model_copy(update={"dpi": 50}) for one in default_figures() if one.kind in ("box", "overlays")]
    overlays = {one.name: hostile_overlays for one in settings if one.kind == "overlays"}
    written = make_figures(named.data, settings, tmp_path, logs=named.logs, overlays=overlays)
    assert len(written) == 3 * len(settings) == 6
    for one in settings:
        check_tags(tmp_path / f"{one.name}.svg")


def test_every_overlay_is_a_picture_of_its_own(crowd, figures_of_the_crowd, tmp_path):
    figure, _ = figures_of_the_crowd("overlays")
    with drawing():
        figure.savefig(tmp_path / "overlays.svg", dpi=50)
    assert (tmp_path / "overlays.svg").read_text().count("<image") == 3 * len(crowd.suite.methods)


def test_a_crowd_is_drawn_in_seconds(figures_of_the_crowd):
    _, seconds = figures_of_the_crowd("label_ratio")
    assert seconds < 20


def test_a_cell_with_room_says_every_budget_and_more_than_one_number(crowd):
    one = replace(crowd, scores=crowd.scores[crowd.scores["dataset"] == "one"])
    figure = figure_of(replace(one, summary=crowd.summary[crowd.summary["dataset"] == "one"]), "label_ratio", ())
    budgets = [budget_short(f"r{ratio:g}") for ratio in RATIOS]
    below = [[tick.get_text() for tick in ax.get_xticklabels() if tick.get_visible()] for ax in figure.axes]
    beside = [[tick.get_text() for tick in ax.get_yticklabels() if tick.get_visible()] for ax in figure.axes]
    assert [words for words in below if words] == [budgets] * 5, below
    assert min(len(words) for words in beside if words) >= 2


@pytest.mark.parametrize("kind", ["significance", "rank_stability", "conventions"])
def test_rankings_of_a_crowd_show_what_can_be_read_and_say_what_is_left_out(crowd, figures_of_the_crowd, kind):
    figure, _ = figures_of_the_crowd(kind)
    assert len(figure.axes) == 2 * len(crowd.suite.datasets)
    words = " ".join(text.get_text() for text in figure.findobj(Text))
    assert "Not drawn for every data set: 25 % labelled, 100 % labelled." in words


@pytest.mark.parametrize("width", [5.0, 7.2])
def test_the_first_and_the_last_rank_are_whole_and_numbered(crowd, width):
    scores = crowd.scores[(crowd.scores["dataset"] == "one") & (crowd.scores["labels"] == "r0.05")]
    settings = FigureSettings(name="ranks", kind="rank_stability", width=width)
    figure = rank_stability(FigureSource(replace(crowd.data, scores=scores)), settings)
    (ax,) = figure.axes
    figure.draw_without_rendering()
    count = len(ax.get_yticklabels())
    assert count == len(scores[["method", "variant"]].drop_duplicates())
    assert {1, count} <= set(ax.get_xticks())
    frame = ax.bbox
    for dots in (one for one in ax.collections if len(one.get_offsets())):
        x = ax.transData.transform(dots.get_offsets())[:, 0]
        radius = np.sqrt(dots.get_sizes()) / 2 * figure.dpi / 72
        assert (x - radius > frame.x0 - 0.5).all()
        assert (x + radius < frame.x1 + 0.5).all()
    shown = [label.get_window_extent() for label in ax.get_xticklabels()]
    assert not any(a.overlaps(b) for n, a in enumerate(shown) for b in shown[:n])
    assert all(box.x1 < figure.bbox.x1 for box in shown)


def test_boxes_of_a_crowd_say_which_budgets_are_left_out(figures_of_the_crowd):
    figure, _ = figures_of_the_crowd("box")
    words = " ".join(text.get_text() for text in figure.findobj(Text))
    assert "Not drawn for every data set: 10 % labelled, 25 % labelled, 100 % labelled." in words
    assert np.all([f"class {number}" in words for number in range(13)])


@pytest.mark.parametrize("kind", ["label_ratio", "box", "outcomes", "learning_curves"])
def test_a_method_that_was_not_run_is_named_so(crowd, figures_of_the_crowd, kind):
    """Lines do not bridge a budget at which a method was not run, and a row or cell without anything says why."""

    def without(frame):
        gone = (frame["dataset"] == "one") & (frame["method"] == "cps")
        return frame[frame["dataset"].isin(["one", "three"]) & frame["method"].isin(SMALL_CROWD) & ~gone]

    kept = {f"{dataset}/{method}" for dataset in ("one", "three") for method in SMALL_CROWD} - {"one/cps"}
    logs = {key: log for key, log in crowd.logs.items() if "/".join(key.split("/")[:2]) in kept}
    gone = replace(crowd, scores=without(crowd.scores), summary=without(crowd.summary), logs=logs)
    (whole, _), figure = figures_of_the_crowd(kind), figure_of(gone, kind, ())
    said = "no log" if kind == "learning_curves" else "not run"
    counts = [sum(text.get_text().strip() == said for text in one.findobj(Text)) for one in (whole, figure)]
    assert counts[0] == 0
    assert counts[1] >= 1


def test_a_line_does_not_bridge_a_budget_that_was_not_run(crowd):
    gone = (crowd.summary["method"] == "cps") & (crowd.summary["labels"] == "r0.1")
    few = crowd.summary["method"].isin(SMALL_CROWD)
    figure = figure_of(replace(crowd, summary=crowd.summary[few & ~gone]), "label_ratio", ())
    lines = [line.get_ydata() for ax in figure.axes for line in ax.lines if line.get_marker() == "x"]
    assert len(lines) == 3
    assert all(np.isnan(line).tolist() == [False, True, False, False] for line in lines)
