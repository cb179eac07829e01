"""Batch inference: sources, jobs, journal, engines, output files."""
