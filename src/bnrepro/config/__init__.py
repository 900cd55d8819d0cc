"""The typed keys of a run with their choices and bounds, and the checks of a command line."""
