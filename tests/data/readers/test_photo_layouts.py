"""Parts of the readers of photographs: what masks come in, and which files are taken for data."""

from __future__ import annotations

import re
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from contrastseg.data.faults import Faults
from contrastseg.data.readers.layouts import below, photos, read_photo_grey, read_photo_rgb
from contrastseg.data.readers.mask_values import Coding
from contrastseg.data.readers.photo_mask_files import read_binary_mask
from contrastseg.errors import DataError
from tests.miniatures._files import save_photo

BOX = np.zeros((12, 10), dtype=np.uint8)
BOX[3:9, 2:7] = 255
NAME = re.compile(r"(?P<case>a\d)\.(png|jpg)")


def saved(path: Path, image: Image.Image) -> Path:
    image.save(path)
    return path


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA"])
def test_masks_of_every_mode_that_holds_greys(tmp_path: Path, mode: str) -> None:
    mask, notes = read_binary_mask(saved(tmp_path / "mask.png", Image.fromarray(BOX).convert(mode)), "a")
    assert mask.dtype == np.uint8
    assert np.array_equal(mask, BOX > 0)
    assert notes == ()


def test_masks_of_0_and_1(tmp_path: Path) -> None:
    mask, notes = read_binary_mask(save_photo(tmp_path / "mask.png", BOX // 255), "a")
    assert np.array_equal(mask, BOX > 0)
    assert notes == ()
    empty, _ = read_binary_mask(save_photo(tmp_path / "empty.png", 0 * BOX), "a")
    full, _ = read_binary_mask(save_photo(tmp_path / "full.png", 0 * BOX + 255), "a")
    assert (empty.max(), full.min()) == (0, 1)


def test_greys_are_thresholded_at_127_with_a_note(tmp_path: Path) -> None:
    greys = np.array([[0, 1, 126, 127], [128, 129, 254, 255]])
    path = save_photo(tmp_path / "mask.png", greys)
    mask, notes = read_binary_mask(path, "a", Coding(threshold=127))
    assert mask.tolist() == [[0, 0, 0, 0], [1, 1, 1, 1]]
    assert notes == ("greys in the mask, thresholded at 127",)


def test_one_mask_alone_cannot_say_what_other_values_mean(tmp_path: Path) -> None:
    path = save_photo(tmp_path / "mask.png", BOX // 255 * 100)
    assert np.array_equal(read_binary_mask(path, "a", Coding(((0, 0), (100, 1))))[0], BOX > 0)
    with pytest.raises(DataError, match="holds 0, 100, and what they mean was not decided") as caught:
        read_binary_mask(path, "a")
    assert (caught.value.case, caught.value.file) == ("a", path)
    assert "photo_masks" in str(caught.value.remedy)


@pytest.mark.parametrize("mode", ["I;16", "I", "F", "CMYK"])
def test_masks_of_other_modes_are_refused(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(BOX.astype(np.uint16)) if mode == "I;16" else Image.fromarray(BOX).convert(mode)
    with pytest.raises(DataError, match=f"mask of mode {mode}") as caught:
        read_binary_mask(saved(tmp_path / "mask.tif", image), "a")
    assert caught.value.case == "a"
    assert "8 bits" in str(caught.value.remedy)


def test_coloured_masks_are_refused(tmp_path: Path) -> None:
    palette = Image.fromarray(BOX // 255)
    palette.putpalette([0, 0, 0, 128, 0, 0])
    colours = Image.fromarray(np.stack([BOX, 0 * BOX, BOX], axis=-1))
    for image in (palette, colours):
        with pytest.raises(DataError, match=f"mask of mode {image.mode}"):
            read_binary_mask(saved(tmp_path / "mask.png", image), "a")


def test_photographs_become_colours_or_greys(tmp_path: Path) -> None:
    colours = np.stack([BOX, BOX // 2, 0 * BOX], axis=-1)
    grey, coloured = save_photo(tmp_path / "grey.png", BOX), save_photo(tmp_path / "colours.png", colours)
    assert np.array_equal(read_photo_rgb(grey, "a"), np.stack([BOX] * 3))
    assert np.array_equal(read_photo_rgb(coloured, "a"), colours.transpose(2, 0, 1))
    assert np.array_equal(read_photo_grey(grey, "a"), BOX[None])
    luminance = 0.299 * colours[..., 0] + 0.587 * colours[..., 1]
    assert np.abs(read_photo_grey(coloured, "a")[0] - luminance).max() <= 0.5
    same = save_photo(tmp_path / "same.png", np.stack([BOX // 3] * 3, axis=-1))
    assert np.array_equal(read_photo_grey(same, "a"), BOX[None] // 3)


def test_a_slide_beyond_pillow_s_limit_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_photo(tmp_path / "slide.png", BOX)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    assert np.array_equal(read_photo_grey(path, "a")[0], BOX)
    assert Image.MAX_IMAGE_PIXELS == 50


def test_an_image_too_large_for_its_file_is_an_error(tmp_path: Path) -> None:
    content = bytearray(save_photo(tmp_path / "bomb.png", BOX).read_bytes())
    content[16:24] = (60_000).to_bytes(4, "big") * 2  # width and height, which the header's checksum covers
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    (tmp_path / "bomb.png").write_bytes(content)
    with pytest.raises(DataError, match=r"3\.6 GB"):
        read_photo_rgb(tmp_path / "bomb.png", "a")


def test_files_are_found_at_any_depth(tmp_path: Path) -> None:
    wanted = [tmp_path / name for name in ("images/a1.png", "x/y/images/a2.png", "train/images/z/a3.png")]
    others = [tmp_path / name for name in ("images2/a4.png", "images/.a5.png", "images/.cache/a6.png", "a7.png")]
    for path in wanted + others:
        save_photo(path, BOX)
    assert below(tmp_path, "images") == sorted(wanted)
    assert below(tmp_path, "train/images") == [wanted[2]]
    assert below(tmp_path, "nothing") == []


def test_photographs_of_unknown_name_are_faults(tmp_path: Path) -> None:
    for name in ("a1.png", "a2.jpg", "a2.png", "a3 (1).png", "a1_extra.png"):
        save_photo(tmp_path / name, BOX)
    (tmp_path / "Thumbs.db").write_bytes(b"")
    faults = Faults()
    found = photos(tmp_path.iterdir(), NAME, faults, re.compile(r"a\d_extra\.png"))
    assert found == {"a1": tmp_path / "a1.png", "a2": tmp_path / "a2.jpg"}
    assert {(fault.file.name, fault.case) for fault in faults.found if fault.file} == {
        ("a2.png", "a2"),
        ("a3 (1).png", None),
    }
    assert all(fault.remedy for fault in faults.found)
