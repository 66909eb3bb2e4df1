"""What happens in a run, told once: events, runs, scopes and the views over them."""
