"""Slices to look through: which, how many, and never more bytes than allowed."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from contrastseg.report.figures.overlay_cases import Volume
from contrastseg.report.page.slices import COUNTS, SIDE, cut, fit, spread


@given(st.integers(0, 300), st.integers(0, 300), st.data())
def test_the_spread_holds_both_ends_or_the_main_one_in_order(low, length, data):
    high = low + length
    main = data.draw(st.integers(low, high))
    count = data.draw(st.sampled_from(COUNTS))
    places = spread(low, high, main, count)
    assert places == sorted(set(places))
    assert main in places
    assert len(places) <= count
    assert len(places) >= min(count, length + 1) - 1
    assert low <= places[0]
    assert places[-1] <= high
    assert {low, high} - set(places) <= ({low, high} if main not in (low, high) else set())


def volume(depth: int = 20, spacing: float = 2.0) -> Volume:
    reference = np.zeros((depth, 30, 40), np.uint8)
    reference[4:12, 10:20, 10:20] = 1
    reference[7, 8:22, 8:22] = 1
    prediction = np.roll(reference, 5, axis=0)
    return Volume(reference[None].astype(np.float32), reference, prediction, spacing, False)


def opened(address: str) -> Image.Image:
    head, _, data = address.partition(",")
    assert head == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_slices_go_from_the_first_to_the_last_that_holds_something():
    slices = cut(volume())
    assert (slices[0]["at"], slices[-1]["at"]) == (5, 17)  # counted from one; the prediction reaches further
    assert [one["at"] for one in slices if one["main"]] == [8]
    assert len(slices) == COUNTS[0]


def test_pictures_have_the_patients_proportions_and_one_size():
    sizes = {opened(one["image"]).size for one in cut(volume(spacing=1.0))}
    tall = {opened(one["image"]).size for one in cut(volume(spacing=4.0))}
    assert len(sizes) == len(tall) == 1
    (width, height), (narrow, high) = sizes.pop(), tall.pop()
    assert max(width, height) == max(narrow, high) == SIDE
    assert width == height  # a square about the structure
    assert narrow == round(SIDE * 40 / 72)  # no room for a square: all 40 columns, 18 rows four times as high


def test_errors_are_coloured_and_the_outline_is_light():
    slices = cut(volume())
    missed = np.asarray(opened(slices[0]["image"]), dtype=float)  # reference alone: yellow
    assert (missed[..., 0] > missed[..., 2] + 60).any()
    invented = np.asarray(opened(slices[-1]["image"]), dtype=float)  # prediction alone: vermilion
    assert (invented[..., 0] > invented[..., 1] + 60).any()


def test_nothing_to_show_is_one_slice():
    empty = np.zeros((6, 10, 10), np.uint8)
    assert [one["at"] for one in cut(Volume(empty[None].astype(np.float32), empty, empty, 1.0, False))] == [4]


def stack(name: str) -> dict:
    slices = [{"at": at + 1, "main": at == 4, "image": "x" * 100} for at in range(11)]
    return {"case": name, "slices": slices}


@pytest.mark.parametrize(
    ("limit", "counts", "left_out"),
    [(10**6, [11, 11], 0), (2200, [11, 11], 0), (1500, [7, 7], 0), (650, [3, 3], 0), (300, [3], 1), (10, [], 2)],
)
def test_the_limit_thins_before_it_leaves_out(limit, counts, left_out):
    found = fit([stack("a"), stack("b")], limit)
    assert [len(one["slices"]) for one in found["volumes"]] == counts
    assert found["left_out"] == left_out
    for one in found["volumes"]:
        assert sum(single["main"] for single in one["slices"]) == 1
