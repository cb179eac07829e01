"""Seeded drawings with exact ground truth."""
