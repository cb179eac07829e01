"""HTML pages of evaluations and comparisons: one file each, pictures inside, readable offline."""
