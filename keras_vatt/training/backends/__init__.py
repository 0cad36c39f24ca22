"""Loops of the training step, one module per backend."""
