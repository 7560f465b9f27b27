"""Image and label files: formats, grids, resampling."""
