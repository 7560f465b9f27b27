"""Preparation that papers ask for: a box around the label, N4, orders of resampling; and the way back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from contrastseg.data.files.geometry import Geometry
from contrastseg.data.files.resampling import resample_image, resample_label
from contrastseg.data.prepare.bias_field import correct_bias
from contrastseg.data.prepare.crop import label_box
from contrastseg.data.prepare.recipe import prepare_native
from contrastseg.data.readers.specs import NativeCase
from contrastseg.data.settings import CropSettings, PreparationSettings
from contrastseg.errors import DataError

SHAPE, SPACING = (6, 30, 40), (5.0, 1.0, 2.0)


def case(label: np.ndarray | None) -> NativeCase:
    image = np.random.default_rng(0).normal(size=(1, *SHAPE)).astype(np.float32)
    return NativeCase(image, label, SPACING, "mm", np.eye(4).tolist())


def prepared(native: NativeCase, **rule: Any):
    return prepare_native(native, PreparationSettings(**rule), "nifti", "a", "a", None)


@pytest.fixture
def label() -> np.ndarray:
    label = np.zeros(SHAPE, np.uint8)
    label[2:4, 10:20, 8:12] = 1
    label[3, 12, 20] = 2
    return label


def test_the_box_holds_the_structures_and_the_margin(label: np.ndarray) -> None:
    crop = CropSettings(around="label", margin=6)
    assert label_box(label, SPACING, crop) == ((0, 6), (4, 26), (5, 24)), "2, 6 and 3 voxels, cut at the border"
    assert label_box(label, None, CropSettings(around="label", margin=1, axes=(1, 2))) == ((0, 6), (9, 21), (7, 22))
    long = CropSettings(around="label", margin=1, least=20, axes=(1,))
    assert label_box(label, SPACING, long) == ((0, 6), (4, 26), (0, 40)), "10 to 20, made 20 long, and 1 on either side"
    label[5, 29, 39] = 255
    assert label_box(label, SPACING, crop) == ((0, 6), (4, 26), (5, 24)), "what nobody labelled is no structure"


def test_a_cropped_case_comes_back_to_its_place(label: np.ndarray) -> None:
    crop = {"around": "label", "margin": 6}
    found = prepared(case(label), crop=crop)
    assert found.image.shape == (1, 6, 22, 19)
    assert found.label is not None
    assert np.array_equal(found.label, label[:, 4:26, 5:24])
    assert found.geometry.spacing == SPACING
    assert np.array_equal(found.geometry.to_native(found.label, 0), label)
    logits = np.eye(3, dtype=np.float32)[found.label].transpose(3, 0, 1, 2) - 5
    assert np.array_equal(found.geometry.label_from_logits(logits), label), "0 beyond the box"
    assert Geometry.from_dict(found.geometry.to_dict()) == found.geometry


@given(st.integers(0, 2), st.floats(0.5, 3), st.integers(0, 12))
@effort(max_examples=25, deadline=None)
def test_what_is_cropped_and_resampled_fills_the_box_and_nothing_else(axis: int, step: float, margin: int) -> None:
    label = np.zeros(SHAPE, np.uint8)
    label[1:5, 8:22, 10:30] = 1
    native = NativeCase(case(None).image, label, SPACING, "mm", np.eye(4).tolist())
    rule = PreparationSettings(crop={"around": "label", "margin": margin}, spacing=(None, step, step))
    found = prepare_native(native, rule, "nifti", "a", "a", None, axis)
    back = found.geometry.to_native(np.ones(found.geometry.shape, np.uint8), 0)
    box = tuple(slice(*ends) for ends in label_box(label, SPACING, rule.crop))
    inside = np.zeros(SHAPE, bool)
    inside[box] = True
    assert back.shape == SHAPE
    assert np.array_equal(back == 1, inside)


@pytest.mark.parametrize("empty", [True, False])
def test_nothing_to_crop_around_is_an_error(empty: bool) -> None:
    with pytest.raises(DataError):
        prepared(case(np.zeros(SHAPE, np.uint8) if empty else None), crop={"around": "label"})


def test_an_axis_that_does_not_exist(label: np.ndarray) -> None:
    with pytest.raises(DataError, match="axis 2"):
        label_box(label[0], None, CropSettings(around="label", axes=(2,)))


@pytest.mark.parametrize("bad", ["0,0", "60,61", "5,4"])
def test_a_stored_crop_beyond_the_image_is_refused(bad: str, label: np.ndarray, tmp_path: Path) -> None:
    fields = prepared(case(label), crop={"around": "label"}).geometry.to_dict()
    fields["crop"] = [*fields["crop"][:2], [int(end) for end in bad.split(",")]]
    with pytest.raises(ValueError, match="crop"):
        Geometry.from_dict(fields)


def test_order_0_takes_voxels_and_order_3_is_a_cubic_spline() -> None:
    field = np.random.default_rng(0).normal(size=(9, 12)).astype(np.float32)
    assert np.array_equal(resample_image(field, (5, 20), order=0, antialias=True), resample_label(field, (5, 20)))
    axis = np.linspace(0, 1, 24, dtype=np.float32)
    parabola = np.repeat((axis**2)[None], 4, axis=0)
    wide = (np.arange(48) + 0.5) / 48 * 24 - 0.5  # where the new voxels lie among the old
    exact = (wide / 23) ** 2
    inner = slice(16, -16)  # a spline of finite length differs near the ends
    cubic, linear = (resample_image(parabola, (4, 48), order=order)[0] for order in (3, 1))
    assert np.abs(cubic - exact)[inner].max() < 1e-5
    assert np.abs(linear - exact)[inner].max() > 1e-4
    step = np.repeat(np.array([[0.0, 0.0, 255.0, 255.0]], np.float32), 4, axis=0)
    found = resample_image(step, (4, 32), order=3)
    assert (found.min(), found.max()) == (0.0, 255.0), "a spline overshoots at an edge: 8 bits would not hold it"


def test_n4_takes_a_smooth_field_out_and_leaves_the_same_bytes_each_time() -> None:
    _, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in (3, 32, 32)), indexing="ij")
    truth = np.where(y**2 + x**2 < 0.5, 200.0, 100.0).astype(np.float32)
    image = (truth * np.exp(0.5 * x + 0.3 * y)).astype(np.float32)[None]
    corrected = correct_bias(image, (5.0, 1.0, 1.0), shrink=4)

    def unevenness(volume: np.ndarray) -> float:
        return float(np.std(volume[truth == 200]) / np.mean(volume[truth == 200]))

    assert unevenness(corrected[0]) < 0.5 * unevenness(image[0])
    assert np.array_equal(correct_bias(image, (5.0, 1.0, 1.0), shrink=4), corrected)
    small = prepared(NativeCase(image, None, (5.0, 1.0, 1.0), "mm"), n4=True, n4_shrink=4, intensity="none")
    assert np.array_equal(small.image, corrected)


def test_n4_sees_every_voxel_unless_told_otherwise() -> None:
    import SimpleITK

    image = np.random.default_rng(0).uniform(50, 60, size=(1, 4, 8, 8)).astype(np.float32)
    n4 = SimpleITK.N4BiasFieldCorrectionImageFilter()
    n4.SetConvergenceThreshold(0.001)
    n4.SetMaximumNumberOfIterations([50] * 4)
    expected = SimpleITK.GetArrayFromImage(n4.Execute(SimpleITK.GetImageFromArray(image[0])))
    np.testing.assert_allclose(correct_bias(image, None)[0], expected, rtol=1e-3)
    flat = np.full((1, 3, 4, 5), 7, np.int16)
    assert np.array_equal(correct_bias(flat, None), flat)


def test_rules_that_say_nothing_new_keep_their_digest() -> None:
    assert set(PreparationSettings().model_dump()) == {
        "intensity", "window", "percentiles", "spacing", "size", "dtype", "superpixels"
    }  # fmt: skip
    assert PreparationSettings(image_order=0).model_dump()["image_order"] == 0
    assert PreparationSettings().complete()["crop"] is None
