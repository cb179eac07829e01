"""HTML pages of evaluations and comparisons: one file each, images inside, readable offline."""
