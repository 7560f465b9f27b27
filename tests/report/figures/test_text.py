"""Names as they are drawn: cleaned, wrapped, shortened, told apart."""

from __future__ import annotations

import pytest

from contrastseg.report.figures._text import clean, distinct, fitted, shortened, width_of


def test_what_cannot_be_drawn_or_turns_the_line_is_taken_out():
    assert clean("a\u202eb\x00c\n\td") == "ab c d"


@pytest.mark.parametrize("lines", [1, 2, 3])
@pytest.mark.parametrize("text", ["w" * 200, "one two three " * 12, "short", "", "<script>alert('x')</script> $x_1$"])
def test_a_text_stays_in_its_width_and_lines(text, lines):
    written = fitted(text, 1.2, 7, lines=lines).split("\n")
    assert len(written) <= lines
    assert all(width_of(line, 7) <= 1.2 for line in written)


def test_a_short_text_is_left_as_it_is_and_a_long_one_keeps_its_ends():
    assert fitted("pdcr [R]", 2, 7) == "pdcr [R]"
    short = fitted("a_very_long_name_of_a_method_that_nobody_reads [R]", 1.2, 7)
    assert short.startswith("a_very")
    assert short.endswith("[R]")


@pytest.mark.parametrize("width", [0.2, 0.4, 0.8])
@pytest.mark.parametrize("text", ["Wide Widths and ill-lit fillings (il) " * 2, "W i " * 9, "iiiiiiiiiiWWWWWWWWWW"])
def test_a_shortened_text_keeps_as_many_letters_as_there_is_room_for(text, width):
    cuts = (
        f"{text[: (n + 1) // 2].rstrip()}…{text[len(text) - n // 2 :].lstrip()}" for n in range(len(text) - 1, 1, -1)
    )
    assert shortened(text, width, 7.5) == next((cut for cut in cuts if width_of(cut, 7.5) <= width), "…")


def test_a_title_breaks_between_its_phrases():
    assert fitted("ISIC 2016 · evaluated on PH2 (ph2)", 1.6, 8, lines=2) == "ISIC 2016\nevaluated on PH2 (ph2)"
    assert fitted("ACDC of Lyon · 10 % labelled (7 patients)", 2.2, 8, lines=2).endswith("\n10 % labelled (7 patients)")


def test_two_long_names_never_look_the_same():
    names = ["x" * 90 + middle + "y" * 90 for middle in "abc"]
    short = distinct([*names, "z"], 1.2, 7)
    assert len(set(short)) == 4
    assert all(width_of(one, 7) <= 1.25 for one in short)
