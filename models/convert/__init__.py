"""Data sets written anew in another layout (`foveal data convert`)."""
