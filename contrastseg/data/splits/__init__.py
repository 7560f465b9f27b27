"""Splits and pools, by patient."""
