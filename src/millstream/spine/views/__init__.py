"""Ways to watch a run: each is a function of the same events."""
