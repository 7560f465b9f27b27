"""Task 4: images of uint8 and of float32."""

from tests.miniatures._msd import miniature

MINIATURE = miniature("hippocampus_", (1, 2), dtypes="Bf")
