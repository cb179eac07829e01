"""Detection networks: pyramids, one-stage and two-stage detectors."""
