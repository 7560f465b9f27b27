"""The methods: one file each, discovered by `contrastseg.methods.registry`."""
