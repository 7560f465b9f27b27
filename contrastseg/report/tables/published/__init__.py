"""Tables of published numbers with the suite's own beside them."""
