"""Letters that the bundled font lacks: another font of the machine, else code points and one warning; never boxes."""

from __future__ import annotations

import warnings
from dataclasses import replace

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager
from matplotlib.text import Text

from contrastseg.report.figures import _fonts, _text
from contrastseg.report.figures._fonts import FAMILY, families, legible, warn_of_missing_letters
from contrastseg.report.figures._style import drawing
from contrastseg.report.figures.build import _drawn, make_figures
from contrastseg.report.figures.kind import FigureSource
from contrastseg.report.settings import FigureSettings

NAME = "方法-ö"


def forget():
    _fonts.family_of.cache_clear()
    _fonts._installed.cache_clear()
    _text._font.cache_clear()
    _text.width_of.cache_clear()


def a_font(file, family, text):
    """A font of squares for the letters of a text."""
    glyphs = [".notdef", *(f"g{n}" for n in range(len(text)))]
    pen = TTGlyphPen(None)
    pen.moveTo((100, 0)), pen.lineTo((100, 700)), pen.lineTo((800, 700)), pen.lineTo((800, 0)), pen.closePath()
    builder = FontBuilder(1000)
    builder.setupGlyphOrder(glyphs)
    builder.setupCharacterMap({ord(letter): f"g{n}" for n, letter in enumerate(text)})
    builder.setupGlyf(dict.fromkeys(glyphs, pen.glyph()))
    builder.setupHorizontalMetrics(dict.fromkeys(glyphs, (1000, 100)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": family, "styleName": "Regular"})
    builder.setupOS2(sTypoAscender=800, sTypoDescender=-200)
    builder.setupPost()
    builder.save(file)
    return str(file)


@pytest.fixture
def machine(monkeypatch):
    """A machine with the fonts that come with matplotlib and those that a test adds."""
    manager = font_manager.fontManager
    bundled = [entry for entry in manager.ttflist if "mpl-data" in entry.fname]
    monkeypatch.setattr(manager, "ttflist", bundled)
    found: list[str] = []
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda *_, **__: found)
    forget()
    manager._findfont_cached.cache_clear() if hasattr(manager._findfont_cached, "cache_clear") else None
    yield found
    forget()


def test_without_a_font_a_name_is_written_by_its_code_points(machine):
    assert legible(NAME) == "\\u65b9\\u6cd5-ö"
    assert legible("🫀") == "\\U0001fac0"
    assert families(legible(NAME)) == [FAMILY]
    assert _text.clean("a\ufe0fb 方") == "ab \\u65b9"


def test_a_font_of_the_machine_is_found_though_matplotlib_has_not_listed_it(machine, tmp_path):
    machine.append(a_font(tmp_path / "some.ttf", "Some Letters", "方法"))
    forget()
    assert legible(NAME) == NAME
    assert families(NAME) == [FAMILY, "Some Letters"]
    assert families("plain ö ↑ ─") == [FAMILY]
    assert legible("方名") == "方\\u540d"


def test_preferred_fonts_come_first(machine, tmp_path):
    machine += [a_font(tmp_path / "a.ttf", "A Font", "方"), a_font(tmp_path / "w.ttf", "WenQuanYi Zen Hei", "方")]
    forget()
    assert families("方") == [FAMILY, "WenQuanYi Zen Hei"]


def settings_of(kind):
    return FigureSettings(name=kind, kind=kind, dpi=50)


@pytest.mark.parametrize("kind", ["label_ratio", "significance", "rank_stability", "cost"])
@pytest.mark.parametrize("installed", [False, True])
def test_no_letter_of_a_figure_is_a_box(machine, tmp_path, world, kind, installed):
    if installed:
        machine.append(a_font(tmp_path / "some.ttf", "Some Letters", "方法"))
    named = world.rename("pdcr", NAME)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure, fonts = _drawn(FigureSource(named.data), settings_of(kind))
        with drawing(fonts):
            warnings.filterwarnings("error", "Glyph")
            figure.savefig(tmp_path / "f.svg")
            figure.savefig(tmp_path / "f.png")
    texts = " ".join(text.get_text() for text in figure.findobj(Text))
    assert (NAME in texts) == installed
    assert ("\\u65b9\\u6cd5-ö" in texts) != installed
    assert fonts == ([FAMILY, "Some Letters"] if installed else [FAMILY])


def test_what_no_font_has_is_said_once(machine, world, tmp_path):
    named = world.rename("pdcr", NAME)
    settings = [settings_of(kind) for kind in ("label_ratio", "outcomes")]
    with pytest.warns(UserWarning, match="no font on this machine has 方 法: ") as said:
        make_figures(named.data, settings, tmp_path)
    assert len([one for one in said if "font" in str(one.message)]) == 1
    infos = [info | {"title": "心臓"} for info in world.infos]
    with pytest.warns(UserWarning, match="no font on this machine has 心 臓: "):
        make_figures(replace(world.data, infos=infos), settings[:1], tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_missing_letters(["plain", "Größe ↑", "a\u202eb\x07"])
