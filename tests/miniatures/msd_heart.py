"""Task 2."""

from tests.miniatures._msd import miniature

MINIATURE = miniature("la_", (1,))
