"""Ensembles: several classifiers as one package."""
