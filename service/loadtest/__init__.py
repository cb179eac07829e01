"""The load generator and `foveal bench`."""
