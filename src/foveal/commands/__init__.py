"""Commands of the kernel. Heavy imports stand inside the functions, so that `--help` stays instant."""
