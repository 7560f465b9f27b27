"""Losses as plain functions of tensors, of use to people who want nothing else of this project."""
