"""YOLO txt, as Ultralytics, Roboflow, CVAT, Label Studio, labelImg and Darknet write it."""
