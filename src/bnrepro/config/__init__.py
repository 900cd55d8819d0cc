"""What a run may be asked: the typed keys, their choices and bounds, and what a command line says of them."""
