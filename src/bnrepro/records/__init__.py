"""A run's identity, state, history and lock on disk. Nothing here needs torch."""
