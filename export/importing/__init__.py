"""Import of foreign ONNX files: read, compile to Foveal's signatures, prove, write. Needs no torch."""
