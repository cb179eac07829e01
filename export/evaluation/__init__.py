"""Evaluation of checkpoints and packages on data sets; score calibration."""
