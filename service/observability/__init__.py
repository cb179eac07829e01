"""Metrics, logs, traces and stage timings."""
