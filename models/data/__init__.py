"""Data sets of any task: samples, splits, loading."""
