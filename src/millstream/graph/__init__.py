"""Graphs: a shared state, nodes that read and write it, and a loop that runs them in supersteps."""
