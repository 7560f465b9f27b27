"""Figures: reproducible, with one style per method, and pictures of the cases they claim to show."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from contrastseg.report.content.run_keys import parse_run_key, run_key
from contrastseg.report.figures import wording
from contrastseg.report.figures.build import FORMATS, make_figures
from contrastseg.report.figures.curves import _smoothed
from contrastseg.report.figures.kind import FigureSource, figure_caption, figure_kind
from contrastseg.report.figures.outcomes import outcomes
from contrastseg.report.figures.overlay_cases import Overlay, pick_cases
from contrastseg.report.figures.overlays import cropped, outlines
from contrastseg.report.settings import FigureSettings
from contrastseg.report.settings.kinds import FIGURE_KINDS

KIND_NAMES = list(FIGURE_KINDS)
NAMES = ("label_ratio", "box", "outcomes", "cost", "learning_curves", "overlays")


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_every_registered_kind_can_be_drawn_and_has_a_caption(kind):
    assert figure_caption(FigureSettings(name="f", kind=kind)) == figure_kind(kind).caption != ""
    assert figure_caption(FigureSettings(name="f", kind=kind, caption="mine")) == "mine"


@pytest.mark.parametrize("name", NAMES)
def test_figures_show_something(drawn, name):
    pixels = np.asarray(Image.open(drawn / f"{name}.png").convert("RGB"))
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 50
    svg = (drawn / f"{name}.svg").read_text()
    assert svg.count("<path") > 20
    assert "<dc:date>" not in svg


def test_the_same_input_gives_the_same_bytes(world, drawn, tmp_path):
    settings = [FigureSettings(name="label_ratio", kind="label_ratio", dpi=50)]
    make_figures(world.data, settings, tmp_path)
    for suffix in FORMATS:
        assert (tmp_path / f"label_ratio.{suffix}").read_bytes() == (drawn / f"label_ratio.{suffix}").read_bytes()


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_nothing_to_draw_is_said_in_the_figure(world, tmp_path, kind):
    settings = [FigureSettings(name="none", kind=kind, dpi=50)]
    make_figures(world.nothing, settings, tmp_path)
    assert (tmp_path / "none.svg").stat().st_size > 1000


def test_a_dollar_in_a_name_is_no_formula(world, tmp_path):
    named = world.rename("pdcr", r"a$\frac$_b")
    settings = [FigureSettings(name="f", kind="label_ratio", dpi=50)]
    make_figures(named.data, settings, tmp_path)
    assert (tmp_path / "f.png").is_file()


def test_worst_median_and_best_case_of_the_first_run(world):
    picked = pick_cases(world.scores)
    rows = world.scores[
        (world.scores["dataset"] == "organs")
        & (world.scores["method"] == "pdcr")
        & (world.scores["labels"] == "r0.1")
        & (world.scores["seed"] == 0)
        & (world.scores["metric"] == "dice")
    ]
    means = rows.groupby("case")["value"].mean().sort_values()
    mine = picked[(picked["dataset"] == "organs") & (picked["method"] == "pdcr")].set_index("rank")
    assert set(mine["seed"]) == {0}
    assert mine.loc["worst", "case"] == means.index[0]
    assert mine.loc["median", "case"] == means.index[5]
    assert mine.loc["best", "case"] == means.index[-1]
    assert pick_cases(world.scores, labels=["r0.5"])["labels"].unique().tolist() == ["r0.5"]


def test_a_crop_holds_all_that_was_predicted():
    reference, prediction = np.zeros((80, 100), np.uint8), np.zeros((80, 100), np.uint8)
    reference[30:40, 30:40] = 1
    prediction[32:42, 30:40] = 1
    prediction[70, 95] = 1
    axes = dict.fromkeys(
        ("dataset", "evaluated_on", "checkpoint", "labels", "method", "variant", "case", "patient"), "x"
    )
    one = Overlay(**axes, rank="best", score=1.0, image=reference / 1.0, reference=reference, prediction=prediction)
    part = cropped(one)
    assert part.prediction.sum() == prediction.sum()
    assert part.reference.sum() == reference.sum()
    assert part.image.shape == part.reference.shape == part.prediction.shape
    near = Overlay(**axes, rank="best", score=1.0, image=reference / 1.0, reference=reference, prediction=reference)
    assert max(cropped(near).image.shape) < 40


def test_run_keys_come_apart_again(world):
    axes = parse_run_key(run_key(world.runs[0]))
    assert axes == {name: world.runs[0][name] for name in axes}
    with pytest.raises(ValueError, match="is not the key of a run"):
        parse_run_key("organs/pdcr/seed0")


def test_learning_curves_stand_logs_without_validation(world, tmp_path):
    logs = {key: log.drop(columns="val_dice") for key, log in list(world.logs.items())[:4]}
    logs |= {key: pd.DataFrame({"step": [], "loss": []}) for key in list(world.logs)[4:6]}
    settings = [FigureSettings(name="curves", kind="learning_curves", dpi=50)]
    make_figures(world.data, settings, tmp_path, logs=logs)
    assert (tmp_path / "curves.png").is_file()


def test_a_curve_is_the_running_mean_of_what_was_logged_last():
    rng = np.random.default_rng(0)
    log = pd.DataFrame({"step": [*range(1, 91), 90], "loss": rng.normal(size=91)})
    log.loc[7, "loss"] = np.nan
    last = log.dropna().groupby("step")["loss"].last()
    expected = last.rolling(len(last) // 20, min_periods=1, center=True).mean()
    smoothed = _smoothed(log, "loss")
    np.testing.assert_allclose(smoothed, expected)
    np.testing.assert_array_equal(smoothed.index, expected.index)


def test_an_outline_runs_between_the_pixels():
    labels = np.zeros((6, 8), np.uint8)
    labels[2:4, 3:6] = 1
    labels[0, 0] = 255
    lines = outlines(labels)
    assert np.isnan(lines).all(axis=1).sum() == 1, "one structure, one line; what is ignored has none"
    assert (np.nanmin(lines, axis=0), np.nanmax(lines, axis=0)) == (
        pytest.approx([1.5, 2.5]),
        pytest.approx([3.5, 5.5]),
    )
    assert len(outlines(np.zeros((4, 4), np.uint8))) == 0


@pytest.mark.parametrize("missed", [0, 1])
def test_a_panel_without_a_bar_says_so(world, missed):
    summary = world.summary.assign(missed=missed, invented=0)
    source = FigureSource(replace(world.data, summary=summary))
    figure = outcomes(source, FigureSettings(name="f", kind="outcomes"))
    said = [wording.NONE_TO_COUNT in [text.get_text() for text in ax.texts] for ax in figure.axes]
    assert said
    assert all(said) == (not missed)
    assert any(said) == (not missed)


def test_a_figures_settings_narrow_what_it_is_drawn_from(world):
    few = replace(world.data, frames={"other": world.summary}).chosen(
        FigureSettings(name="f", kind="box", methods=["pdcr"], labels=["r0.1"])
    )
    for frame in (few.scores, few.summary, few.comparisons, few.frames["other"]):
        assert set(frame["method"]) == {"pdcr"}
        assert set(frame["labels"]) == {"r0.1"}
    assert few.suite == world.suite
