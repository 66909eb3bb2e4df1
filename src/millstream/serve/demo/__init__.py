"""The demo: an agent with three real tools, and whatever model this machine can offer."""
