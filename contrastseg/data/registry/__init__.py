"""The data sets by name, and data in nnU-Net's layout."""
