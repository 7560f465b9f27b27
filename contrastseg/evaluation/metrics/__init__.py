"""Metrics of one case, and the conventions that say what an empty structure counts."""
