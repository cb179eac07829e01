"""Codecs: for each format, what a file's header states, what decoding it costs at most, and its pixels."""
