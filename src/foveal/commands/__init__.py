"""Commands of the core. Heavy imports stand inside the functions, so that `--help` stays fast."""
