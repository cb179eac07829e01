"""Loaded models, admission control and dynamic batching."""
