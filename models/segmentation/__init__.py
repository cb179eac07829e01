"""Semantic segmentation: recipe, layouts, network, trainer."""
