"""Every figure and its table, from records alone."""
