"""What damaged files did to the readers before they were made to refuse them, each in a file of its own making."""

from __future__ import annotations

import contextlib
import gzip
import io
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import nibabel
import numpy as np
import pytest
import yaml
from PIL import Image

from contrastseg.data.download.archives import ArchiveError, unpack
from contrastseg.data.faults import FaultyCasesError
from contrastseg.data.files import declared_size
from contrastseg.data.files.dicom import read_series
from contrastseg.data.files.dicom_lengths import check_lengths
from contrastseg.data.files.formats import read_h5, read_label, read_nifti, read_photo
from contrastseg.data.files.geometry import Geometry
from contrastseg.data.files.itk import read_itk
from contrastseg.data.readers.photo_mask_files import read_binary_mask
from contrastseg.errors import ContrastsegError, DataError, FileError, ScoringError, SuiteError
from contrastseg.evaluation.scoring.predictions import expected_predictions
from contrastseg.files import read_json, write_json
from contrastseg.suite import load_suite
from tests.fuzz.worker import limits
from tests.miniatures import _files

ARRAY = np.zeros((2, 3, 4), np.int16)


def claiming(shape: tuple[int, int, int]) -> bytes:
    """A NIfTI file of 24 voxels whose header says that it has many more."""
    content = bytearray(nibabel.Nifti1Image(ARRAY.transpose(), np.eye(4)).to_bytes())
    content[40:48] = struct.pack("<4h", 3, *shape)
    return bytes(content)


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_a_nifti_header_may_not_ask_for_memory(tmp_path: Path, compress: type[bytes]) -> None:
    path = tmp_path / ("a.nii" if compress is bytes else "a.nii.gz")
    path.write_bytes(compress(claiming((10_000, 10_000, 10_000))))
    with limits(), pytest.raises(DataError, match=r"declares 2000\.0 GB") as caught:
        read_nifti(path, "one")
    assert caught.value.case == "one"


def test_an_h5_file_may_not_ask_for_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("image", (10**4, 10**4, 10**4), "f4", chunks=(100, 100, 100))
        file["label"] = ARRAY
    with limits(), pytest.raises(DataError, match=r"declares 4000\.0 GB, and the file has 0 bytes"):
        read_h5(path)


@pytest.mark.parametrize("read", [read_label, read_photo, read_binary_mask])
def test_a_chunk_of_a_png_may_not_ask_for_memory(tmp_path: Path, read: Callable[[Path, str], Any]) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(ARRAY[0].astype(np.uint8)).save(path)
    content = path.read_bytes()
    place = content.index(b"IDAT")
    path.write_bytes(content[: place - 4] + b"\xff\xff\xff\xf0" + content[place:])
    with limits():  # the chunk ends with the file: what lies in it is whole
        found = read(path, "one")
    assert np.array_equal(np.squeeze(found if isinstance(found, np.ndarray) else found[0]), ARRAY[0])


def test_an_element_of_a_dicom_file_may_not_ask_for_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    _files.save_slice(path, ARRAY[0], (0, 0, 0))
    content = path.read_bytes()
    place = content.index(b"\xe0\x7f\x10\x00") + 4  # pixels, the last element, of implicit kind
    length = struct.unpack_from("<I", content, place)[0]
    assert length == len(content) - place - 4
    path.write_bytes(content[:place] + struct.pack("<I", 0xF0000000) + content[place + 4 :])
    said = rf"element \(7fe0,0010\) claims 4026531840 bytes, and {length} follow"
    with limits(), pytest.raises(DataError, match=said) as caught:
        read_series([path], "one")
    assert (caught.value.case, caught.value.file) == ("one", path)


EXPLICIT = b"\0" * 128 + b"DICM" + b"\2\0\x10\0UI" + struct.pack("<H", 20) + b"1.2.840.10008.1.2.1\0"
CLAIMS = struct.pack("<I", 0xF0000000)


@pytest.mark.parametrize(
    ("rest", "refused"),
    [
        (b"\x28\0\x10\0US\2\0\5\0", False),
        (b"\x28\0\x10\0US\4\0\5\0", True),
        (b"\xe0\x7f\x10\0OW\0\0\2\0\0\0\5\0", False),
        (b"\x28\0\x10\0US\2\0\5\0\xe0\x7f\x10\0OW\0\0" + CLAIMS, True),
        (b"\x28\0\x10\0UN\0\0" + CLAIMS + b"\5\0", True),
        (b"\x28\0\x10\0??\0\0" + CLAIMS, False),  # of a kind that nobody knows: the decoder's to judge
        (b"\x28\0\x10\0SQ\0\0\xff\xff\xff\xff", False),  # of undefined length: it ends by a mark
    ],
)
def test_lengths_of_explicit_elements(tmp_path: Path, rest: bytes, refused: bool) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(EXPLICIT + rest)
    with pytest.raises(DataError, match="claims") if refused else contextlib.nullcontext():
        check_lengths(path)


def test_the_head_of_a_dicom_file_holds_known_kinds(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(EXPLICIT + b"\2\0\x13\0a;\2\0\5\0")
    with pytest.raises(DataError, match=r"element \(0002,0013\) is of no kind that there is"):
        check_lengths(path)


def test_a_name_too_long_for_the_disk_is_an_error_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot be read"):
        read_json(tmp_path / ("a" * 5000 + ".json"))


def test_constant_labels_are_read_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing compresses better: what is refused must lie beyond it."""
    monkeypatch.setattr(declared_size, "_ALWAYS_READ", 0)
    empty = np.zeros((9, 1000, 1000), np.uint8)
    path = tmp_path / "a.nii.gz"
    path.write_bytes(gzip.compress(nibabel.Nifti1Image(empty.transpose(), np.eye(4)).to_bytes(), 9))
    assert empty.nbytes > 900 * path.stat().st_size
    assert read_nifti(path)[0].shape == empty.shape


def test_a_number_without_end_in_an_nrrd_header_does_not_end_the_process(tmp_path: Path) -> None:
    path = _files.save_nrrd(tmp_path / "a.nrrd", ARRAY)
    path.write_bytes(path.read_bytes().replace(b"sizes: 4", b"sizes: 4" + b"9" * 5000))
    with pytest.raises(DataError, match="a word of 5001 characters"):
        read_itk(path)


def test_a_tar_header_of_negative_size_does_not_lead_in_circles(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as opened:
        for name in ("a", "b"):
            opened.addfile(tarfile.TarInfo(name), io.BytesIO())
    content = bytearray(path.read_bytes())
    content[512 + 124 : 512 + 136] = b"\xff" * 10 + b"\xfc\x00"  # -1024, in base 256
    content[512 + 148 : 512 + 156] = b" " * 8
    content[512 + 148 : 512 + 156] = b"%06o\0 " % sum(content[512:1024])
    path.write_bytes(content)
    with limits(), pytest.raises(ArchiveError, match="damaged"):
        unpack(path, tmp_path / "out")


def test_a_zip_whose_members_lie_before_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("a", bytes(1000))
        opened.writestr("b", bytes(1000))
    content = path.read_bytes()
    path.write_bytes(content[:40] + content[1640:])
    with pytest.raises(ArchiveError, match="damaged"):
        unpack(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "text",
    [
        "name: 2024-13-45",
        "name: !!bool x",
        "name: !!timestamp x",
        f"name: {'9' * 5000}",
        "name: " + "[" * 3000,
        "name: &a [*a]",
        "methods: [{name: supervised, variants: [{}]}]\ndatasets: [phantom_lesions]\nname: x",
        "\n".join(["a0: &a0 [x, x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12))]),
    ],
    ids=lambda text: text[:20],
)
def test_what_yaml_can_be_made_to_do(tmp_path: Path, text: str) -> None:
    path = tmp_path / "suite.yaml"
    path.write_text(text)
    with limits(), pytest.raises(SuiteError) as caught:
        load_suite(path)
    assert caught.value.file == path


def test_references_in_a_suite_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "suite.yaml"
    path.write_text(
        "name: x\ndatasets:\n- {name: a, dataset: phantom_lesions, options: &o {cases: 9}}\n"
        "- {name: b, dataset: phantom_lesions, options: *o}\nmethods: [supervised]\n"
    )
    assert yaml.safe_load(path.read_text())["datasets"][1]["options"] == {"cases": 9}
    assert load_suite(path).datasets[1].options == {"cases": 9}


def test_predictions_lie_in_their_folder(tmp_path: Path) -> None:
    for name in ("../elsewhere.png", "/etc/passwd", "", ".."):
        write_json(tmp_path / "predictions.json", {"cases": {"a": name}})
        with pytest.raises(ScoringError, match="is no name of a file"):
            expected_predictions(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "\xff", "[" * 100_000, '{"shape": [1]}', "[]", "null"])
def test_half_a_json_names_its_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "geometry.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(FileError) as caught:
        Geometry.from_json(path)
    assert caught.value.file == path
    assert caught.value.remedy


def test_a_missing_json_names_its_file(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="not found"):
        read_json(tmp_path / "none.json")


@pytest.mark.parametrize(
    "error",
    [
        DataError("reason", case="case", file="file", remedy="remedy"),
        FileError("reason"),
        FaultyCasesError((DataError("one", case="a"), DataError("two", file="b"))),
    ],
)
def test_errors_travel_between_processes(error: ContrastsegError) -> None:
    """Workers hand them over; one that could not be copied ended the whole pool, and nobody saw it."""
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
