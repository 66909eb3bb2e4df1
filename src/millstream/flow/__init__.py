"""The engine without colour, and the runnables built on it."""
