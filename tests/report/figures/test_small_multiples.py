"""Small multiples: a cell for each data set and label budget, and frames of exactly the size asked for."""

from __future__ import annotations

import pytest

from contrastseg.report.figures.small_multiples import (
    Margins,
    budget_panels,
    place_panels,
    placed_frames,
    small_multiples,
)
from contrastseg.report.settings import FigureSettings


def test_a_figure_draws_a_cell_for_each_data_set_and_budget(world):
    rows = world.summary[(world.summary["class"] == "mean") & (world.summary["metric"] == "dice")]
    panels = budget_panels(rows, world.data)
    assert [(panel.place[0], panel.labels) for panel in panels] == [
        ("organs", "r0.1"),
        ("organs", "r0.5"),
        ("lesions", "r0.1"),
        ("lesions", "r0.5"),
    ]
    assert panels[0].title == "Invented organs · 10 % labelled (2 patients)"

    def draw_cell(ax, panel):
        ax.bar(range(len(panel.rows)), panel.rows["mean"])

    figure = small_multiples(panels[:3], draw_cell, width=6.0, xlabel="method")
    visible = [ax for ax in figure.axes if ax.get_visible()]
    assert [len(ax.patches) for ax in visible] == [len(panel.rows) for panel in panels[:3]]
    assert [ax.get_title(loc="left") or ax.get_title() for ax in visible][2].startswith("Invented lesions")
    assert [ax.get_xlabel() for ax in visible] == ["", "method", "method"]


def test_the_settings_choose_and_limit_the_budgets(world):
    first = budget_panels(world.summary, world.data, settings=FigureSettings(name="f", kind="cost"), most=1)
    assert [panel.labels for panel in first] == ["r0.1", "r0.1"]
    wanted = FigureSettings(name="f", kind="cost", labels=["r0.5"])
    assert [panel.labels for panel in budget_panels(world.summary, world.data, settings=wanted)] == ["r0.5", "r0.5"]
    whole = place_panels(world.summary, world.data)
    assert [len(panel.rows) for panel in whole] == [len(rows) for _, rows in world.data.places(world.summary)]


def test_placed_frames_have_their_size_and_clear_each_other():
    margins = Margins(left=0.4, right=0.1, head=0.5, foot=0.3, names=1.0, edge=0.2, below=0.25)
    sheet, spots = placed_frames([1.0, 2.0, 1.5], width=7.0, across=2, margins=margins)
    assert sheet.height == pytest.approx((0.5 + 2.0 + 0.3) + (0.5 + 1.5 + 0.3) + 0.25)
    boxes = [spot.ax.get_position() for spot in spots]
    sizes = [(box.width * sheet.width, box.height * sheet.height) for box in boxes]
    pitch = (7.0 - 1.0 - 0.2) / 2
    assert sizes == [pytest.approx((pitch - 0.5, height)) for height in (1.0, 2.0, 1.5)]
    assert [(spot.left, spot.column) for spot in spots] == [
        (pytest.approx(1.4), 0),
        (pytest.approx(1.4 + pitch), 1),
        (pytest.approx(1.4), 0),
    ]
    assert [spot.top for spot in spots] == [0.5, 0.5, pytest.approx(0.5 + 2.0 + 0.3 + 0.5)]
    assert not any(a.overlaps(b) for n, a in enumerate(boxes) for b in boxes[:n])
