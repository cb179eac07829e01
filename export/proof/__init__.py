"""Parity proofs: criteria, probe images, rounding bounds."""
