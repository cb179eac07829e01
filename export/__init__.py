"""Stage two: a checkpoint becomes a model package, and only if the ONNX graph does what the trained model did."""
