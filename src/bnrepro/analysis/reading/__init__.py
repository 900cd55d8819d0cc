"""Records as the figures and claims read them: arms, curves, statistics."""
