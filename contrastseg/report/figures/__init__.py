"""Figures: one module for each kind, and what they share in modules with a leading underscore."""
