"""The command lines: every argparse of the doors in scripts/."""
