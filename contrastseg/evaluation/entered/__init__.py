"""Predictions of other trainers: what they must fit, how they are checked, and how they are stored."""
