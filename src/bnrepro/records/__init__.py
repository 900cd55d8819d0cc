"""A run's identity, state, history and lock on disk, and its mirror in W&B. Nothing here needs torch."""
