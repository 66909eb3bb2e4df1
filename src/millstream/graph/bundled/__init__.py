"""Middleware that agents often want: approval by a person, summaries, limits, retries."""
