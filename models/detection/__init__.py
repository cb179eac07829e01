"""Anchor-based detection and instance segmentation: data, augmentation, networks, training."""
