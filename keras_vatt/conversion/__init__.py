"""Weights in and out: stable tensor names, checkpoints of the original code."""
