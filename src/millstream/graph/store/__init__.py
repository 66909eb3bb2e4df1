"""Stores: what a graph remembers beyond its threads."""
