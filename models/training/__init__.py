"""Training: the loop, optimisers, run folders, checkpoints."""
