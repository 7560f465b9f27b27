"""Pages of the documentation that are made from code and stored results. Nothing imports this package."""
