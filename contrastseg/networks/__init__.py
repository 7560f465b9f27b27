"""Segmentation networks that expose their features. One file each; `contrastseg.networks.registry` finds them."""
