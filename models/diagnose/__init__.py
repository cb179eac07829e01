"""Diagnosis of a training in six steps (after Karpathy's recipe and the CS231n notes), tuning, anchor trials."""
