"""Cost against score: the front, the costs of runs, and names that do not lie upon each other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from contrastseg.report.figures._front import FEWEST, pareto_front, resampled_front, steps_of
from contrastseg.report.figures._labels import label_points
from contrastseg.report.figures._panels import share_text
from contrastseg.report.figures._style import drawing
from contrastseg.report.figures.cost import KIND, TITLES, cost_scores, costs_of
from contrastseg.report.figures.kind import FigureSource
from contrastseg.report.settings import FigureSettings


@pytest.mark.parametrize("higher", [True, False])
def test_the_front_is_whom_nobody_beats(higher):
    rng = np.random.default_rng(3)
    points = {(f"m{n}", "default"): (float(x), float(y)) for n, (x, y) in enumerate(rng.integers(0, 8, (30, 2)))}
    sign = 1 if higher else -1

    def beaten(one):
        x, y = points[one]
        return any(a <= x and sign * b >= sign * y and (a, b) != (x, y) for a, b in points.values())

    best = {points[pair] for pair in points if not beaten(pair)}
    front = pareto_front(points, higher)
    assert {points[pair] for pair in front} == best
    assert [points[pair] for pair in front] == sorted(points[pair] for pair in front)


def test_a_cost_is_the_median_over_runs_and_names_its_device(world):
    costs, devices = costs_of(world.runs, "seconds")
    assert costs["organs", "r0.1", "pdcr", "default"] == 61.75
    assert devices["organs", "r0.1"] == {"An invented CPU"}
    assert costs_of(world.runs, "parameters")[0]["organs", "r0.1", "pdcr", "default"] == pytest.approx(0.123456)
    assert costs_of([run | {"wall_s": None} for run in world.runs], "seconds") == ({}, {})


def test_all_stages_count_or_the_run_is_left_out_and_said(world):
    earlier = {"taken_over": {"network": "a1b2"}}
    counted = [run | earlier | {"stages_wall_s": {"pretrain": 100.0, "train": 61.75}} for run in world.runs]
    assert set(costs_of(counted, "seconds")[0].values()) == {161.75}
    unknown = [run | earlier for run in world.runs]
    assert costs_of(unknown, "seconds") == ({}, {})
    assert "left out" not in words(world, counted)[1]
    some = [run | (earlier if run["method"] == "pdcr" else {}) for run in world.runs]
    assert "are left out" in words(world, some)[1]
    assert "left out" not in words(world, some, cost="parameters")[1]
    seconds = {"stages_wall_s": {"pretrain": 100.0, "train": 61.75}, "cpu_s": 50.0}
    both = [run | earlier | seconds | {"stages_cpu_s": {"pretrain": 80.0, "train": 50.0}} for run in world.runs]
    assert set(costs_of(both, "cpu_seconds")[0].values()) == {130.0}
    one = [run | earlier | seconds | {"stages_cpu_s": {"train": 50.0}} for run in world.runs]
    assert costs_of(one, "cpu_seconds") == ({}, {}), "the first stage was made by code that did not measure it"


def words(world, runs, **settings):
    with drawing():
        figure = cost_scores(
            FigureSource(replace(world.data, runs=runs)), FigureSettings(name="f", kind="cost", **settings)
        )
    return figure, " ".join(text.get_text() for text in figure.findobj(Text))


def test_times_of_unlike_hardware_have_no_front(world):
    other = [run | {"hardware": {"device": "Another GPU"}} if run["seed"] else run for run in world.runs]
    assert "do not compare" not in words(world, world.runs)[1]
    figure, text = words(world, other)
    assert "do not compare" in text
    assert all(len(ax.lines[0].get_xdata()) == 0 for ax in figure.axes)
    assert "do not compare" not in words(world, other, cost="parameters")[1]


def test_names_do_not_lie_upon_each_other_nor_leave_the_frame():
    rng = np.random.default_rng(5)
    figure = Figure(figsize=(3.6, 2.6))
    ax = figure.add_axes((0.15, 0.15, 0.8, 0.7))
    points = rng.uniform(0.2, 0.8, (20, 2))
    ax.plot(*points.T, "o")
    ax.margins(0.14)
    label_points(ax, [(f"method_{n} [P]", (x, y), False) for n, (x, y) in enumerate(points)])
    boxes = [text.get_window_extent() for text in ax.texts]
    overlaps = sum(a.overlaps(b) for n, a in enumerate(boxes) for b in boxes[:n])
    assert overlaps <= 2, "twenty names at random in a small panel: next to none touch"
    frame = ax.get_window_extent()
    assert all(frame.x0 - 2 < box.x0 and box.x1 < frame.x1 + 2 for box in boxes)


def patients_of(values):
    """Rows of invented patients: method -> its values."""
    return pd.concat(
        [
            pd.DataFrame({"method": name, "variant": "default", "patient": range(len(scores)), "value": scores})
            for name, scores in values.items()
        ]
    )


def slow_front(values, costs, higher):
    """Membership and height of the front in draws of the patients, one draw after the other."""
    names = sorted(costs, key=lambda name: costs[name])
    count = len(next(iter(values.values())))
    on, heights = [], []
    for drawn in np.random.default_rng(0).integers(0, count, (1000, count)):
        means = {name: float(np.asarray(values[name])[drawn].mean()) for name in names}
        front = pareto_front({(name, "default"): (costs[name], means[name]) for name in names}, higher)
        on.append([(name, "default") in front for name in names])
        best = max if higher else min
        heights.append([best(means[other] for other in names if costs[other] <= costs[name]) for name in names])
    return names, np.mean(on, axis=0), np.quantile(heights, [0.025, 0.975], axis=0)


@pytest.mark.parametrize("higher", [True, False])
def test_the_resampled_front_is_that_of_every_draw(higher):
    rng = np.random.default_rng(4)
    values = {f"m{n}": 0.5 + 0.05 * n + rng.normal(0, 0.3, 9) for n in range(6)}
    costs = dict(zip(values, (3.0, 1.0, 3.0, 2.0, 5.0, 4.0), strict=True))
    found = resampled_front(patients_of(values), {(name, "default"): cost for name, cost in costs.items()}, higher)
    names, shares, (low, high) = slow_front(values, costs, higher)
    assert [found.shares[name, "default"] for name in names] == pytest.approx(shares)
    np.testing.assert_allclose(found.low, low)
    np.testing.assert_allclose(found.high, high)


def test_a_method_that_is_ahead_in_every_patient_is_always_on_the_front():
    values = {"cheap": np.linspace(0, 0.5, FEWEST), "dear": np.linspace(0.2, 0.7, FEWEST), "bad": np.zeros(FEWEST)}
    costs = {("cheap", "default"): 1.0, ("dear", "default"): 2.0, ("bad", "default"): 3.0}
    assert resampled_front(patients_of(values), costs).shares == {
        ("cheap", "default"): 1.0,
        ("dear", "default"): 1.0,
        ("bad", "default"): 0.0,
    }
    few = {name: scores[1:] for name, scores in values.items()}
    assert resampled_front(patients_of(few), costs) is None
    assert resampled_front(patients_of(values), costs | {("unseen", "default"): 1.0}) is None


def test_a_front_goes_in_steps():
    assert steps_of([(1, 0.2), (3, 0.5)]) == [(1, 0.2), (3, 0.2), (3, 0.5)]
    assert steps_of([]) == []


def test_a_share_that_is_not_quite_certain_does_not_look_so():
    assert [share_text(share) for share in (0, 0.001, 0.42, 0.999, 1)] == ["0 %", "< 1 %", "42 %", "> 99 %", "100 %"]


@pytest.mark.parametrize("cost", list(TITLES))
def test_the_caption_agrees_with_the_axis(world, cost):
    figure, text = words(world, world.runs, cost=cost)
    stages = "all stages" if cost.endswith("seconds") else "last stage"
    assert all(stages in ax.get_xlabel() for ax in figure.axes)
    assert "Times cover all stages; parameters and memory are those of the last stage" in KIND.caption
    assert "pdcr [R] 100 %" in text
    assert len(figure.axes[0].collections) == 1, "the band of the resampled fronts"
