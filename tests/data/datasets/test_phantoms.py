"""The generated data sets look like what they stand for."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest

from contrastseg.data.faults import Faults
from contrastseg.data.readers.specs import NativeCase
from contrastseg.data.registry import registry


def draw(name: str, cases: int, **options: object) -> list[NativeCase]:
    spec = registry.get(name)
    parsed = spec.parse_options({"cases": cases, **options})
    return [spec.load(raw, parsed) for raw in spec.discover(None, parsed, Faults())]


@pytest.mark.parametrize("name", ["phantom_lesions", "phantom_organs"])
def test_patients_differ_seeds_differ_and_more_patients_leave_the_first_as_they_are(name: str) -> None:
    first, more, other = draw(name, 2), draw(name, 3), draw(name, 2, seed=1)
    assert not np.array_equal(first[0].label, first[1].label)  # type: ignore[arg-type]
    assert not np.array_equal(first[0].label, other[0].label)  # type: ignore[arg-type]
    assert np.array_equal(first[1].image, more[1].image)


def test_size_is_an_option() -> None:
    assert draw("phantom_lesions", 1, size=(40, 50))[0].image.shape == (3, 40, 50)
    assert draw("phantom_organs", 1, size=(48, 40))[0].image.shape[2:] == (48, 40)


def test_lesions_are_irregular_spots_of_many_looks() -> None:
    cases = draw("phantom_lesions", 20)
    shares, contrasts = [], []
    for case in cases:
        assert case.image.dtype == np.uint8
        inside = np.asarray(case.label) == 1
        shares.append(inside.mean())
        contrasts.append(case.image[:, inside].mean() - case.image[:, ~inside].mean())
    assert 0.02 < min(shares) < max(shares) < 0.5
    assert min(contrasts) < -60  # dark on light
    assert max(contrasts) > 0  # pale on dark skin: no single threshold finds them all


def test_organs_share_their_grey_values() -> None:
    """Telling organs apart needs place and shape: grey values alone leave them mixed."""
    cases = draw("phantom_organs", 8)
    present = np.zeros(5)
    apart = []
    for case in cases:
        label, image = np.asarray(case.label), case.image[0]
        present += [bool((label == value).any()) for value in range(5)]
        means = [image[label == value].mean() for value in range(1, 5) if (label == value).any()]
        spread = np.mean([image[label == value].std() for value in range(1, 5) if (label == value).any()])
        apart.append(np.std(means) / spread)
    assert (present >= 6).all()
    assert np.median(apart) < 1.5


def test_organs_sit_where_anatomy_has_them() -> None:
    """In the world frame of the affine (right, anterior, superior) the liver is right of the spleen, and so on."""
    for case in draw("phantom_organs", 4):
        label = np.asarray(case.label)
        centres = {
            value: nibabel.affines.apply_affine(case.affine, np.argwhere(label.transpose() == value).mean(axis=0))
            for value in np.unique(label)
            if value
        }
        assert nibabel.aff2axcodes(np.asarray(case.affine)) == ("L", "P", "S")
        if {1, 2} <= set(centres):
            assert centres[1][0] > centres[2][0]
        if {3, 4} <= set(centres):
            assert centres[3][0] > centres[4][0]
        if {1, 3} <= set(centres):
            assert centres[3][2] < centres[1][2]  # kidneys lie below
            assert centres[3][1] < centres[1][1]  # and behind


def test_some_patients_lack_an_organ() -> None:
    lacking = [case for case in draw("phantom_organs", 12, size=(32, 32)) if len(np.unique(np.asarray(case.label))) < 5]
    assert 1 <= len(lacking) <= 6


def test_volumes_are_anisotropic() -> None:
    cases = draw("phantom_organs", 6, size=(32, 32))
    assert {case.spacing for case in cases} == {(5.0, 1.5, 1.5)}
    depths = {case.image.shape[1] for case in cases}
    assert len(depths) > 1
    assert depths <= set(range(12, 17))
    for case in cases:
        assert nibabel.affines.voxel_sizes(np.asarray(case.affine)) == pytest.approx([1.5, 1.5, 5.0], rel=1e-6)
