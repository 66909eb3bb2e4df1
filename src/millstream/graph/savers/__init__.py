"""Savers: where the threads of graphs are kept."""
