"""The command lines of scripts/."""
