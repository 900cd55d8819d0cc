"""How well a network does, and with which statistics."""
