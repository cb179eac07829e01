"""Formats of one annotation tool each: CVAT, Label Studio, labelme, Supervisely, tables."""
