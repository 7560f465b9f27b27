"""Scores of predictions on disk, and their collection into one table."""
