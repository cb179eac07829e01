"""Proofs of an import: the compiled graph against the file, the package against its framework's own answers."""
