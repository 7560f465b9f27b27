"""Task 1: 4-D images of four channels."""

from tests.miniatures._msd import miniature

MINIATURE = miniature("BRATS_", (1, 2, 3), channels=4)
