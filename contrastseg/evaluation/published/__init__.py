"""Published numbers, and the audit of them."""
