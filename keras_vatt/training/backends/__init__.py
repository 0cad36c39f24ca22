"""The training step's functions of each backend, and their common protocol."""
