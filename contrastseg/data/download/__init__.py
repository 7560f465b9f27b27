"""Published files: found, downloaded, checked, unpacked."""
