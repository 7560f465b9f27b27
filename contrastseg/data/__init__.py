"""From published files to prepared cases and splits; knows nothing of networks or training."""
