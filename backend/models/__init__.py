"""Models: what is on this machine, what the hub has, and what of it fits the card."""
