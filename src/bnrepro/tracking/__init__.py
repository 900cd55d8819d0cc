"""The W&B mirror of a run while it trains, and records read back from W&B."""
