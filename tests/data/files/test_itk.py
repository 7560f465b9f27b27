"""NRRD through ITK: the same voxels at the same places as nibabel reads them from NIfTI."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK

from contrastseg.data.files.formats import read_nifti
from contrastseg.data.files.itk import ITK_SUFFIXES, read_itk
from contrastseg.errors import DataError


def oblique() -> SimpleITK.Image:
    """Anisotropic, turned about two axes, far from the origin."""
    array = np.random.default_rng(0).integers(-1000, 1000, (5, 7, 9)).astype(np.int16)
    image = SimpleITK.GetImageFromArray(array)
    image.SetSpacing([0.7, 0.8, 2.5])
    image.SetOrigin([12.5, -40.25, 103.0])
    turn = SimpleITK.Euler3DTransform([0, 0, 0], 0.3, -0.2, 0.5)
    image.SetDirection(turn.GetMatrix())
    return image


@pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz"])
def test_an_oblique_volume_lies_where_nibabel_has_it(tmp_path: Path, suffix: str) -> None:
    image = oblique()
    for path in (tmp_path / f"a{suffix}", tmp_path / "a.nii"):
        SimpleITK.WriteImage(image, str(path))
    array, spacing, affine = read_itk(tmp_path / f"a{suffix}")
    expected, expected_spacing, expected_affine = read_nifti(tmp_path / "a.nii")
    assert np.array_equal(array, expected)
    assert spacing == pytest.approx(expected_spacing)
    assert np.allclose(affine, expected_affine, atol=1e-4)
    # A voxel's place by ITK itself, in RAS.
    place = np.array([-1, -1, 1]) * image.TransformIndexToPhysicalPoint((3, 1, 4))
    assert nibabel.affines.apply_affine(np.array(affine), (3, 1, 4)) == pytest.approx(place)
    assert array[4, 1, 3] == image[3, 1, 4]


@pytest.mark.parametrize("suffix", ITK_SUFFIXES)
def test_upper_case_names_are_read_alike(tmp_path: Path, suffix: str) -> None:
    SimpleITK.WriteImage(oblique(), str(tmp_path / f"a{suffix}"))
    array, *grid = read_itk(tmp_path / f"a{suffix}")
    loud = (tmp_path / f"a{suffix}").rename(tmp_path / f"A{suffix.upper()}")
    again, *grid_again = read_itk(loud)
    assert np.array_equal(again, array)
    assert grid_again == grid


def test_other_dimensions_and_vectors_are_refused(tmp_path: Path) -> None:
    SimpleITK.WriteImage(SimpleITK.Image(4, 4, SimpleITK.sitkUInt8), str(tmp_path / "flat.nrrd"))
    SimpleITK.WriteImage(SimpleITK.Image([4, 4, 4], SimpleITK.sitkVectorUInt8, 3), str(tmp_path / "colours.nrrd"))
    for name, words in (("flat.nrrd", "2 dimensions"), ("colours.nrrd", "3 values")):
        with pytest.raises(DataError, match=words) as caught:
            read_itk(tmp_path / name, "case")
        assert (caught.value.case, caught.value.file) == ("case", tmp_path / name)
