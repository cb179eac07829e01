"""Load generator and the command `foveal bench`."""
