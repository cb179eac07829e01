"""Export of detectors and instance segmenters."""
