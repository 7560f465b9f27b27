"""Task 5: 4-D images of two channels."""

from tests.miniatures._msd import miniature

MINIATURE = miniature("prostate_", (1, 2), channels=2)
