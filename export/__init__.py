"""Export stage: from a checkpoint to a model package, if the ONNX graph does what the trained model did."""
