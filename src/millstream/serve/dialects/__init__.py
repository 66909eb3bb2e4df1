"""Wire protocols of the server: one file each, all pure views of a run's events."""
