"""What is measured inside a network while it trains."""
