"""From published files to prepared cases."""
