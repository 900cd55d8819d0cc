"""How tables and drawings look."""
