"""Decodes, batches, encodes and stores clips."""
