"""Semantic segmentation: data, networks and the plug into the training loop."""
