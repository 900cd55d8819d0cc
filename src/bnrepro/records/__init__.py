"""A run's identity, and its state, history and lock on disk. Nothing here needs torch."""
