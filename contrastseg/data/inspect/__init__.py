"""What there is to say of a data set before training on it."""
