"""Bad input, for every collected data set: a typed error that names case, file and remedy; never a silent skip."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from PIL import Image

from contrastseg.data.files.formats import read_label
from contrastseg.data.files.itk import keeping_locale
from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.prepare.preparation import prepare_dataset
from contrastseg.data.registry import registry
from contrastseg.errors import DataError
from tests import miniatures
from tests.miniatures import Miniature

COLLECTED = [name for name in registry.names() if not registry.get(name).generated]
PHOTO = (".png", ".jpg", ".jpeg", ".bmp")


def prepare(name: str, raw: Path, output: Path) -> PreparedDataset:
    small = miniatures.get(name)
    prepare_dataset("entry", name, small.options, small.preparation, raw, output)
    return PreparedDataset(output)


def with_mask(accept: Callable[[str], bool]) -> list[str]:
    found = []
    for name in COLLECTED:
        mask = miniatures.get(name).mask
        if mask is not None and accept(mask):
            found.append(name)
    return found


def is_nifti(file: str) -> bool:
    return file.endswith((".nii", ".nii.gz"))


def is_photo(file: str) -> bool:
    return file.endswith(PHOTO)


@pytest.fixture
def spoiled(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Miniature, Path]:
    """(data set, its miniature, the folder with a fresh copy of it)."""
    name = request.param
    small, raw = miniatures.get(name), tmp_path / "raw"
    small.make(raw)
    return name, small, raw


def refused(name: str, raw: Path, victim: str | None) -> str:
    with pytest.raises(DataError) as caught:
        prepare(name, raw, raw.parent / "out")
    faults = getattr(caught.value, "faults", (caught.value,))
    about = [fault for fault in faults if victim is None or fault.case == victim]
    assert about, f"no fault names {victim}: {caught.value}"
    for fault in about:
        assert fault.file is not None
        assert fault.remedy
    assert not (raw.parent / "out" / "manifest.json").exists(), "a faulty data set was taken for a prepared one"
    return str(caught.value)


def everything(names: list[str]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("spoiled", names, indirect=True)


@pytest.mark.parametrize("name", COLLECTED)
def test_every_collected_data_set_has_a_miniature_that_prepares(name: str, tmp_path: Path) -> None:
    assert name in miniatures.names(), f"write tests/miniatures/{name}.py"
    small = miniatures.get(name)
    small.make(tmp_path / "raw")
    prepared = prepare(name, tmp_path / "raw", tmp_path / "out")
    assert prepared.cases == sorted(small.cases)
    assert small.victim in small.cases
    spec = registry.get(name)
    if spec.spatial_dims == 3 and spec.folder_names:
        assert prepared.info.unit in ("mm", "voxel")
    present = set()
    for case in prepared.cases:
        if prepared.index.set_index("case").labelled[case]:
            present |= set(np.unique(read_label(prepared.reference_path(case))[0]).tolist())
    assert present - {255} == set(range(prepared.num_classes)), "let the miniature hold every class"


@everything(COLLECTED)
def test_an_empty_image(spoiled: tuple[str, Miniature, Path]) -> None:
    name, small, raw = spoiled
    (raw / small.image).write_bytes(b"")
    assert "empty" in refused(name, raw, small.victim)


@everything(COLLECTED)
def test_a_truncated_image(spoiled: tuple[str, Miniature, Path]) -> None:
    name, small, raw = spoiled
    content = (raw / small.image).read_bytes()
    (raw / small.image).write_bytes(content[: len(content) // 2])
    refused(name, raw, small.victim)


@everything(with_mask(lambda mask: True))
def test_an_image_without_its_mask(spoiled: tuple[str, Miniature, Path]) -> None:
    name, small, raw = spoiled
    (raw / str(small.mask)).unlink()
    assert "mask" in refused(name, raw, small.victim)


@everything(with_mask(lambda mask: True))
def test_a_mask_without_its_image(spoiled: tuple[str, Miniature, Path]) -> None:
    name, small, raw = spoiled
    (raw / small.image).unlink()
    assert "image" in refused(name, raw, small.victim)


@everything(with_mask(lambda mask: True))
def test_an_empty_mask(spoiled: tuple[str, Miniature, Path]) -> None:
    name, small, raw = spoiled
    (raw / str(small.mask)).write_bytes(b"")
    assert "empty" in refused(name, raw, small.victim)


@everything([name for name in COLLECTED if miniatures.get(name).duplicate])
def test_a_case_that_is_there_twice(spoiled: tuple[str, Miniature, Path]) -> None:
    name, small, raw = spoiled
    target = raw / str(small.duplicate)
    target.parent.mkdir(parents=True, exist_ok=True)
    content = (raw / small.image).read_bytes()
    if small.image.endswith(".gz") and not target.name.endswith(".gz"):
        content = gzip.decompress(content)
    target.write_bytes(content)
    assert "twice" in refused(name, raw, small.victim)


@everything(with_mask(is_nifti))
@pytest.mark.parametrize("fault", ["shape", "affine", "value", "4-D"])
def test_a_wrong_volume_label(spoiled: tuple[str, Miniature, Path], fault: str) -> None:
    name, small, raw = spoiled
    if fault == "affine" and not small.bound_by_affine:
        pytest.skip("labels of this data set are placed by their directions, see its loader")
    path = raw / str(small.mask)
    image = nibabel.load(path)
    array, affine = np.asarray(image.dataobj), np.array(image.affine)
    if fault == "shape":
        array = array[:-1]
    elif fault == "affine":
        affine[0, 3] += 1
    elif fault == "value":
        array = array.copy()
        array[0, 0, 0] = 99
    else:
        array = np.stack([array, array], axis=-1)
    nibabel.save(nibabel.Nifti1Image(array, affine), path)
    words = {"shape": "shape", "affine": "affine", "value": "99", "4-D": "4-D"}
    assert words[fault] in refused(name, raw, small.victim)


@everything([name for name in COLLECTED if is_nifti(miniatures.get(name).image)])
def test_voxels_that_are_no_numbers(spoiled: tuple[str, Miniature, Path]) -> None:
    name, small, raw = spoiled
    image = nibabel.load(raw / small.image)
    array = np.asarray(image.dataobj).astype(np.float32)
    array[1, 1, 1] = np.nan
    array[2, 1, 1] = np.inf
    nibabel.save(nibabel.Nifti1Image(array, image.affine), raw / small.image)
    assert "NaN or infinite" in refused(name, raw, small.victim)


def with_image(suffix: str) -> list[str]:
    return [name for name in COLLECTED if miniatures.get(name).image.endswith(suffix)]


@everything(with_mask(lambda mask: mask.endswith(".nrrd")))
@pytest.mark.parametrize("fault", ["shape", "affine", "value"])
def test_a_wrong_nrrd_label(spoiled: tuple[str, Miniature, Path], fault: str) -> None:
    name, small, raw = spoiled
    path = str(raw / str(small.mask))
    image = SimpleITK.ReadImage(path)
    if fault == "shape":
        image = image[:-1]
    elif fault == "affine":
        image.SetOrigin([value + 1 for value in image.GetOrigin()])
    else:
        image[0, 0, 0], image[1, 0, 0] = 99, 98
    SimpleITK.WriteImage(image, path)
    words = {"shape": "shape", "affine": "affine", "value": "99"}
    assert words[fault] in refused(name, raw, small.victim)


@everything(with_image(".dcm"))
@pytest.mark.parametrize("fault", ["foreign", "missing", "twice", "tilted", "larger"])
def test_wrong_slices(spoiled: tuple[str, Miniature, Path], fault: str) -> None:
    name, small, raw = spoiled
    slices = sorted((raw / small.image).parent.glob("*.dcm"))
    spoilt, other = raw / small.image, slices[-1]
    with keeping_locale():
        image = SimpleITK.ReadImage(str(spoilt))
    if fault == "foreign":
        spoilt.write_bytes(b"no DICOM file" * 100)
    elif fault == "missing":
        spoilt.write_bytes(other.read_bytes())  # as many files as before, one place of the image empty
    elif fault == "twice":
        spoilt.with_name("1-999.dcm").write_bytes(other.read_bytes())
    else:
        if fault == "tilted":
            image.SetMetaData("0020|0037", "1\\0\\0\\0\\0.8\\0.6")
            image.SetDirection([1, 0, 0, 0, 0.8, -0.6, 0, 0.6, 0.8])
        else:
            tags = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()}
            image = SimpleITK.ConstantPad(image, [0, 0, 0], [1, 0, 0])
            for key, value in tags.items():
                image.SetMetaData(key, value)
        write_slice(image, spoilt)
    message = refused(name, raw, small.victim)
    words = {"foreign": "cannot be read", "missing": "image", "twice": "image", "tilted": "orientation"}
    assert words.get(fault, "shape") in message
    if fault == "foreign":
        assert spoilt.name in message


def write_slice(image: SimpleITK.Image, path: Path) -> None:
    writer = SimpleITK.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    writer.SetFileName(str(path))
    with keeping_locale():
        writer.Execute(image)


@everything([name for name in with_image(".dcm") if not is_photo(str(miniatures.get(name).mask))])
def test_the_order_of_slices_on_disk_does_not_matter(spoiled: tuple[str, Miniature, Path]) -> None:
    name, small, raw = spoiled
    before = prepare(name, raw, raw.parent / "before").load(small.victim).image
    slices = sorted((raw / small.image).parent.glob("*.dcm"))
    for index, path in enumerate(slices):
        path.rename(path.with_name(f"{(index * 7 + 3) % len(slices)}-{index}.dcm"))
    assert np.array_equal(prepare(name, raw, raw.parent / "after").load(small.victim).image, before)


@everything(with_mask(is_photo))
@pytest.mark.parametrize("fault", ["shape", "colours", "16 bits"])
def test_a_wrong_photo_mask(spoiled: tuple[str, Miniature, Path], fault: str) -> None:
    name, small, raw = spoiled
    path = raw / str(small.mask)
    with Image.open(path) as opened:
        mask = np.asarray(opened.convert("L"))
    if fault == "shape":
        spoilt = Image.fromarray(mask[:-1])
    elif fault == "colours":
        spoilt = Image.fromarray(np.stack([mask, 0 * mask, mask], axis=-1))
    else:
        spoilt = Image.fromarray(mask.astype(np.uint16) * 257)
    spoilt.save(path, format="PNG")  # readers go by content, not by name
    words = {"shape": "shape", "colours": "mode", "16 bits": "mode"}
    assert words[fault] in refused(name, raw, small.victim)
