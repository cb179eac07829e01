"""Commands of the training stage. Heavy imports stand inside the functions, so that `--help` stays instant."""
