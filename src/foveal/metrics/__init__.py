"""Scores from (result, truth) pairs, so that checkpoints and packages are scored by the same code."""
