"""One module per data set, each showing its `DatasetSpec` as ``SPEC``; found by `contrastseg.data.registry`."""
