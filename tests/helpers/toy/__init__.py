"""A toy fifth task, `measurement`: one number for each image. One module a stage, as a real task has."""
