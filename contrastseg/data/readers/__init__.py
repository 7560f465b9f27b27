"""What the readers of data sets share: specifications, layouts, values of masks."""
