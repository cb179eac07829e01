"""Inference: sessions, the prediction pipeline, golden checks."""
