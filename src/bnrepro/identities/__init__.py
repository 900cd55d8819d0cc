"""The exact claims: one program for each, which computes its numbers in float64."""
